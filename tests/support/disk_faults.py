"""Faults of the disk, and deaths, at a chosen step of writing files: no code is put in place.

Python announces each opening, renaming and removing of a file before it happens; there it is made
to fail. A step is one such announcement under a folder.
"""

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_EVENTS: Final = ("open", "os.rename", "os.remove")


class Death(BaseException):
    """The process ends here, as far as the code under test can tell."""


class Planted:
    """Counts steps, and fails at one."""

    def __init__(self, folder: Path, step: int, error: BaseException) -> None:
        self._folder = str(folder)
        self._step = step
        self._error = error
        self.steps = 0
        self.has_failed = False

    def see(self, path: object) -> None:
        if isinstance(path, int) or not str(path).startswith(self._folder):
            return
        self.steps += 1
        if self.steps == self._step:
            self.has_failed = True
            raise self._error


_planted: list[Planted] = []
_is_hooked: list[bool] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _planted and event in _EVENTS:
        _planted[-1].see(arguments[0])


@contextlib.contextmanager
def failing_at(folder: Path, step: int, error: BaseException) -> Iterator[Planted]:
    """Raise the error just before this step (from 1) under the folder."""
    if not _is_hooked:
        sys.addaudithook(_hook)  # For the life of the process; without a plan it does nothing.
        _is_hooked.append(True)
    _planted.append(Planted(folder, step, error))
    try:
        yield _planted[-1]
    finally:
        _planted.pop()


@contextlib.contextmanager
def full_disk(bytes_max: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: real refusals by the kernel, native code too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
