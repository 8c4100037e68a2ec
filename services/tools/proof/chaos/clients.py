"""The load's process as the run holds it: start, pause, resume, and its count."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from services.tools.operate.errors import NoAnswerError
from services.tools.proof.chaos.load import DELIVERY_TIMEOUT_MS, LoadCount, LoadOrder

_END_WAIT_S: Final = 5.0


class Clients:
    """Begins paused. Use it in a `with`; calls come from one thread."""

    def __init__(self, order: LoadOrder, log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "services.tools.proof.chaos.load",
                    msgspec.json.encode(order).decode(),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._log = log
        self.count = self._heard()

    def resume(self) -> None:
        """Send on."""
        self._tell("resume")

    def pause(self) -> None:
        """Return once everything sent is confirmed or given up; blocks while Kafka is away."""
        self._tell("pause")

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None
        self.count = self._heard()

    def _heard(self) -> LoadCount:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        return msgspec.json.decode(line, type=LoadCount)

    def _gone(self) -> NoAnswerError:
        return NoAnswerError(f"the load's process ended; its errors are in {self._log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._process.communicate("stop\n", timeout=DELIVERY_TIMEOUT_MS / 1_000)
        finally:
            self._process.kill()
            self._process.wait(_END_WAIT_S)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()
