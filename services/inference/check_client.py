"""The model registry as serving sees it: asked, and its models checked, in another process.

Here, where requests wait for the interpreter, remains what must be here: reading the files that
passed, holding their hashes, and XGBoost's loading of those very bytes, which leaves the
interpreter to others.

The other process (`check_process`) is started by the first question and kept. One that dies or
takes too long is ended and started anew by the next question; the model that it was checking is
refused, and whatever serves, serves on.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from services.inference.candidates import Candidate
from services.inference.check_process import (
    MESSAGE_BYTES_MAX,
    AskAliases,
    AskCheck,
    Asked,
    Away,
    Begin,
    Named,
    Passed,
    Ready,
    Refused,
    Told,
    Unregistered,
)
from services.inference.reload import LoadRefusal, NotServableError
from services.models.artifact import read_model
from services.models.errors import ModelRefusedError, RegistryAwayError, UnknownVersionError
from services.models.settings import MlflowUrl
from services.runtime.telemetry import Telemetry

COMMAND: Final = (sys.executable, "-m", "services.inference.check_process")
START_S_MAX: Final = 180.0
"""For its libraries: 4 s of processor time, on a machine that may have much else to do."""
_LAST_S: Final = 5.0
_MS_PER_S: Final = 1_000


class _NoAnswerError(Exception):
    """It has died, or its time is up; it is gone in either case."""

    def __init__(self, reason: LoadRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class CheckedRegistry:
    """`reload.ModelSource`. One question at a time; `close` may come from any thread at any time.

    Args:
        home: of the deployment.
        mlflow_url: of the registry; empty: SQLite under the home.
        name: of the registered model.
        check_ms_max: longest wait for an answer.
        command: what is started; its last argument will be the number of its socket.
        start_s_max: longest wait until it has its libraries.
    """

    def __init__(
        self,
        home: Path,
        mlflow_url: MlflowUrl,
        name: str,
        telemetry: Telemetry,
        *,
        check_ms_max: int,
        command: Sequence[str] = COMMAND,
        start_s_max: float = START_S_MAX,
    ) -> None:
        self._check_s_max: Final = check_ms_max / _MS_PER_S
        self._begin: Final = Begin(str(home.absolute()), mlflow_url, name, self._check_s_max)
        self._telemetry: Final = telemetry
        self._command: Final = tuple(command)
        self._start_s_max: Final = start_s_max
        self._lock: Final = Lock()
        """Around starting it and ending it for good."""
        self._is_closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def aliases(self) -> Mapping[str, int]:
        """As `ModelSource` says."""
        try:
            told = self._ask(AskAliases())
        except _NoAnswerError as error:
            raise RegistryAwayError(f"the registry could not be asked: {error}") from error
        if isinstance(told, Away):
            raise RegistryAwayError(told.detail)
        assert isinstance(told, Named), f"{told!r:.200} answers a question for aliases"
        return told.versions

    def load(self, version: int) -> Candidate:
        """As `ModelSource` says."""
        try:
            told = self._ask(AskCheck(version))
        except _NoAnswerError as error:
            raise NotServableError(error.reason, str(error)) from error
        match told:
            case Passed(folder, manifest_sha256, row_ms):
                loaded = read_model(
                    Path(folder), manifest_sha256=manifest_sha256, is_checked_already=True
                )
                return Candidate(loaded, row_ms)
            case Refused(reason, detail):
                raise ModelRefusedError(reason, detail)
            case Unregistered(detail):
                raise UnknownVersionError(detail)
            case Away(detail):
                raise RegistryAwayError(detail)
        raise AssertionError(f"{told!r:.200} answers a question for a version")

    def close(self) -> None:
        """End it, also amid a question, which then is not answered."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    # --- the other process

    def _ask(self, asked: Asked) -> Told:
        line = self._started()
        return self._exchange(line, msgspec.json.encode(asked), self._check_s_max)

    def _started(self) -> Connection:
        """The line to it; started if there is none that lives.

        Raises:
            RegistryAwayError: it can't be started, or is not to be any more.
        """
        if self._process is not None and self._line is not None:
            if self._process.poll() is None:
                return self._line
            self._telemetry.log.warning("check_process_ended", cause=_cause(self._end(0)))
        with self._lock:
            if self._is_closed:
                raise RegistryAwayError("the registry is not asked any more: stopping")
            line, other = Pipe()
            with other:
                try:
                    self._process = subprocess.Popen(
                        [*self._command, str(other.fileno())],
                        stdin=subprocess.DEVNULL,
                        pass_fds=[other.fileno()],
                        # What ends this process by its group lets it first finish its own.
                        start_new_session=True,
                    )
                except OSError as error:
                    line.close()
                    raise RegistryAwayError(
                        f"no process to check models can be started ({error.strerror})"
                    ) from error
            self._line = line
        try:
            told = self._exchange(line, msgspec.json.encode(self._begin), self._start_s_max)
        except _NoAnswerError as error:
            raise RegistryAwayError(f"what asks it could not begin: {error}") from error
        assert isinstance(told, Ready), f"{told!r:.200} is told by a process that begins"
        return line

    def _exchange(self, line: Connection, message: bytes, limit_s: float) -> Told:
        try:
            line.send_bytes(message)
            if not line.poll(limit_s):
                self._end(0)
                raise _NoAnswerError(
                    LoadRefusal.CHECK_TIMED_OUT,
                    f"the checking process took longer than {limit_s:g} s and was ended",
                )
            told: Told = msgspec.json.decode(line.recv_bytes(MESSAGE_BYTES_MAX), type=Told)
        except (EOFError, OSError, msgspec.DecodeError) as error:
            code = self._end(_LAST_S)
            if self._is_closed:
                raise RegistryAwayError("the registry is not asked any more: stopping") from error
            raise _NoAnswerError(
                LoadRefusal.CHECK_DIED, f"the checking process died ({_cause(code)})"
            ) from error
        return told

    def _end(self, grace_s: float) -> int:
        """Kill it, unless it ends by itself within this time, with a code that tells why."""
        process, line = self._process, self._line
        assert process is not None
        assert line is not None
        line.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
        process.kill()
        self._process, self._line = None, None
        return process.wait()


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}; the room's log may say why"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
