"""`outcry snapshots list | verify | take`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.tools.operate.errors import OperateError

if TYPE_CHECKING:
    from services.runtime.ports import FoldFactory, LogReader, TopicPartition
    from services.runtime.snapshots import PostgresSnapshots
    from services.tools.operate.connect import Deployment
    from services.tools.proof.snapshots_verify import Progress

app = typer.Typer(
    no_args_is_help=True, help="What rooms restore from: show it, verify it, take one."
)

_KEPT_FOR_GOOD = 2**31 - 1
_ROOM = Annotated[str, typer.Option(help="risk or matcher; both if left out.")]
_AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def register(parent: typer.Typer) -> None:
    """Add `snapshots` to the command line."""
    parent.add_typer(app, name="snapshots", rich_help_panel="Look inside")


@app.command("list")
def list_snapshots(*, as_json: _AS_JSON = False) -> None:
    """Show every snapshot that is kept: place, age, size, hash, format and genesis."""
    from services.tools.operate.connect import open_database, read_deployment
    from services.tools.operate.present import print_json, print_table

    deployment = read_deployment()
    with open_database(deployment):
        kept = _open_store(deployment).listing()
    if as_json:
        print_json(kept)
        return
    if not kept:
        typer.echo("no snapshots yet; rooms take one every half minute in which they work")
        return
    print_table(
        ("room", "partition", "offset", "age", "bytes", "format", "state hash", "genesis"),
        [
            (
                s.room,
                f"{s.topic}/{s.partition}",
                f"{s.offset:,}",
                f"{s.age_s:,.0f} s",
                f"{s.state_bytes:,}",
                s.format_version,
                s.state_hash[:16],
                s.genesis_hash[:16],
            )
            for s in kept
        ],
    )


@app.command("verify")
def verify(*, room: _ROOM = "", as_json: _AS_JSON = False) -> None:
    """Hold each snapshot against a replay from zero; exit code 1 with the first fault."""
    from services.tools.operate.present import print_json, print_table
    from services.tools.proof.snapshots_verify import verify_partition

    with _opened(room) as (store, log, places, told):
        kept = store.listing()
        found = []
        for name, at, factory, committed in places:
            offsets = [
                k.offset
                for k in kept
                if (k.room, k.topic, k.partition) == (name, at.topic, at.partition)
            ]
            snapshots = [
                s for o in offsets if (s := store.one(name, at.topic, at.partition, o)) is not None
            ]
            progress = told(f"{name} {at.topic}/{at.partition}")
            found.append(verify_partition(name, factory, at, log, snapshots, committed, progress))
    if as_json:
        print_json(found)
    else:
        print_table(
            ("room", "partition", "committed offset", "records", "state hash", "snapshots", ""),
            [
                (
                    one.room,
                    f"{one.topic}/{one.partition}",
                    f"{one.committed:,}",
                    f"{one.records:,}",
                    one.state_hash[:16],
                    len(one.snapshots),
                    "AT FAULT" if one.first_fault else "ok",
                )
                for one in found
            ],
        )
    first = next((one.first_fault for one in found if one.first_fault), "")
    if first:
        sys.stderr.write(f"error: {first}\n")
        raise typer.Exit(1)


@app.command("take")
def take(
    *,
    from_zero: Annotated[
        bool,
        typer.Option(
            "--from-zero",
            help="Fold everything, from PostgreSQL's archive where Kafka no longer has it.",
        ),
    ] = False,
    room: _ROOM = "",
    as_json: _AS_JSON = False,
) -> None:
    """Make a snapshot of each partition at its committed offset, from the log.

    Also while the rooms run. After retention has passed the last snapshot, this brings a room back.
    """
    import structlog

    from services.runtime.room import ProcessPacer
    from services.runtime.telemetry import Telemetry
    from services.tools.operate.present import print_json, print_table
    from services.tools.proof.snapshots_verify import FromZero, take_snapshot

    telemetry, pacer = Telemetry("snapshots"), ProcessPacer()
    # A room would log each restore and each snapshot that it passed over; `verify` says that here.
    telemetry.log = structlog.wrap_logger(
        None, wrapper_class=structlog.make_filtering_bound_logger("CRITICAL")
    )
    taken = []
    with _opened(room) as (store, log, places, told):
        seen = FromZero(store) if from_zero else store
        for name, at, factory, committed in places:
            told(f"{name} {at.topic}/{at.partition}")(0)
            one = take_snapshot(name, factory, at, log, seen, committed, telemetry, pacer)
            if one is not None:
                taken.append(one)
    if as_json:
        print_json(taken)
        return
    print_table(
        ("room", "partition", "offset", "bytes", "state hash", "made from"),
        [
            (
                one.room,
                f"{one.topic}/{one.partition}",
                f"{one.offset:,}",
                f"{one.state_bytes:,}",
                one.state_hash[:16],
                one.source,
            )
            for one in taken
        ],
    )


type _Place = tuple[str, "TopicPartition", "FoldFactory", int]
"""A room, its partition, its folds, and the group's committed offset."""


@contextmanager
def _opened(
    room: str,
) -> Iterator[tuple["PostgresSnapshots", "LogReader", list[_Place], Callable[[str], "Progress"]]]:
    """The store, the whole log, every place of the rooms asked for, and a way to tell progress.

    Raises:
        OperateError: no such room; a part of the stack does not answer.
        ConfigurationError: another cluster answers than the deployment's.
    """
    from rich.console import Console

    from services.recorder.archive import ArchiveReader
    from services.tools.operate.connect import (
        open_database,
        open_log,
        read_deployment,
        require_own_cluster,
    )
    from services.tools.proof.snapshots_verify import STATEFUL
    from services.tools.proof.whole_log import WholeLog

    if room and room not in STATEFUL:
        raise OperateError(f"no room {room} keeps snapshots; those that do: {', '.join(STATEFUL)}")
    deployment = read_deployment()
    with ExitStack() as resources:
        resources.enter_context(open_database(deployment))
        kafka = resources.enter_context(open_log(deployment))
        store = _open_store(deployment)
        require_own_cluster(deployment)
        archive = ArchiveReader(deployment.pg_dsn, deployment.name)
        resources.callback(archive.close)
        status = resources.enter_context(Console(stderr=True).status("reading"))

        def told(what: str) -> "Progress":
            return lambda records: status.update(f"{what}: {records:,} records folded")

        names = [room] if room else list(STATEFUL)
        yield store, WholeLog(kafka, archive), _places(deployment, names), told


def _places(deployment: "Deployment", names: list[str]) -> list[_Place]:
    from services.runtime.kafka import KafkaConnection
    from services.runtime.kafka_tail import KafkaGroupTail
    from services.runtime.ports import TopicPartition
    from services.tools.operate.connect import load_codec
    from services.tools.proof.snapshots_verify import STATEFUL

    codec = load_codec(deployment)
    found: list[_Place] = []
    for name in names:
        make_folds, topic = STATEFUL[name]
        factory: Any = make_folds(codec, lambda _record, _error: None)
        at = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        tail = KafkaGroupTail(KafkaConnection(deployment.bootstrap, deployment.prefix), name)
        try:
            committed = tail.committed(at)
        finally:
            tail.close()
        found += [(name, place, factory, committed[place]) for place in at]
    return found


def _open_store(deployment: "Deployment") -> "PostgresSnapshots":
    """As the rooms have it, but that nothing goes because of what is taken here."""
    from services.runtime.snapshots import PostgresSnapshots

    return PostgresSnapshots(
        deployment.pg_dsn, deployment.name, kept=_KEPT_FOR_GOOD, age_s_max=_KEPT_FOR_GOOD
    )
