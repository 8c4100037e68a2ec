"""Signatures that the gateways of one host remember together, in a file of SQLite.

On one port the kernel deals connections out, so who repeats a signed request would have a good
chance to meet another process than the first time. A file on this host is asked in some tens of
microseconds, and needs nobody else to be up. It is written without waiting for the disk: a power
failure may forget the last ones, whose time is over when the machine is up again.
"""

import sqlite3
from pathlib import Path
from typing import Final

from services.gateway.problems import HttpReason, problem
from services.gateway.signatures import FullError
from services.runtime.errors import ConfigurationError

BUSY_TIMEOUT_MS: Final = 500
"""Longest wait for another gateway's write, which takes microseconds."""
_SWEEP_INTERVAL_MS: Final = 1_000
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS taken (signature TEXT PRIMARY KEY, forget_at_ms INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS taken_by_time ON taken (forget_at_ms);
"""


class SharedSignatures:
    """`signatures.Signatures` of all processes that name this file. Called on the event loop.

    Raises:
        ConfigurationError: it is no such file, or can't be made.
    """

    def __init__(self, path: Path) -> None:
        self._count = 0
        """As of the last sweep, and what this process added since."""
        self._swept_at_ms = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"OUTCRY_GATEWAY_SIGNATURES_FILE {path} can't be used ({error}): name another, or"
                " remove it while no gateway runs"
            ) from error

    def add(self, signature: str, now_ms: int, forget_at_ms: int, signatures_max: int) -> bool:
        try:
            if now_ms - self._swept_at_ms >= _SWEEP_INTERVAL_MS:
                self._sweep(now_ms)
            if self._count >= signatures_max:
                self._sweep(now_ms)
            if self._count >= signatures_max:
                raise FullError
            inserted = self._database.execute(
                "INSERT INTO taken VALUES (?, ?) ON CONFLICT DO UPDATE"
                " SET forget_at_ms = excluded.forget_at_ms WHERE taken.forget_at_ms < ?",
                (signature, forget_at_ms, now_ms),
            )
        except sqlite3.Error as error:
            # Nobody may pass unseen.
            raise problem(
                HttpReason.KEYS_UNAVAILABLE,
                "signatures can't be remembered at present; nothing was done",
            ) from error
        is_new = inserted.rowcount > 0
        self._count += is_new
        return is_new

    def close(self) -> None:
        """Give the file up."""
        self._database.close()

    def _sweep(self, now_ms: int) -> None:
        self._database.execute("DELETE FROM taken WHERE forget_at_ms < ?", (now_ms,))
        (self._count,) = self._database.execute("SELECT count(*) FROM taken").fetchone()
        self._swept_at_ms = now_ms


def _open(path: Path) -> sqlite3.Connection:
    # No isolation level: each statement is a transaction of its own.
    database = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1_000, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(_TABLES)
    except sqlite3.Error:
        database.close()
        raise
    return database
