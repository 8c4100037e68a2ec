"""One transaction with PostgreSQL, and what to do about its errors."""

from collections.abc import Callable
from typing import Final

import psycopg

from services.runtime.errors import NoTablesError
from services.runtime.postgres_faults import postgres_fault

_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 30_000


def in_transaction[T](dsn: str, doing: str, work: Callable[[psycopg.Connection], T]) -> T:
    """Do it on a connection of its own, since calls are rare.

    Args:
        dsn: of the database that `outcry up` made.
        doing: for the message of an error.
        work: may be done again after a RetriableError, whether or not it was done.

    Raises:
        RetriableError: PostgreSQL is away, or is a replica now.
        NoTablesError: the tables were never made.
        ConfigurationError: it is not a database that this code can use.
    """
    options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}"
    try:
        with psycopg.connect(
            dsn, connect_timeout=_CONNECT_TIMEOUT_S, options=options
        ) as connection:
            return work(connection)
    except psycopg.errors.UndefinedTable as error:
        raise NoTablesError(
            f"{doing}: the database has no tables of drift; start the stack with `outcry up`"
        ) from error
    except psycopg.Error as error:
        raise postgres_fault(error, doing) from error
