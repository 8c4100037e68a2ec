"""Auditing a deployment: its log, its database, and several processes that share the work."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from services.recorder.archive import ArchiveReader
from services.runtime.errors import ConfigurationError
from services.runtime.ports import LogReader, TopicPartition
from services.runtime.registry import Registry
from services.runtime.snapshots import PostgresSnapshots
from services.tools.operate.connect import (
    Deployment,
    open_log,
    require_own_cluster,
    require_registry,
)
from services.tools.proof import compiled
from services.tools.proof.audit.auditor import PLACES, Auditor, Findings, judge, read_ends
from services.tools.proof.audit.ledger import Ledger, Place
from services.tools.proof.audit.postgres_rows import PostgresRows
from services.tools.proof.audit.schemas import KnownSchema, Schemas
from services.tools.proof.audit_process import begin, count_read
from services.tools.proof.quiet import wait_until_still
from services.tools.proof.whole_log import WholeLog
from services.wire.schemas import load_schemas

_RETRY_PAUSE_S: Final = 3.0
_POLL_S: Final = 0.2
_SNAPSHOTS_KEPT: Final = 1_000_000
"""The audit only reads; this never removes one."""

_WEIGHTS: Final = {
    "orders": 6, "controls": 18, "accounts": 12, "matching": 11, "executions": 7, "trades": 7,
    "orders.dlq": 22,
}  # fmt: skip
"""What a record of each topic costs, about, in microseconds of the compiled form: to share the work
evenly."""

type Progress = Callable[[int, int], None]
"""Takes how many records have been read, and how many offsets there are to read."""


class Options(msgspec.Struct, frozen=True):
    """What to audit, and with how much."""

    processes: int = 2
    database: bool = True
    """Compare PostgreSQL's rows and snapshots too, and read its archive where Kafka begins late."""
    from_snapshots: bool = False
    """Begin each fold at its newest good snapshot."""
    timeout_s: float = 60.0
    """How long to wait until nothing is on its way."""


class Part(msgspec.Struct, frozen=True):
    """What one process reads."""

    deployment: Deployment
    schemas: tuple[KnownSchema, ...]
    database: bool
    from_snapshots: bool
    places: tuple[Place, ...]
    ends: dict[Place, int]


def audit_deployment(
    deployment: Deployment,
    options: Options,
    progress: Progress = lambda _read, _all: None,
    say: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Audit everything that is committed, once nothing is on its way. Blocks.

    What looks lost is looked at again until the time is up: a room that is restarting leaves the
    log still and work undone.

    Raises:
        UnreachableError: a part of the stack does not answer.
        OperatingError: the log or the database can't be read, or they are of two deployments.
    """
    if options.database:
        require_own_cluster(deployment)
    schemas = read_schemas(deployment)
    give_up_at_s = time.monotonic() + options.timeout_s
    with open_whole_log(deployment, database=options.database) as log:
        while True:
            say("waiting until nothing is on its way")
            drained = wait_until_still(log, give_up_at_s)
            if options.database:
                _wait_for_recorder(deployment, log, give_up_at_s)
            say("auditing")
            ends = read_ends(log)
            found = _audit(deployment, schemas, log, options, ends, progress, drained=drained)
            time_is_up = time.monotonic() + _RETRY_PAUSE_S >= give_up_at_s
            if drained and not found.holds and read_ends(log) != ends:
                # It only seemed still, and what seemed lost was on its way.
                if time_is_up:
                    return _audit(deployment, schemas, log, options, ends, progress, drained=False)
            elif not _may_come_late(found) or time_is_up:
                return found
            time.sleep(_RETRY_PAUSE_S)


def read_schemas(deployment: Deployment) -> tuple[KnownSchema, ...]:
    """Every registered version of every record.

    Raises:
        UnreachableError: the registry does not answer.
        ConfigurationError: a schema of this code is not registered.
    """
    require_registry(deployment)
    registry = Registry(deployment.registry_url)
    newest = {file.subject: file for file in load_schemas()}
    known = [
        KnownSchema(schema_id, file.topic, file.record, schema)
        for file in newest.values()
        for version in registry.versions(file.subject)
        for schema_id, schema in [registry.schema(file.subject, version)]
    ]
    for subject, file in newest.items():
        registered = [k.schema for k in known if (k.topic, k.record) == (file.topic, file.record)]
        if file.schema not in registered:
            raise ConfigurationError(
                f"{subject} is not registered at {deployment.registry_url} as this version has it:"
                " run `outcry topics create`"
            )
    return tuple(known)


@contextmanager
def open_whole_log(deployment: Deployment, *, database: bool) -> Iterator[LogReader]:
    """Kafka's log, continued by PostgreSQL's archive where retention has passed.

    Raises:
        UnreachableError: Kafka does not answer.
        RetriableError: PostgreSQL does not answer.
    """
    with ExitStack() as stack:
        log = stack.enter_context(open_log(deployment, has_traces=False))
        if database:
            archive = ArchiveReader(deployment.pg_dsn, deployment.name)
            stack.callback(archive.close)
            log = WholeLog(log, archive)
        yield log


def plan_parts(
    deployment: Deployment,
    schemas: Sequence[KnownSchema],
    log: LogReader,
    options: Options,
    ends: dict[Place, int],
) -> tuple[list[Part], int]:
    """What each process reads up to these ends, and how many offsets that are."""
    sizes = {place: ends[place] - log.bounds(TopicPartition(*place))[0] for place in PLACES}
    parts = [
        Part(
            deployment,
            tuple(schemas),
            options.database,
            options.from_snapshots,
            places,
            ends,
        )
        for places in share(sizes, options.processes)
    ]
    return parts, sum(sizes.values())


def _audit(
    deployment: Deployment,
    schemas: Sequence[KnownSchema],
    log: LogReader,
    options: Options,
    ends: dict[Place, int],
    progress: Progress,
    *,
    drained: bool,
) -> Findings:
    parts, total = plan_parts(deployment, schemas, log, options, ends)
    ledger = Ledger()
    for found in _run(parts, lambda read: progress(read, total), drained=drained):
        ledger.absorb(found)
    return judge(ledger, log, Schemas(schemas), drained=drained)


def share(sizes: Mapping[Place, int], processes: int) -> list[tuple[Place, ...]]:
    """Partitions for each process, the work about even; a book goes with its matching."""
    costs = {
        place: size * _WEIGHTS[place[0]] for place, size in sizes.items() if place[0] != "book"
    }
    shares: list[list[Place]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for place in sorted(costs, key=lambda p: (-costs[p], p)):
        least = loads.index(min(loads))
        loads[least] += costs[place]
        shares[least].append(place)
        if place[0] == "matching":
            shares[least].append(("book", place[1]))
    return [tuple(places) for places in shares if places]


def _run(
    parts: Sequence[Part], progress: Callable[[int], None], *, drained: bool
) -> Iterator[Ledger]:
    if len(parts) == 1:
        read = 0

        def count(_topic: str, records: int) -> None:
            nonlocal read
            read += records
            progress(read)

        yield _audit_part(parts[0], count, drained=drained)
        return
    # Fresh processes: a fork would inherit the threads of the Kafka client half.
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with ProcessPoolExecutor(
        len(parts), mp_context=context, initializer=begin, initargs=(compiled.loaded(), counter)
    ) as pool:
        futures: list[Future[Ledger]] = [
            pool.submit(_audit_counting, part, drained=drained) for part in parts
        ]
        while wait(futures, timeout=_POLL_S).not_done:
            progress(counter.value)
        for future in futures:
            yield future.result()


def _audit_counting(part: Part, *, drained: bool) -> Ledger:
    return _audit_part(part, lambda _topic, records: count_read(records), drained=drained)


def _audit_part(part: Part, count: Callable[[str, int], None], *, drained: bool) -> Ledger:
    deployment = part.deployment
    with ExitStack() as stack:
        log = stack.enter_context(open_whole_log(deployment, database=part.database))
        rows = snapshots = None
        if part.database:
            rows = PostgresRows(deployment.pg_dsn, deployment.name)
            stack.callback(rows.close)
            snapshots = PostgresSnapshots(deployment.pg_dsn, deployment.name, _SNAPSHOTS_KEPT)
        auditor = Auditor(
            log,
            Schemas(part.schemas),
            rows,
            snapshots,
            only=part.places,
            from_snapshots=part.from_snapshots,
        )
        auditor.advance(part.ends, count)
        auditor.close_books(drained=drained)
        return auditor.ledger


def _wait_for_recorder(deployment: Deployment, log: LogReader, give_up_at_s: float) -> None:
    """Until every record is recorded, or the time is up."""
    rows = PostgresRows(deployment.pg_dsn, deployment.name)
    try:
        while time.monotonic() < give_up_at_s and not _is_recorded(rows, log):
            time.sleep(_POLL_S)
            rows.refresh()
    finally:
        rows.close()


def _is_recorded(rows: PostgresRows, log: LogReader) -> bool:
    for topic in ("controls", "accounts", "matching", "executions", "trades"):
        for place in (p for p in PLACES if p[0] == topic):
            recorded = rows.recorded(*place)
            first, end = log.bounds(TopicPartition(*place))
            start = first if recorded is None else max(first, recorded[1])
            if start < end and any(log.read(TopicPartition(*place), start, end)):
                return False
    return True


def _may_come_late(found: Findings) -> bool:
    """Whether all that is wrong is that something is not there yet."""
    ends = {(d.topic, d.partition): d.next_offset for d in found.digests}
    return not found.holds and all(
        finding.where == "the last view"
        or (
            finding.check == "messages missing"
            and finding.offset >= ends.get((finding.topic, finding.partition), 0)
        )
        for finding in found.findings
    )
