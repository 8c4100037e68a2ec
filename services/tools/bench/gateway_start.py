"""`outcry bench gateway-start`: what a gateway asks PostgreSQL before it serves, by the record.

The reports are made up and recorded by the recorder's own code: orders that are taken, filled once
and filled or cancelled, so that most have ended and some rest. Two gateways' questions are asked in
turns at each size: one that asks for everything, and one that begins from a snapshot.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil
import psycopg
from rich.table import Table

from services.domain import codes
from services.domain.events import ExecutionReport
from services.domain.ids import make_order_id
from services.domain.origin import ACCOUNTS, Origin
from services.gateway.beginning import Bounds
from services.gateway.core.recorded import Recorded
from services.gateway.metrics import METRICS
from services.gateway.recorded_reports import PostgresReports
from services.gateway.report_snapshots import ReportSnapshots
from services.recorder.core import RowMaker
from services.recorder.postgres import Move, PostgresLedger
from services.runtime.log_lines import configure_logging
from services.runtime.ports import Record
from services.runtime.snapshots import PostgresSnapshots
from services.runtime.telemetry import Telemetry
from services.tools.bench.frame import Say
from services.tools.bench.tries import Spread, cell_of, spread_of
from services.tools.stack.deployment import migrate_database
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack
from services.wire.codec import Codec, local_codec
from services.wire.topics import EXECUTIONS

_PREFIX: Final = "bench."
_TOPIC_ID: Final = "the benchmark's"
_BATCH_REPORTS: Final = 5_000
_SESSION_TIMEOUT_S: Final = 120
_TIMEOUT_MS: Final = 600_000
_TAIL: Final = 25_000
"""Of each partition, as a gateway leaves to the topic."""
_ACCOUNTS_OF_PARTITION: Final = 50
_RESTING: Final = 500
"""Orders of a partition that are live at a time."""
_REAPED_S: Final = 0.3
"""Until the server counts what a session that has ended took."""
_FIRST_TIME_MS: Final = 1_790_000_000_000
_US_PER_MS: Final = 1_000


class StartQuestion(msgspec.Struct, frozen=True):
    """Several answers to one question, at one size of the record."""

    executions: int
    """Recorded."""
    source: str
    asked_offsets: int
    wall_s: Spread
    cpu_s: Spread
    """Processor time of this process and of PostgreSQL."""


class GatewayStart(msgspec.Struct, frozen=True):
    """All figures of one run."""

    since: int
    """Reports recorded since the snapshots."""
    repeats: int
    load: tuple[float, float]
    questions: list[StartQuestion]


class _Partition:
    """Reports of one partition, without end."""

    def __init__(self, partition: int, codec: Codec) -> None:
        self.partition = partition
        self.offset = 0
        self._codec = codec
        self._orders = 0
        self._numbers: dict[str, int] = {}
        self._live: deque[ExecutionReport] = deque()

    def records(self, count: int) -> Iterator[Record]:
        while count > 0:
            for report in self._turn()[:count]:
                count -= 1
                yield self._record(report)

    def _turn(self) -> Sequence[ExecutionReport]:
        """A new order, and of the one that rests longest two fills, or a fill and its cancel."""
        self._orders += 1
        account = f"trader-{self.partition}-{self._orders % _ACCOUNTS_OF_PARTITION}"
        ticker = ("AAPL", "TSLA")[self._orders % 2]
        order_id = make_order_id(account, str(self._orders), ticker)
        entered = ExecutionReport(
            account, 0, order_id, f"order-{self._orders}", f"order-{self._orders}", ticker,
            codes.EXEC_NEW, codes.NEW, codes.BUY, codes.LIMIT, 1_870_000, 100, 0, 0, 0, "", 0, 100,
            0, 100, 200, 374_000_000, 748_000_000, 1_870_000, 0, self.offset,
        )  # fmt: skip
        self._live.append(entered)
        if len(self._live) <= _RESTING:
            return (entered,)
        return (entered, *_end_of(self._live.popleft(), is_filled=self._orders % 3 > 0))

    def _record(self, report: ExecutionReport) -> Record:
        number = self._numbers.get(report.account, 0) + 1
        self._numbers[report.account] = number
        said = msgspec.structs.replace(report, account_sequence=number)
        time_ms = _FIRST_TIME_MS + self.offset
        place = (ACCOUNTS, self.partition, self.offset, 0, self.offset + 1)
        value = self._codec.encode(EXECUTIONS.name, Origin(*place, time_ms * _US_PER_MS, 0), said)
        record = Record(EXECUTIONS.name, self.partition, self.offset, time_ms, None, value)
        self.offset += 1
        return record


def _end_of(order: ExecutionReport, *, is_filled: bool) -> tuple[ExecutionReport, ExecutionReport]:
    partly = msgspec.structs.replace(
        order, client_command_id="", exec_type=codes.EXEC_TRADE,
        order_status=codes.PARTIALLY_FILLED, last_quantity=40, last_price=order.price,
        trade_id=f"{order.ticker}-{order.accepted_offset}-1", cumulative_quantity=40,
        remaining_quantity=60,
    )  # fmt: skip
    kind = (codes.EXEC_TRADE, codes.FILLED) if is_filled else (codes.EXEC_CANCELED, codes.CANCELED)
    ended = msgspec.structs.replace(
        partly, exec_type=kind[0], order_status=kind[1], remaining_quantity=0
    )
    return partly, ended


class _Reports:
    """A record that grows, and gateways that ask it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._codec = local_codec()
        self._telemetry = Telemetry("gateway", metrics=METRICS)
        self._parts = [_Partition(place, self._codec) for place in range(EXECUTIONS.partitions)]
        with psycopg.connect(dsn) as connection:
            self._server = psutil.Process(connection.info.backend_pid).parent()

    def grow(self, executions: int) -> None:
        """Record more, until there are so many."""
        ledger = PostgresLedger(self._dsn, _PREFIX, _SESSION_TIMEOUT_S)
        try:
            ledger.remember_topic(EXECUTIONS.name, _TOPIC_ID)
            before = ledger.offsets({EXECUTIONS.name: EXECUTIONS.partitions})
            maker = RowMaker(self._codec, ledger.deployment_id())
            partitions = len(self._parts)
            while (left := executions // partitions - self._parts[0].offset) > 0:
                count = min(left, _BATCH_REPORTS)
                records = [record for part in self._parts for record in part.records(count)]
                moves = {at: Move(before[at], self._parts[at.partition].offset) for at in before}
                ledger.append(maker.rows(records), moves)
                before = {at: move.next_offset for at, move in moves.items()}
        finally:
            ledger.close()
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def gateway(self, *, has_snapshots: bool) -> PostgresReports:
        store = PostgresSnapshots(self._dsn, _PREFIX, 5)
        snapshots = ReportSnapshots(store, self._codec, self._telemetry)
        return PostgresReports(
            self._dsn, _PREFIX, self._codec, _TAIL, _TIMEOUT_MS, self._telemetry,
            snapshots if has_snapshots else None,
        )  # fmt: skip

    def ask(self, *, has_snapshots: bool) -> tuple[Recorded, float, float]:
        """What a start is told; seconds of waiting and of processors."""
        gateway = self.gateway(has_snapshots=has_snapshots)
        bounds = {part.partition: Bounds(0, part.offset) for part in self._parts}
        cpu_s, began_s = self._cpu_s(), time.perf_counter()
        recorded = gateway.read(bounds, _TOPIC_ID)
        wall_s = time.perf_counter() - began_s
        time.sleep(_REAPED_S)
        return recorded, wall_s, self._cpu_s() - cpu_s

    def _cpu_s(self) -> float:
        own = time.process_time()
        if self._server is None:
            return own
        for each in (self._server, *self._server.children()):
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            own += times.user + times.system
            if each == self._server:  # of sessions that have ended
                own += times.children_user + times.children_system
        return own


def run_gateway_start_bench(
    home: Path, sizes: Sequence[int], since: int, repeats: int, say: Say
) -> GatewayStart:
    """On a PostgreSQL of its own under `home`; blocks for minutes.

    Raises:
        StackError: the stack does not start.
        AssertionError: the two questions had different answers.
    """
    configure_logging("ERROR")
    settings = StackSettings(home=home, port_base=free_run_base(), topic_prefix="")
    load, questions = os.getloadavg()[0], []
    with running_stack(settings, rooms=()) as stack:
        migrate_database(stack.addresses, _PREFIX)
        reports = _Reports(stack.addresses.pg_dsn)
        for executions in sorted(sizes):
            say(f"{executions:,} executions are recorded")
            reports.grow(executions - since)
            reports.gateway(has_snapshots=True).keep_snapshots(1, _TIMEOUT_MS)
            reports.grow(executions)
            found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            for repeat in range(repeats):
                say(f"{repeat + 1} of {repeats}")
                answers = {}
                for has_snapshots, tries in found.items():
                    recorded, wall_s, cpu_s = reports.ask(has_snapshots=has_snapshots)
                    answers[has_snapshots] = _live_orders(recorded)
                    tries.append((wall_s, cpu_s))
                assert answers[False] == answers[True], "a snapshot changed what is live"
            questions += [
                _question(executions, since, tries, has_snapshots=has_snapshots)
                for has_snapshots, tries in found.items()
            ]
    return GatewayStart(since, repeats, (load, os.getloadavg()[0]), questions)


def _live_orders(recorded: Recorded) -> Mapping[tuple[str, str], bytes]:
    return {(order.account, order.order_id): order.value for order in recorded.orders}


def _question(
    executions: int, since: int, tries: list[tuple[float, float]], *, has_snapshots: bool
) -> StartQuestion:
    tail = _TAIL * EXECUTIONS.partitions
    return StartQuestion(
        executions=executions,
        source="snapshot" if has_snapshots else "everything",
        asked_offsets=min(since, executions - tail) if has_snapshots else executions - tail,
        wall_s=spread_of([wall_s for wall_s, _ in tries]),
        cpu_s=spread_of([cpu_s for _, cpu_s in tries]),
    )


def gateway_start_table(found: GatewayStart) -> Table:
    """For people."""
    table = Table(
        "executions", "begins from", "asked about", "waits", "processor time",
        title=f"bench gateway-start: medians of {found.repeats} \\[lowest, highest];"
        f" load {found.load[0]:.1f} to {found.load[1]:.1f}",
    )  # fmt: skip
    for row in found.questions:
        table.add_row(
            f"{row.executions:,}", row.source, f"{row.asked_offsets:,}",
            cell_of(row.wall_s, "s", 2), cell_of(row.cpu_s, "s", 2),
        )  # fmt: skip
    return table
