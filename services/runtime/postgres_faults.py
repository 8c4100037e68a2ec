"""What an error of PostgreSQL asks of whoever writes to it: the one place for its words."""

from typing import Final

import psycopg

from services.runtime.errors import ConfigurationError, OperatingError, RetriableError

_READ_ONLY: Final = "25006"


def postgres_fault(error: psycopg.Error, doing: str) -> OperatingError:
    """What to raise for it: RetriableError or ConfigurationError."""
    text = f"{doing}: {one_line(error)}"
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError):
        # The last is the server's own trouble: a file that may not grow, where a full disk is not
        # called so.
        return RetriableError(f"{text}; try again")
    if error.sqlstate == _READ_ONLY:
        return RetriableError(f"{text}; is OUTCRY_PG_DSN the primary?")
    return ConfigurationError(f"{text}; is OUTCRY_PG_DSN the database `outcry up` made?")


def one_line(error: Exception) -> str:
    """Its words without line breaks; without words, its name."""
    return " ".join(str(error).split()) or type(error).__name__
