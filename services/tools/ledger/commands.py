"""`outcry ledger ...`: the log in PostgreSQL, day by day."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.runtime.ports import TopicPartition
    from services.tools.ledger.drop import FirstOffset

app = typer.Typer(
    no_args_is_help=True, help="The log in PostgreSQL, day by day: list, archive, drop, restore."
)

type DayArgument = Annotated[str, typer.Argument(metavar="DAY", help="As 2026-11-25 (UTC).")]


def register(parent: typer.Typer) -> None:
    """Add `ledger` to the command line."""
    parent.add_typer(app, name="ledger", rich_help_panel="Look inside")


@app.command("days")
def days(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False
) -> None:
    """List the days of the log: rows, bytes, and whether each is archived or dropped."""
    from services.tools.ledger.database import list_days, open_session
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json, print_table

    with open_session(read_deployment().pg_dsn) as session:
        found = list_days(session)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.day,
            f"{one.rows:,}",
            f"{one.bytes:,}",
            "dropped: files alone" if one.is_dropped else "archived" if one.is_archived else "",
        )
        for one in found
    ]
    print_table(("day", "rows", "bytes", ""), rows)


@app.command("archive")
def archive(
    day: DayArgument,
    *,
    to: Annotated[Path, typer.Option("--to", help="Its files go to DIR/DAY.", metavar="DIR")],
) -> None:
    """Write a day that is over to files, and read them back. Done again, it changes nothing."""
    from services.tools.ledger.archive import archive_day
    from services.tools.ledger.database import open_session, parse_day
    from services.tools.operate.connect import read_deployment

    wanted = parse_day(day)
    with open_session(read_deployment().pg_dsn) as session:
        manifest, is_new = archive_day(session, wanted, to)
    done = "archived and read back" if is_new else "was archived there already, and is whole"
    typer.echo(f"{wanted}: {manifest.rows:,} rows {done}; manifest sha256 {manifest.sha256}")


@app.command("drop")
def drop(
    day: DayArgument,
    *,
    archived_in: Annotated[
        Path, typer.Option("--from", help="Where `archive` put it: DIR/DAY.", metavar="DIR")
    ],
) -> None:
    """Drop a day from the database: only if its files are whole and nothing can need it."""
    from services.tools.ledger.database import open_session, parse_day
    from services.tools.ledger.drop import drop_day, rooms_with_state
    from services.tools.operate.connect import read_deployment

    wanted = parse_day(day)
    deployment = read_deployment()
    with (
        open_session(deployment.pg_dsn) as session,
        kafka_first_offsets(deployment.bootstrap) as first_offset,
    ):
        manifest = drop_day(session, wanted, archived_in, rooms_with_state(), first_offset)
    typer.echo(f"{wanted}: {manifest.rows:,} rows dropped; they are in {archived_in / day}")


@app.command("restore")
def restore(
    day: DayArgument,
    *,
    archived_in: Annotated[
        Path, typer.Option("--from", help="Where `archive` put it: DIR/DAY.", metavar="DIR")
    ],
) -> None:
    """Bring a dropped day back, so that a replay from zero finds it."""
    from services.tools.ledger.archive import restore_day
    from services.tools.ledger.database import open_session, parse_day
    from services.tools.operate.connect import read_deployment

    wanted = parse_day(day)
    with open_session(read_deployment().pg_dsn) as session:
        manifest = restore_day(session, wanted, archived_in)
    typer.echo(f"{wanted}: {manifest.rows:,} rows restored")


@contextmanager
def kafka_first_offsets(bootstrap: str) -> Iterator["FirstOffset"]:
    """Asks the broker where each partition begins, of any deployment on it."""
    from services.runtime.kafka import KafkaConnection
    from services.runtime.kafka_admin import connect_admin, describe_topics
    from services.runtime.kafka_reader import KafkaReader
    from services.tools.operate.connect import require_listening

    require_listening("Kafka", bootstrap)
    admin = connect_admin(bootstrap)
    exists: dict[str, bool] = {}
    with ExitStack() as opened:
        readers: dict[str, KafkaReader] = {}

        def ask(name: str, at: "TopicPartition") -> int | None:
            prefix = "" if name == "default" else name
            full = prefix + at.topic
            if full not in exists:
                exists[full] = full in describe_topics(admin, bootstrap, [full])
            if not exists[full]:
                return None
            if name not in readers:
                readers[name] = KafkaReader(KafkaConnection(bootstrap, prefix))
                opened.callback(readers[name].close)
            return readers[name].bounds(at)[0]

        yield ask
