"""`outcry bench audit`: how fast everything is derived again, beside only reading and decoding it.

On a stack of its own a simulated crowd trades; then, in turn and several times over, the same log
is audited whole (with PostgreSQL's rows, snapshots and views) and merely read and decoded, by as
many processes. Both times count the start of the processes.
"""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.runtime.ports import TopicPartition
from services.tools.bench.deployment import Bench, open_bench
from services.tools.bench.frame import Say
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd
from services.tools.operate.connect import Deployment
from services.tools.proof import compiled
from services.tools.proof.audit.auditor import read_ends
from services.tools.proof.audit.schemas import Schemas
from services.tools.proof.audit_process import begin
from services.tools.proof.audit_run import (
    Options,
    Part,
    audit_deployment,
    open_whole_log,
    plan_parts,
    read_schemas,
)

_ROOMS = ("ingest", "risk", "matcher", "recorder")
_QUIET_TIMEOUT_S = 600.0


class Rate(msgspec.Struct, frozen=True):
    """Log records a second over the repeats."""

    median_per_s: float
    min_per_s: float
    max_per_s: float
    cpu_us_per_record: float
    """Processor time of the processes that read, median; without Kafka's and PostgreSQL's."""
    kafka_us_per_record: float
    postgres_us_per_record: float


class AuditReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    form: str
    """'compiled' or 'pure Python'."""
    commands: int
    records: int
    rows: int
    """Rows of PostgreSQL that each audit compared."""
    processes: int
    repeats: int
    audit: Rate
    reference: Rate
    """Only reading and decoding the same records."""


def run_audit_bench(
    home: Path, seed: int, commands: int, processes: int, repeats: int, say: Say
) -> AuditReport:
    """Start a stack under `home`, let a crowd trade, measure, stop it. Blocks for minutes.

    Raises:
        StackError: the stack does not start.
        AssertionError: the audit found a difference; there is no figure for such a log.
    """
    with open_bench(home, _ROOMS, default_genesis("bench"), seed) as bench:
        say(f"{commands:,} commands of a crowd")
        publisher = Publisher(bench.addresses.kafka_bootstrap, bench.prefix, bench.codec)
        publish(publisher, bench.codec, islice(Crowd(seed).commands(), commands), 0)
        deployment = _deployment(bench)
        say("auditing once, when all of it is done")
        found = audit_deployment(deployment, Options(processes, timeout_s=_QUIET_TIMEOUT_S))
        assert found.holds, found.first
        counts = found.checked.items()
        records = sum(count for name, count in counts if name.startswith("records of "))
        rows = sum(count for name, count in counts if name.startswith("rows of "))
        audits, references = [], []
        for turn in range(repeats):
            say(f"round {turn + 1} of {repeats}")
            references.append(_timed(bench, lambda: _read_all(deployment, processes, records)))
            audits.append(_timed(bench, lambda: _audit_all(deployment, processes)))
    return AuditReport(
        compiled.form(),
        commands,
        records,
        rows,
        processes,
        repeats,
        _rate(audits, records),
        _rate(references, records),
    )


def _deployment(bench: Bench) -> Deployment:
    addresses = bench.addresses
    return Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, bench.prefix
    )


class _Spent(msgspec.Struct, frozen=True):
    wall_s: float
    own_cpu_s: float
    """Of this process and of children that ended."""
    kafka_cpu_s: float
    postgres_cpu_s: float


def _timed(bench: Bench, work: Callable[[], None]) -> _Spent:
    begun_s, own_s, servers_s = time.monotonic(), _cpu_s(), bench.cpu_seconds()
    work()
    wall_s, own_s = time.monotonic() - begun_s, _cpu_s() - own_s
    spent = {name: now_s - servers_s[name] for name, now_s in bench.cpu_seconds().items()}
    return _Spent(wall_s, own_s, spent["kafka"], spent["postgres"])


def _cpu_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN))
    )


def _rate(spent: list[_Spent], records: int) -> Rate:
    rates = [records / one.wall_s for one in spent]

    def us_per_record(seconds: list[float]) -> float:
        return median(seconds) / records * 1e6

    return Rate(
        median(rates),
        min(rates),
        max(rates),
        us_per_record([one.own_cpu_s for one in spent]),
        us_per_record([one.kafka_cpu_s for one in spent]),
        us_per_record([one.postgres_cpu_s for one in spent]),
    )


def _audit_all(deployment: Deployment, processes: int) -> None:
    """Without the wait for quiet: nothing moves."""
    found = audit_deployment(deployment, Options(processes, timeout_s=0))
    assert found.holds, found.first


def _read_all(deployment: Deployment, processes: int, records: int) -> None:
    schemas = read_schemas(deployment)
    with open_whole_log(deployment, database=True) as log:
        parts, _ = plan_parts(deployment, schemas, log, Options(processes), read_ends(log))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        len(parts),
        mp_context=context,
        initializer=begin,
        initargs=(compiled.loaded(), context.Value("q", 0)),
    ) as pool:
        read = sum(pool.map(_read_part, parts))
    assert read == records, "the same records"


def _read_part(part: Part) -> int:
    schemas, read = Schemas(part.schemas), 0
    with open_whole_log(part.deployment, database=False) as log:
        for topic, partition in part.places:
            place = TopicPartition(topic, partition)
            first, _ = log.bounds(place)
            for chunk in log.read(place, first, part.ends[topic, partition]):
                for record in chunk:
                    schemas.decode(topic, record.value)
                read += len(chunk)
    return read


def audit_table(report: AuditReport) -> Table:
    """For people."""
    cpu = ("CPU us/record", "Kafka's", "PostgreSQL's")
    table = Table("figure", "records/s", "least to most", *cpu, title="bench audit")
    for name, rate in (
        (f"audit, all checks, {report.form}", report.audit),
        ("read and decode", report.reference),
    ):
        table.add_row(
            name,
            f"{rate.median_per_s:,.0f}",
            f"{rate.min_per_s:,.0f} to {rate.max_per_s:,.0f}",
            f"{rate.cpu_us_per_record:.1f}",
            f"{rate.kafka_us_per_record:.1f}",
            f"{rate.postgres_us_per_record:.1f}",
        )
    table.caption = (
        f"{report.records:,} records of {report.commands:,} commands, {report.rows:,} rows of"
        f" PostgreSQL; {report.processes} processes; {report.repeats} repeats"
    )
    return table
