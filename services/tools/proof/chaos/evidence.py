"""Whether every promise was kept, once: what clients were told, held against the committed log.

Independent of the folds: it knows only that a confirmed record stands where Kafka said, with its
bytes; that a command is answered and junk has its letter; and that no input causes the same output
twice. What the outputs must say is the audit's business.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from services.domain import origin as origins
from services.domain.events import DeadLetter, ExecutionReport, Trade
from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.proof.chaos.acks import NO_OFFSET, Ack, digest_of
from services.tools.proof.ledger import Check
from services.wire import topics
from services.wire.codec import Codec, Decoded, UndecodableError

CONFIRMED: Final = "confirmed"
ANSWERED: Final = "answered"
ONCE: Final = "once"

_DERIVED: Final = (
    topics.ORDERS_DLQ,
    topics.ACCOUNTS,
    topics.MATCHING,
    topics.TRADES,
    topics.BOOK,
    topics.EXECUTIONS,
)


class Evidence:
    """Reads on from where it stood. Call `advance` only while the exchange is quiet.

    Memory: one small integer per command and confirmed record.
    """

    def __init__(self, log: LogReader, codec: Codec) -> None:
        self._log = log
        self._codec = codec
        self._positions: dict[TopicPartition, int] = {}
        self._answered: set[int] = set()
        self._letters: set[tuple[int, int]] = set()
        self._last: dict[tuple[str, int, int, int], tuple[int, int]] = {}
        self._trades: set[int] = set()
        self._checks = {name: Check(name) for name in (CONFIRMED, ANSWERED, ONCE)}
        self.records = 0
        """Committed records read."""
        self.trades = 0

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was looked at so far, and what is wrong."""
        return tuple(self._checks.values())

    def advance(self, acks: Iterable[Ack]) -> None:
        """Judge what is new in the log, and the promises made since the last call.

        Raises:
            RetriableError: Kafka can't be read.
        """
        fresh = list(acks)
        self._confirm([ack for ack in fresh if ack.offset != NO_OFFSET])
        for topic in _DERIVED:
            for partition in range(topic.partitions):
                for record in self._fresh(TopicPartition(topic.name, partition)):
                    self._take(record)
        self._require_answers(fresh)

    def _confirm(self, acks: Iterable[Ack]) -> None:
        promised = {(ack.partition, ack.offset): ack for ack in acks}
        check = self._checks[CONFIRMED]
        check.counted += len(promised)
        for partition in range(topics.ORDERS.partitions):
            for record in self._fresh(TopicPartition(topics.ORDERS.name, partition)):
                ack = promised.pop((partition, record.offset), None)
                if ack is not None and ack.digest != digest_of(record.value):
                    check.fault(f"{_at(record)} holds other bytes than {_name(ack)} was confirmed")
        for (partition, offset), ack in promised.items():
            check.fault(f"orders-{partition}@{offset} was confirmed for {_name(ack)} and is gone")

    def _require_answers(self, acks: Iterable[Ack]) -> None:
        check = self._checks[ANSWERED]
        for ack in acks:
            check.counted += 1
            if not ack.command_id:
                is_answered = (ack.partition, ack.offset) in self._letters
            else:
                is_answered = _key(ack.account, ack.command_id) in self._answered
            if not is_answered:
                check.fault(f"{_name(ack)} was promised and has no answer")

    def _take(self, record: Record) -> None:
        try:
            decoded: Decoded[Any] = self._codec.decode(record.topic, record.value)
        except UndecodableError:
            return  # a stranger's; rooms write none
        self._require_once(record, decoded)
        payload, origin = decoded.payload, decoded.origin
        if isinstance(payload, ExecutionReport):
            self._answered.add(_key(payload.account, payload.client_command_id))
        elif isinstance(payload, DeadLetter) and origin is not None:
            if origin.topic == origins.ORDERS:
                self._letters.add((origin.partition, origin.offset))
        elif isinstance(payload, Trade):
            self.trades += 1
            if hash(payload.trade_id) in self._trades:
                self._checks[ONCE].fault(f"{_at(record)} is trade {payload.trade_id} again")
            self._trades.add(hash(payload.trade_id))

    def _require_once(self, record: Record, decoded: Decoded[Any]) -> None:
        """From one source partition to one destination, (offset, index) rises strictly."""
        origin = decoded.origin
        if origin is None:
            return
        check = self._checks[ONCE]
        check.counted += 1
        way = (record.topic, record.partition, origin.topic, origin.partition)
        place = (origin.offset, origin.index)
        if place <= self._last.get(way, (-1, -1)):
            source = f"source {origin.topic}-{origin.partition}@{origin.offset}"
            check.fault(
                f"{_at(record)} is output {origin.index} of {source} again, or out of order"
            )
        self._last[way] = place

    def _fresh(self, place: TopicPartition) -> Iterator[Record]:
        first, end = self._log.bounds(place)
        start = max(first, self._positions.get(place, 0))
        for chunk in self._log.read(place, start, end):
            self.records += len(chunk)
            yield from chunk
        self._positions[place] = end


def _key(account: str, command_id: str) -> int:
    return hash((account, command_id))


def _name(ack: Ack) -> str:
    return f"{ack.account}/{ack.command_id}" if ack.command_id else f"junk {ack.digest}"


def _at(record: Record) -> str:
    return f"{record.topic}-{record.partition}@{record.offset}"
