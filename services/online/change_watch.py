"""Whether anything was written to an SQLite database since, told at once."""

import contextlib
import sqlite3
from pathlib import Path
from threading import Lock

type FileId = tuple[str, int, int]
"""Path, device and inode."""
type Token = tuple[FileId, int, int]
"""The file, how often it was opened here, and what SQLite counts up at each commit."""


def file_id(path: Path) -> FileId | None:
    """Which file it is; None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return str(path), found.st_dev, found.st_ino


class ChangeWatch:
    """Any number of threads may ask; its connection never writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: FileId | None = None
        self._opened = 0

    def token(self, *, may_wait: bool) -> Token | None:
        """What differs from the last one once anything was committed since.

        Taken before a read, it tells later whether that read would still give the same. Costs a
        tenth of what a row does.

        Args:
            may_wait: for another thread, and to open the file.

        Returns:
            None: it can't be told now; a read will say what is wrong, if anything is.
        """
        if not self._lock.acquire(blocking=may_wait):
            return None
        try:
            return self._ask(may_wait=may_wait)
        except (sqlite3.Error, OSError):
            self._close()
            return None
        finally:
            self._lock.release()

    def _ask(self, *, may_wait: bool) -> Token | None:
        file = file_id(self._path)
        if file != self._file or self._connection is None:
            # Removed, or put in place of another: the old one tells of no commit any more.
            self._close()
            if file is None or not may_wait:
                return None
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
            )
            self._file = file
            self._opened += 1
        assert self._file is not None
        ((commits,),) = self._connection.execute("PRAGMA data_version")
        return self._file, self._opened, commits

    def __del__(self) -> None:
        # Without a name of this module: where the interpreter ends they may be gone already.
        if self._connection is not None:
            self._connection.close()

    def _close(self) -> None:
        connection, self._connection, self._file = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
