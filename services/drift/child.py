"""One job in a process of its own: what it told, or how it ended instead.

A job holds a million rows and libraries of others, and may be killed for either. The room stays as
small as a clock, and a job that dies is a result with a name.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from services.drift.metrics import CRASHED, DONE, FAILED, STOPPED, TIMED_OUT
from services.runtime.parent import die_with_parent
from services.runtime.restore import Pacer

TOLD_BYTES_MAX: Final = 16 * 2**20
_POLL_S: Final = 0.1
_TERM_WAIT_S: Final = 5.0
_ERROR_CODES: Final = (1, 2)
_CAUSE_LETTERS_MAX: Final = 500


class Ended(msgspec.Struct, frozen=True):
    """How a process came to its end."""

    ending: str
    """One of `metrics.ENDINGS`."""
    told: bytes
    """Its standard output, up to TOLD_BYTES_MAX and one byte; also of one that did not come to its
    end, whose last line may be cut."""
    cause: str = ""
    """Its last line on standard error, unless it is done."""
    took_s: float = 0.0


def run_child(argv: Sequence[str], timeout_s: float, pacer: Pacer) -> Ended:
    """Run it to its end, to the end of its time, or until the room stops."""
    began_s = pacer.now_s()
    with TemporaryDirectory(prefix="outcry-drift-") as folder:
        told, said = Path(folder) / "told", Path(folder) / "said"
        with told.open("wb") as output, said.open("wb") as errors:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL),  # noqa: PLW1509 - it asks the kernel and no lock
            )
            killed_for = _wait(process, began_s + timeout_s, pacer)
        took_s = pacer.now_s() - began_s
        ending, cause = _ending_of(killed_for, process.returncode, _last_line(said))
        with told.open("rb") as output:
            return Ended(ending, output.read(TOLD_BYTES_MAX + 1), cause, took_s)


def _ending_of(killed_for: str, code: int, last_line: str) -> tuple[str, str]:
    """With its cause."""
    if killed_for:
        return killed_for, last_line
    if code < 0:
        return CRASHED, f"killed by signal {-code}; {last_line}"
    if code in _ERROR_CODES:
        is_told = last_line.startswith(("error:", "Error:"))
        return FAILED if is_told else CRASHED, last_line
    return DONE, ""


def _wait(process: "subprocess.Popen[bytes]", deadline_s: float, pacer: Pacer) -> str:
    """Why it was killed; empty: it ended by itself."""
    while process.poll() is None:
        why = STOPPED if pacer.stopping() else TIMED_OUT if pacer.now_s() >= deadline_s else ""
        if why:
            _kill(process)
            return why
        pacer.wait(_POLL_S)
    return ""


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """With what it started itself; what it has recorded is whole."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            break
        try:
            process.wait(_TERM_WAIT_S)
        except subprocess.TimeoutExpired:
            continue
        break
    process.wait()


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:_CAUSE_LETTERS_MAX] if lines else ""
