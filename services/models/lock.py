"""One process changes the registry at a time: a locked file, freed when its holder dies."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from services.models.errors import ModelNotWrittenError, RegistryLockedError
from services.runtime.lock_file import LockHeldError, lock_file

WAIT_S: Final = 60.0
"""A registration copies some megabytes, a promotion reads them: seconds each."""


@contextmanager
def locked(path: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Wait until nobody else is in here. Local disk, one host; threads count like processes.

    Raises:
        RegistryLockedError: another process is, and stays for longer than that.
        ModelNotWrittenError: the folder can't be made.
    """
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(path, wait_s))
        except LockHeldError as error:
            raise RegistryLockedError(
                f"process {error.holder} changes the registry ({path}); try again"
            ) from error
        except OSError as error:
            raise ModelNotWrittenError(
                f"{path} can't be made ({error.strerror}); see OUTCRY_HOME"
            ) from error
        yield
