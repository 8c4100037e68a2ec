"""A child that can't outlive its parent (Linux)."""

import ctypes
import os
import signal
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent_pid: int, sig: signal.Signals) -> None:
    """Ask the kernel to signal this process when its parent ends, however it ends.

    The parent means the thread that forked: a child started from a thread dies with that thread.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before the request was in place
        os._exit(1)
