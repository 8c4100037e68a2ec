"""The trading path in memory: the rooms' own folds over a MemoryLog, run whenever it is asked.

No server, no thread, no time: what is published is worked on by the next `run`, until nothing is
left to do. It is an `Exchange` for tools to speak to, and its `rows` are what a recorder that
loses nothing would have written.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from services.domain.controls import Genesis, OpenAccount, SetMark
from services.domain.genesis import default_genesis
from services.ingest.service import make_folds as make_ingest_folds
from services.matcher.service import make_folds as make_matcher_folds
from services.recorder.core import RECORDED
from services.risk.service import make_folds as make_risk_folds
from services.runtime.fold import FoldMaker
from services.runtime.memory import MemoryProducer, MemoryReader
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Fold, Outgoing, Record, TopicPartition
from services.tools.operate.exchange import Published, Seen
from services.tools.proof.reconcile import TABLE_OF
from services.tools.proof.rows import ARCHIVED
from services.wire import topics
from services.wire.codec import Codec, UndecodableError, local_codec
from services.wire.messages import Payload

MARK: Final = 1_872_000
"""$187.20, in 1/10000 dollar."""


class MemoryExchange:
    """`tools.operate.exchange.Exchange`, with all rooms in it."""

    def __init__(self) -> None:
        self.codec: Codec = local_codec()
        self.log = MemoryLog()
        for topic in topics.TOPICS:
            self.log.create_topic(
                topic.name, topic.partitions, log_append_time=topic.log_append_time
            )
        self.rooms: tuple[MemoryRoom, ...] = (
            MemoryRoom(self, "ingest", make_ingest_folds, (topics.ORDERS, topics.CONTROLS)),
            MemoryRoom(self, "risk", make_risk_folds, (topics.ACCOUNTS,)),
            MemoryRoom(self, "matcher", make_matcher_folds, (topics.MATCHING,)),
        )

    @property
    def reader(self) -> MemoryReader:
        return MemoryReader(self.log)

    def begin(self, genesis: Genesis | None = None, accounts: Sequence[str] = ()) -> None:
        """The genesis, a mark in every ticker, and accounts with wide limits."""
        genesis = genesis or default_genesis()
        self.publish(topics.CONTROLS.name, 0, "", genesis)
        for instrument in genesis.instruments:
            mark = SetMark(f"mark-{instrument.ticker}", instrument.ticker, MARK)
            self.publish(topics.CONTROLS.name, 0, "", mark)
        for account in accounts:
            opened = OpenAccount(
                f"open-{account}", account, 10**6, 10**13, 10**14, short_allowed=True
            )
            self.publish(topics.CONTROLS.name, 0, "", opened)
        self.run()

    def publish(self, topic: str, partition: int, key: str, payload: Payload) -> Published:
        return self.publish_raw(
            topic, partition, self.codec.encode_command(topic, payload), key.encode() or None
        )

    def publish_raw(
        self, topic: str, partition: int, value: bytes, key: bytes | None = None
    ) -> Published:
        offset = self.log.append(Outgoing(topic, partition, key, value))
        return Published(topic, partition, offset)

    def run(self) -> None:
        """Let every room work until none finds anything to do."""
        worked = True
        while worked:
            worked = any(room.work() for room in self.rooms)

    def watch(self, partitions: Sequence[TopicPartition]) -> "MemoryWatch":
        return MemoryWatch(self, partitions)

    def close(self) -> None:
        """Nothing to give up."""

    def records(self, topic: str) -> list[Record]:
        """Every committed record of a topic."""
        return [
            record
            for place in self.log.partitions_of(topic)
            for record in self.log.scan(place, 0, self.log.end_offset(place))
        ]


class MemoryRoom:
    """One room: a fold for each partition of its inputs, a transaction for each batch."""

    def __init__(
        self,
        exchange: MemoryExchange,
        name: str,
        make_folds: FoldMaker,
        inputs: Sequence[topics.Topic],
    ) -> None:
        self.name = name
        self._log = exchange.log
        factory = make_folds(exchange.codec, lambda _record, _error: None)
        places = [TopicPartition(t.name, n) for t in inputs for n in range(t.partitions)]
        self._folds: dict[TopicPartition, Fold] = {at: factory.fresh(at) for at in places}
        self._next = dict.fromkeys(places, 0)
        self._producer = MemoryProducer(exchange.log, (f"{name}-a", f"{name}-b"))
        self._producer.initialise()

    def work(self) -> bool:
        """Take what has come, in one transaction; whether there was anything."""
        worked = False
        for place, fold in self._folds.items():
            end = self._log.stable_offset(place)
            records = list(self._log.scan(place, self._next[place], end))
            self._next[place] = end
            if records:
                worked = True
                self._producer.begin()
                for record in records:
                    self._producer.send(fold.handle(record))
                self._producer.send(fold.at_batch_end())
                self._producer.commit()
        return worked


class MemoryWatch:
    """`tools.operate.exchange.Watch`; polling lets the exchange work."""

    def __init__(self, exchange: MemoryExchange, partitions: Sequence[TopicPartition]) -> None:
        self._exchange = exchange
        self._next = {place: exchange.log.stable_offset(place) for place in partitions}

    def poll(self, timeout_s: float) -> Sequence[Seen]:
        del timeout_s
        exchange = self._exchange
        exchange.run()
        found = []
        for place, start in self._next.items():
            end = self._next[place] = exchange.log.stable_offset(place)
            for record in exchange.log.scan(place, start, end):
                try:
                    decoded = exchange.codec.decode(record.topic, record.value)
                except UndecodableError:
                    continue
                at = record.topic, record.partition, record.offset
                found.append(Seen(*at, decoded, record.timestamp_ms))
        return found

    def close(self) -> None:
        """Nothing to give up."""


class MemoryRows:
    """`tools.proof.rows.Rows` of a recorder that lost nothing, by (table or topic, partition)."""

    def __init__(self, exchange: MemoryExchange) -> None:
        self.kept: dict[tuple[str, int], list[int]] = {}
        for topic in RECORDED:
            for record in exchange.records(topic.name):
                if topic.name in ARCHIVED:
                    self._keep(f"archive of {topic.name}", record)
                self._keep_typed(exchange.codec, record)

    def _keep_typed(self, codec: Codec, record: Record) -> None:
        try:
            payload = codec.decode(record.topic, record.value).payload
        except UndecodableError:
            return
        table = TABLE_OF.get(type(payload))
        if table is not None and record.topic != topics.MATCHING.name:
            self._keep(table, record)

    def _keep(self, table: str, record: Record) -> None:
        self.kept.setdefault((table, record.partition), []).append(record.offset)

    def of_table(self, table: str, partition: int, start: int, end: int) -> Iterator[int]:
        return (o for o in self.kept.get((table, partition), []) if start <= o < end)

    def of_archive(self, topic: str, partition: int, start: int, end: int) -> Iterator[int]:
        return self.of_table(f"archive of {topic}", partition, start, end)
