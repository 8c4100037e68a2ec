"""Which of two processes of one instance works and which follows: a locked file says it.

The kernel frees a lock when its holder dies, however it dies, so the follower knows at once and for
certain. A holder that is merely frozen keeps it: then nobody works in its place, as without a
standby, and what it had open in Kafka ends by its timeout. The lock decides who tries; that a loser
writes nothing is still Kafka's fencing, since both join under one instance name.
"""

import fcntl
import os
from pathlib import Path

from services.runtime.errors import ConfigurationError


class Pair:
    """The locks of one instance's processes: `<path>` to lead, `<path>.followed` to follow.

    Local disk and one host. Methods never block; called from one thread.
    """

    def __init__(self, path: Path) -> None:
        """Open both files, making them if they are missing.

        Raises:
            ConfigurationError: they can't be made there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lead = _open(path)
            self._follow = _open(path.with_name(path.name + ".followed"))
        except OSError as error:
            msg = f"OUTCRY_STANDBY_LOCK: {path} can't be opened ({error.strerror}); name another"
            raise ConfigurationError(msg) from error
        self._leads = False

    def try_lead(self) -> bool:
        """Whether this process leads now; once it does, for as long as it lives."""
        if not self._leads and _lock(self._lead, fcntl.LOCK_EX):
            self._leads = True
            fcntl.flock(self._follow, fcntl.LOCK_UN)
        return self._leads

    def follow(self) -> bool:
        """Let the leader know that it is followed; false: not now, try again."""
        return _lock(self._follow, fcntl.LOCK_SH)

    def is_followed(self) -> bool:
        """Asked by the leader: whether another process follows it now."""
        if not _lock(self._follow, fcntl.LOCK_EX):
            return True
        fcntl.flock(self._follow, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Give both up."""
        os.close(self._lead)
        os.close(self._follow)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
