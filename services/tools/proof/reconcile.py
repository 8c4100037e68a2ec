"""Is anything lost? Every record of the log accounted for, from `orders` to PostgreSQL.

Reads the committed log once, topic by topic, and asks:

commands    each record of `orders` and `controls` became its commands, or one dead letter
decisions   each command and event in `accounts` caused what risk owes it, once
matches     each command in `matching` caused what the matcher owes it
fills       each trade was reported to its two sides, with its quantity
orders      each order's reports tell one consistent life; it ended, or is open
sequences   no account's reports and no writer's messages have a gap
recorded    PostgreSQL holds a row of each record that has a table, and of nothing else
archived    PostgreSQL holds the bytes of each record of the inboxes

It sees what is missing and what is too much. Whether what is there is right is for an audit, which
derives everything again.

What retention took away is not asked for: records older than the oldest that every topic still
holds owe nothing.

Holds in memory two bytes a record, eight bytes a row, and some 300 bytes an order.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.domain import commands, controls, events
from services.domain.codes import EXEC_TRADE
from services.domain.origin import Origin
from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.proof.ledger import ANY, Causes, Check, Fates, Sequences
from services.tools.proof.rows import ARCHIVED, Rows
from services.wire import topics
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.messages import Payload, payload_class
from services.wire.topics import ORIGIN_NUMBERS, Topic

type Progress = Callable[[str, int], None]
"""Takes the topic being read and how many records have been read in all."""

TABLE_OF: Final[dict[type[Payload], str]] = {
    commands.PlaceOrder: "orders",
    commands.CancelOrder: "cancels",
    commands.CancelAll: "cancels",
    commands.ReduceOrder: "amendments",
    commands.ReplaceOrder: "amendments",
    events.ExecutionReport: "executions",
    events.AccountState: "account_states",
    events.Trade: "trades",
}
"""Where the recorder keeps each record of `accounts`, `executions` and `trades`."""

_CLIENT_COMMANDS: Final = frozenset(
    {
        commands.PlaceOrder,
        commands.CancelOrder,
        commands.CancelAll,
        commands.ReduceOrder,
        commands.ReplaceOrder,
    }
)

_OWED_BY_RISK: Final = _CLIENT_COMMANDS | frozenset(
    {
        controls.OpenAccount,
        controls.Deposit,
        controls.SetLimits,
        controls.KillSwitch,
        events.OrderAccepted,
        events.OrderRefused,
        events.OrderFilled,
        events.OrderCanceled,
        events.OrderReduced,
        events.OrderReplaced,
        events.CancelRefused,
        events.ReplaceRefused,
    }
)
"""What risk answers with at least one message; marks and the genesis it only heeds."""

_OWED_BY_MATCHER: Final = frozenset(
    {
        commands.EnterOrder,
        commands.CancelOrder,
        commands.ReduceOrder,
        commands.ReplaceOrder,
    }
)

_COPIES: Final[dict[type[Payload], int]] = {
    controls.Genesis: topics.ACCOUNT_PARTITIONS + topics.TICKER_PARTITIONS,
    controls.SetMark: topics.ACCOUNT_PARTITIONS,
    controls.Halt: topics.TICKER_PARTITIONS,
    controls.Resume: topics.TICKER_PARTITIONS,
}
"""How many inboxes ingest sends a control to, where it is more than one."""

CHECKS: Final = (
    "commands",
    "decisions",
    "matches",
    "fills",
    "orders",
    "sequences",
    "recorded",
    "archived",
)

_CAUSES_CHECK: Final = {
    topics.ORDERS.name: "commands",
    topics.CONTROLS.name: "commands",
    topics.ACCOUNTS.name: "decisions",
    topics.MATCHING.name: "matches",
}

_READ: Final = tuple(topic for topic in topics.TRADING if topic is not topics.BOOK)
"""All but the views: `book` is compacted and holds nothing of its own."""

_TABLED: Final = (topics.ACCOUNTS, topics.EXECUTIONS, topics.TRADES)
"""Topics whose records have rows of their own."""

_NAMES: Final = {number: name for name, number in ORIGIN_NUMBERS.items()}


class Reconciliation(msgspec.Struct, frozen=True):
    """What was found."""

    checks: tuple[Check, ...]
    figures: dict[str, int]
    """How much there was of everything, by name."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost and nothing is too much."""
        return all(check.holds for check in self.checks)


def reconcile(
    log: LogReader,
    codec: Codec,
    rows: Rows,
    progress: Progress = lambda _topic, _records: None,
) -> Reconciliation:
    """Reconcile the committed log up to now, and the rows that belong to it. Blocks.

    On an exchange that is still working, what is on its way counts as lost: call it when quiet.

    Raises:
        RetriableError: Kafka can't be read.
    """
    return _Books(log, codec, rows, progress).balance()


class _Books:
    def __init__(self, log: LogReader, codec: Codec, rows: Rows, progress: Progress) -> None:
        self._log = log
        self._codec = codec
        self._rows = rows
        self._progress = progress
        self._read = 0
        self._bounds = {
            (topic.name, partition): log.bounds(TopicPartition(topic.name, partition))
            for topic in _READ
            for partition in range(topic.partitions)
        }
        self._causes = {
            place: Causes(*bounds)
            for place, bounds in self._bounds.items()
            if place[0] in _CAUSES_CHECK
        }
        self._horizon_ms = _horizon_ms(log, self._bounds)
        self._offsets: dict[tuple[str, str, int], array[int]] = {}
        """Offsets of records that must have rows, by table (or archived topic) and partition."""
        self._fates = Fates()
        self._fills: dict[str, tuple[int, int]] = {}
        self._sequences = Sequences()
        self._figures: dict[str, int] = {}
        self._checks = {name: Check(name) for name in CHECKS}

    def balance(self) -> Reconciliation:
        """Read every topic once, then compare."""
        self._read_orders()
        takers: tuple[tuple[Topic, Callable[[Record, Decoded[Any]], None]], ...] = (
            (topics.CONTROLS, self._take_control),
            (topics.ORDERS_DLQ, self._take_letter),
            (topics.ACCOUNTS, self._take_account_message),
            (topics.MATCHING, self._take_matching_message),
            (topics.EXECUTIONS, self._take_execution),
            (topics.TRADES, self._take_trade),
        )
        for topic, take in takers:
            self._read_topic(topic, take)
        self._judge_causes()
        self._judge_fills()
        self._judge_rows()
        for name, count in self._fates.counts().items():
            self._figures[f"orders {name}"] = count
        self._checks["orders"].counted = len(self._fates)
        return Reconciliation(tuple(self._checks.values()), self._figures)

    # --- reading

    def _read_orders(self) -> None:
        """The client topic is not decoded: whatever a record is, it owes exactly one message."""
        for partition in range(topics.ORDERS.partitions):
            for record in self._records(topics.ORDERS, partition):
                self._owe(record, 1)
                self._count("records published")

    def _read_topic(self, topic: Topic, take: Callable[[Record, Decoded[Any]], None]) -> None:
        for partition in range(topic.partitions):
            for record in self._records(topic, partition):
                if topic.name in ARCHIVED:
                    self._expect("archive", topic.name, record)
                try:
                    decoded = self._codec.decode(topic.name, record.value)
                except UndecodableError:
                    self._pass_over(topic, record)
                    continue
                if decoded.origin is not None:
                    self._follow(record, decoded.origin)
                table = TABLE_OF.get(type(decoded.payload))
                if table is not None and topic in _TABLED:
                    self._expect(table, "", record)
                take(record, decoded)

    def _pass_over(self, topic: Topic, record: Record) -> None:
        """A stranger's junk: in `controls` it owes a dead letter, elsewhere rooms pass over it."""
        self._count(f"junk in {topic.name}")
        if topic.name in _CAUSES_CHECK:
            self._owe(record, 1 if topic is topics.CONTROLS else 0)

    def _owe(self, record: Record, messages: int) -> None:
        is_judged = record.timestamp_ms >= self._horizon_ms
        causes = self._causes[record.topic, record.partition]
        causes.owe(record.offset, messages if is_judged else ANY)

    def _records(self, topic: Topic, partition: int) -> Iterator[Record]:
        place = TopicPartition(topic.name, partition)
        for chunk in self._log.read(place, *self._bounds[topic.name, partition]):
            yield from chunk
            self._read += len(chunk)
            self._progress(topic.name, self._read)

    def _follow(self, record: Record, origin: Origin) -> None:
        source = _NAMES.get(origin.topic, "")
        causes = self._causes.get((source, origin.partition))
        if causes is None:
            self._checks["sequences"].fault(f"{_at(record)} names a source that is no topic")
            return
        causes.note(origin.offset)
        if origin.sequence:
            check = self._checks["sequences"]
            check.counted += 1
            name = (record.topic, record.partition, source, origin.partition)
            if not self._sequences.follows(
                name, origin.sequence, may_begin_late=self._begins_late(record)
            ):
                check.fault(f"{_at(record)} is {origin.sequence} from {source}-{origin.partition}")

    def _take_control(self, record: Record, decoded: Decoded[Any]) -> None:
        copies = _COPIES.get(type(decoded.payload), 1)
        self._owe(record, copies)
        self._count("controls")

    def _take_letter(self, record: Record, decoded: Decoded[Any]) -> None:
        origin = decoded.origin
        assert origin is not None, f"a dead letter without an origin at {_at(record)}"
        causes = self._causes.get((_NAMES.get(origin.topic, ""), origin.partition))
        if causes is not None and causes.has(origin.offset):
            causes.owe(origin.offset, 1)  # the letter itself; no copies of it went on
        self._count("dead letters")

    def _take_account_message(self, record: Record, decoded: Decoded[Any]) -> None:
        owed = int(type(decoded.payload) in _OWED_BY_RISK)
        self._owe(record, owed)
        if type(decoded.payload) in _CLIENT_COMMANDS:
            self._count("commands")

    def _take_matching_message(self, record: Record, decoded: Decoded[Any]) -> None:
        owed = int(type(decoded.payload) in _OWED_BY_MATCHER)
        self._owe(record, owed)

    def _take_execution(self, record: Record, decoded: Decoded[Any]) -> None:
        payload = decoded.payload
        late = self._begins_late(record)
        if payload.account_sequence:
            check = self._checks["sequences"]
            check.counted += 1
            name = (payload.account,)
            if not self._sequences.follows(name, payload.account_sequence, may_begin_late=late):
                check.fault(f"{_at(record)} is {payload.account_sequence} of {payload.account}")
        if not isinstance(payload, events.ExecutionReport):
            return
        self._count("execution reports")
        fault = self._fates.report(payload, may_begin_late=late)
        if fault:
            self._checks["orders"].fault(f"{_at(record)}: {fault}")
        if payload.exec_type == EXEC_TRADE:
            sides, quantity = self._fills.get(payload.trade_id, (0, 0))
            self._fills[payload.trade_id] = (sides + 1, quantity + payload.last_quantity)

    def _take_trade(self, record: Record, decoded: Decoded[Any]) -> None:
        trade = decoded.payload
        self._count("trades")
        check = self._checks["fills"]
        check.counted += 1
        sides, quantity = self._fills.pop(trade.trade_id, (0, 0))
        is_judged = record.timestamp_ms >= self._horizon_ms
        if is_judged and (sides, quantity) != (2, 2 * trade.quantity):
            check.fault(
                f"{trade.trade_id} of {trade.quantity} shares has {sides} reports of {quantity}"
            )

    # --- judging

    def _judge_causes(self) -> None:
        for (name, partition), causes in self._causes.items():
            check = self._checks[_CAUSES_CHECK[name]]
            check.counted += causes.records()
            for offset, fault in causes.judge(exactly=check.name == "commands"):
                check.fault(f"{name}-{partition}@{offset} {fault}")

    def _judge_fills(self) -> None:
        if self._horizon_ms:
            return  # of trades that retention took, reports may still be there
        for trade_id in self._fills:
            self._checks["fills"].fault(f"{trade_id} is reported and is no trade")

    def _judge_rows(self) -> None:
        for topic in _TABLED:
            for table in sorted({TABLE_OF[kind] for kind in TABLE_OF if kind in _held_by(topic)}):
                self._compare_rows("recorded", table, "", topic)
        for name in ARCHIVED:
            self._compare_rows("archived", "archive", name, topics.BY_NAME[name])

    def _compare_rows(self, check_name: str, table: str, archived: str, topic: Topic) -> None:
        check = self._checks[check_name]
        for partition in range(topic.partitions):
            wanted = self._offsets.get((table, archived, partition), array("q"))
            span = self._bounds[topic.name, partition]
            found = (
                self._rows.of_archive(archived, partition, *span)
                if archived
                else self._rows.of_table(table, partition, *span)
            )
            rows = len(wanted)
            for offset, is_row in _differences(wanted, found):
                rows += 1 if is_row else -1
                what = "has a row and is no such record" if is_row else "has no row"
                check.fault(f"{topic.name}-{partition}@{offset} {what} in {table}")
            check.counted += len(wanted)
            self._count(f"rows of {table}", rows)

    # --- small change

    def _expect(self, table: str, archived: str, record: Record) -> None:
        place = (table, archived, record.partition)
        self._offsets.setdefault(place, array("q")).append(record.offset)

    def _begins_late(self, record: Record) -> bool:
        return self._bounds[record.topic, record.partition][0] > 0

    def _count(self, name: str, number: int = 1) -> None:
        self._figures[name] = self._figures.get(name, 0) + number


def _horizon_ms(log: LogReader, bounds: Mapping[tuple[str, int], tuple[int, int]]) -> float:
    """The time from which on nothing was taken by retention; 0 if nothing was.

    Of each topic that lost records, the latest of its partitions' first records; infinite if none
    is left of it.
    """
    horizon_ms = 0.0
    for topic in _READ:
        late = [n for n in range(topic.partitions) if bounds[topic.name, n][0] > 0]
        firsts = [
            record.timestamp_ms
            for n in late
            for record in _first_record(log, TopicPartition(topic.name, n), bounds[topic.name, n])
        ]
        if late:
            horizon_ms = max(horizon_ms, max(firsts, default=float("inf")))
    return horizon_ms


def _first_record(
    log: LogReader, place: TopicPartition, bounds: tuple[int, int]
) -> Sequence[Record]:
    return next((chunk[:1] for chunk in log.read(place, *bounds) if chunk), ())


def _differences(wanted: Iterable[int], found: Iterator[int]) -> Iterator[tuple[int, bool]]:
    """Offsets that are in only one of two ascending streams, and whether in the second."""
    row = next(found, None)
    for offset in wanted:
        while row is not None and row < offset:
            yield row, True
            row = next(found, None)
        if row == offset:
            row = next(found, None)
        else:
            yield offset, False
    while row is not None:
        yield row, True
        row = next(found, None)


def _held_by(topic: Topic) -> frozenset[type[Payload]]:
    return frozenset(payload_class(record) for record in topic.records)


def _at(record: Record) -> str:
    return f"{record.topic}-{record.partition}@{record.offset}"
