"""API keys in PostgreSQL, for who makes, revokes and lists them; gateways only read."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
import psycopg
from psycopg.rows import class_row

from services.tools.operate.errors import OperateError, UnreachableError

_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 10_000
LISTED_MAX: Final = 10_000

_INSERT: Final = """
INSERT INTO outcry.api_keys
    (deployment, key_id, secret_hash, account, scopes, signed_only, note, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, now() + %s * interval '1 second')
RETURNING expires_at
"""
_REVOKE: Final = """
INSERT INTO outcry.api_key_revocations (deployment, key_id, why)
SELECT deployment, key_id, %(why)s FROM outcry.api_keys
WHERE deployment = %(deployment)s AND key_id = %(key_id)s
ON CONFLICT DO NOTHING
"""
_LIST: Final = """
SELECT key_id, account, scopes, signed_only, note, created_at, expires_at, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
            WHEN expires_at <= now() THEN 'expired' ELSE 'counts' END AS state
FROM outcry.api_keys LEFT JOIN outcry.api_key_revocations USING (deployment, key_id)
WHERE deployment = %(deployment)s AND (%(key_id)s = '' OR key_id = %(key_id)s)
ORDER BY created_at, key_id LIMIT %(listed_max)s
"""


class NewKey(msgspec.Struct, frozen=True):
    """What is kept of a key that was made now."""

    key_id: str
    secret_hash: bytes
    account: str
    scopes: tuple[str, ...]
    signed_only: bool
    note: str
    seconds_max: int | None
    """How long it counts; None: until it is revoked."""


class KeyLine(msgspec.Struct, frozen=True):
    """What a list shows of a key."""

    key_id: str
    account: str
    scopes: list[str]
    signed_only: bool
    note: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    state: str
    """counts, expired or revoked."""


class KeyLedger:
    """The keys of one deployment. Each call makes a connection of its own.

    Its calls raise UnreachableError when the database is away or was never prepared.
    """

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn = dsn
        self._deployment = deployment

    def add(self, key: NewKey) -> datetime | None:
        """Keep it; returns when it expires."""
        row = (
            self._deployment, key.key_id, key.secret_hash, key.account, list(key.scopes),
            key.signed_only, key.note, key.seconds_max,
        )  # fmt: skip

        def insert(connection: psycopg.Connection) -> datetime | None:
            found = connection.execute(_INSERT, row).fetchone()
            assert found is not None, "an insert that returns"
            expires_at: datetime | None = found[0]
            return expires_at

        return self._run(insert)

    def revoke(self, key_id: str, why: str) -> KeyLine:
        """Have it count no more; again, it changes nothing.

        Raises:
            OperateError: the deployment has no such key.
        """
        place = {"deployment": self._deployment, "key_id": key_id, "listed_max": LISTED_MAX}

        def write(connection: psycopg.Connection) -> KeyLine | None:
            connection.execute(_REVOKE, place | {"why": why})
            with connection.cursor(row_factory=class_row(KeyLine)) as cursor:
                return cursor.execute(_LIST, place).fetchone()

        line = self._run(write)
        if line is None:
            raise OperateError(f"there is no key {key_id!r} here; `outcry keys list` shows them")
        return line

    def lines(self) -> Sequence[KeyLine]:
        """Every key, the oldest first."""
        place = {"deployment": self._deployment, "key_id": "", "listed_max": LISTED_MAX}

        def read(connection: psycopg.Connection) -> list[KeyLine]:
            with connection.cursor(row_factory=class_row(KeyLine)) as cursor:
                return cursor.execute(_LIST, place).fetchall()

        return self._run(read)

    def _run[T](self, work: Callable[[psycopg.Connection], T]) -> T:
        try:
            with psycopg.connect(
                self._dsn,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
            ) as connection:
                return work(connection)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise UnreachableError(
                "the database has no table of keys: start the exchange with `outcry up`"
            ) from error
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())[:160]
            raise UnreachableError(
                f"PostgreSQL does not answer ({reason}): start it with `outcry up`, or set"
                " OUTCRY_PORT_BASE or OUTCRY_PG_DSN"
            ) from error
