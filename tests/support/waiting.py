"""Wait for what another process does, with an end."""

import time
from collections.abc import Callable
from typing import Final

_POLL_S: Final = 0.02


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Return as soon as it holds; fail after `timeout_s`, generous on purpose."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:.0f} s in vain for {what}"
        time.sleep(_POLL_S)
