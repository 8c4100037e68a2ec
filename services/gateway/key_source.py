"""Where a gateway has its keys from: a port, and PostgreSQL behind it."""

import threading
from collections.abc import Sequence
from typing import Any, Final, Protocol

import psycopg

from services.gateway.core.keys import ApiKey
from services.runtime.errors import NoTablesError, RetriableError

type Mark = tuple[int, int]
"""How many keys and how many revocations there are. Neither table ever shrinks or changes, so the
same mark is the same content."""

_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 5_000

_MARK: Final = """
SELECT (SELECT count(*) FROM outcry.api_keys WHERE deployment = %(deployment)s),
       (SELECT count(*) FROM outcry.api_key_revocations WHERE deployment = %(deployment)s)
"""
# What is revoked or long expired needs no place in a gateway: it opens nothing, as if unknown.
_SELECT: Final = """
SELECT key_id, secret_hash, account, scopes, signed_only,
       (extract(epoch FROM expires_at) * 1000000)::bigint
FROM outcry.api_keys AS kept
WHERE deployment = %(deployment)s AND (expires_at IS NULL OR expires_at > now())
  AND NOT EXISTS (SELECT FROM outcry.api_key_revocations AS gone
                  WHERE gone.deployment = kept.deployment AND gone.key_id = kept.key_id)
ORDER BY created_at, key_id
LIMIT %(keys_max)s
"""


class KeySource(Protocol):
    """The deployment's keys, kept outside this process. Called from any thread."""

    def mark(self) -> Mark:
        """Changes when a key is created or revoked. Blocks.

        Raises:
            RetriableError: the store is away.
        """

    def load(self, keys_max: int) -> Sequence[ApiKey]:
        """The keys that count, the oldest first, at most so many. Blocks. Raises as `mark`."""

    def close(self) -> None:
        """Give up the connection."""


class PostgresKeys:
    """`KeySource` on one connection, made anew when it broke."""

    def __init__(self, dsn: str, deployment: str) -> None:
        self._dsn = dsn
        self._deployment = deployment
        self._connection: psycopg.Connection | None = None
        self._lock = threading.Lock()

    def mark(self) -> Mark:
        """How many keys and revocations there are."""
        ((keys, revocations),) = self._rows(_MARK, {})
        return keys, revocations

    def load(self, keys_max: int) -> Sequence[ApiKey]:
        """The keys that count."""
        rows = self._rows(_SELECT, {"keys_max": keys_max})
        return [
            ApiKey(key_id, bytes(secret_hash), account, tuple(scopes), signed_only, expires_at_us)
            for key_id, secret_hash, account, scopes, signed_only, expires_at_us in rows
        ]

    def close(self) -> None:
        """Give up the connection; waits for a question that is under way."""
        with self._lock:
            self._drop()

    def _rows(self, query: str, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                found = self._connected().execute(
                    query, parameters | {"deployment": self._deployment}
                )
                return found.fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
                raise NoTablesError("PostgreSQL has no tables of keys; run `outcry up`") from error
            except psycopg.Error as error:
                self._drop()
                cause = " ".join(str(error).split())[:200]
                raise RetriableError(f"PostgreSQL: {cause}; the keys are as they were") from error

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._dsn,
                connect_timeout=_CONNECT_TIMEOUT_S,
                autocommit=True,
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}"
                " -c default_transaction_read_only=on",
            )
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
