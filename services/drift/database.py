"""One transaction with PostgreSQL, and what to do about its errors."""

from collections.abc import Callable
from typing import Final

import psycopg

from services.runtime.errors import ConfigurationError, NoTablesError, RetriableError

_CONNECT_TIMEOUT_S: Final = 5
_STATEMENT_TIMEOUT_MS: Final = 30_000
_READ_ONLY: Final = "25006"


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
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
        raise RetriableError(f"{doing}: {_one_line(error)}; try again") from error
    except psycopg.Error as error:
        if error.sqlstate == _READ_ONLY:
            raise RetriableError(
                f"{doing}: {_one_line(error)}; is OUTCRY_PG_DSN the primary?"
            ) from error
        raise ConfigurationError(
            f"{doing}: {_one_line(error)}; is OUTCRY_PG_DSN the database `outcry up` made?"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
