"""Start a child that can't outlive its parent, and that PostgreSQL accepts even under root."""

import ctypes
import os
import pwd
import signal
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from services.runtime.parent import die_with_parent
from services.tools.stack.errors import StackError

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_KEEPCAPS: Final = 8
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAP_DAC_OVERRIDE: Final = 1
_CAPABILITY_VERSION_3: Final = 0x20080522


class Account:
    """A system account without rights, resolved before the fork."""

    def __init__(self, name: str) -> None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise StackError(
                f"the system account {name} is missing, as which root would run PostgreSQL; "
                "run as another user, or name a server: OUTCRY_PG_DSN=postgresql://user@host/db"
            ) from None
        self.uid: Final = entry.pw_uid
        self.gid: Final = entry.pw_gid


def account_to_use(name: str | None) -> Account | None:
    """The named account under root; None, to stay who we are, for everyone else."""
    return Account(name) if name is not None and os.geteuid() == 0 else None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` in its own session, its output appended to `log`.

    The child is killed when the calling thread's process ends. SIGKILL, because a broker that hangs
    in an orderly stop would be the orphan that this prevents; all components recover from it.
    """
    parent_pid = os.getpid()

    def set_up_child() -> None:
        if account is not None:
            _become(account)
        die_with_parent(parent_pid, signal.SIGKILL)

    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=set_up_child,  # noqa: PLW1509 - the supervisor has one thread
        )


def _become(account: Account) -> None:
    """Give up root for `account`, but keep the right to pass folders closed to others.

    PostgreSQL refuses to run as root. Its programs and data may lie under a folder that only root
    may enter (`/root`, a temporary folder); opening those to everyone would be the greater evil.
    Where root itself lacks the right (some containers), plain permissions decide.
    """
    _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    mask = 1 << _CAP_DAC_OVERRIDE
    header = struct.pack("=II", _CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; then the same for capabilities above 31
    if _LIBC.capset(header, struct.pack("=IIIIII", mask, mask, mask, 0, 0, 0)) == 0:
        _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
