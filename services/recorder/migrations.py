"""The database's shape: numbered SQL files (`infra/postgres/NNNN_name.sql`), each applied once.

A file that was applied anywhere is never edited; a change is a new file.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from services.runtime.errors import ConfigurationError, RetriableError

_PACKAGED: Final = Path(__file__).parents[1] / "infra" / "postgres"
_CHECKOUT: Final = Path(__file__).parents[2] / "infra" / "postgres"

# Any number, as long as nobody else locks it: "outcry" in ASCII.
_LOCK: Final = 0x6F7574637279
_CONNECT_TIMEOUT_S: Final = 10

_LEDGER: Final = """
CREATE SCHEMA IF NOT EXISTS outcry;
CREATE TABLE IF NOT EXISTS outcry.migrations (
    name       text COLLATE "C" PRIMARY KEY,
    sha256     text COLLATE "C" NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


class Migration(msgspec.Struct, frozen=True):
    """One numbered SQL file."""

    name: str
    statements: bytes

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file."""
        return sha256(self.statements).hexdigest()


def load_migrations(directory: Path | None = None) -> list[Migration]:
    """The SQL files in the order of their numbers; by default those that the product carries."""
    if directory is None:
        directory = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    files = sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(path.stem, path.read_bytes()) for path in files]


def migrate(dsn: str, migrations: Iterable[Migration] | None = None) -> list[str]:
    """Bring a database to the shape this code needs; returns the names of what was applied now.

    All or nothing, in one transaction. Safe to repeat, and by several processes at once: the
    later ones wait and find nothing left to do. Blocks; called before rooms start.

    Raises:
        RetriableError: PostgreSQL can't be reached, or went away in the middle.
        ConfigurationError: the database isn't one this code can use; the message says why.
    """
    wanted = load_migrations() if migrations is None else list(migrations)
    try:
        with psycopg.connect(dsn, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            _require_utf8(connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_LEDGER)
            return _apply(connection, wanted)
    except psycopg.OperationalError as error:
        raise RetriableError(f"PostgreSQL can't be migrated now: {_one_line(error)}") from error
    except psycopg.Error as error:
        raise ConfigurationError(
            f"a migration failed, nothing was changed: {_one_line(error)}"
        ) from error


def require_migrated(connection: psycopg.Connection) -> None:
    """Check that every migration this code knows was applied. Called by rooms at their start.

    Raises:
        ConfigurationError: one is missing or differs; the message says what to do.
    """
    found = connection.execute("SELECT to_regclass('outcry.migrations')").fetchone()
    applied = {} if found is None or found[0] is None else _applied(connection)
    wanted = load_migrations()
    _refuse_strangers(applied, wanted)
    missing = [migration.name for migration in wanted if migration.name not in applied]
    if missing:
        raise ConfigurationError(
            f"the database lacks migration {missing[0]}; start the stack with `outcry up`"
        )


def _apply(connection: psycopg.Connection, wanted: list[Migration]) -> list[str]:
    applied = _applied(connection)
    _refuse_strangers(applied, wanted)
    done = []
    for migration in wanted:
        if migration.name not in applied:
            connection.execute(migration.statements)
            connection.execute(
                "INSERT INTO outcry.migrations (name, sha256) VALUES (%s, %s)",
                (migration.name, migration.sha256),
            )
            done.append(migration.name)
    return done


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, sha256 FROM outcry.migrations").fetchall())


def _refuse_strangers(applied: dict[str, str], wanted: list[Migration]) -> None:
    known = {migration.name: migration.sha256 for migration in wanted}
    for name, applied_sha256 in sorted(applied.items()):
        if name not in known:
            raise ConfigurationError(
                f"the database has migration {name}, which this version doesn't know;"
                " use the version that made it, or another database"
            )
        if known[name] != applied_sha256:
            raise ConfigurationError(
                f"migration {name} is not the one the database was made with;"
                " restore the file, or use another database"
            )


def _require_utf8(connection: psycopg.Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database's encoding is {encoding}; create one with ENCODING 'UTF8'"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
