"""What must hold once an exchange has come to rest, derived from its committed log alone.

stages      each room's committed output is, byte for byte, the fold of its committed input from
            zero: nothing more, nothing less, each writer's messages in its order
views       each record of `book` is the depth at its offset, and the last one that of the end
snapshots   each kept snapshot that has its hash is the fold's state at its offset
states      what the living processes hold in memory is the fold's state at the end
rows        the recorder's rows are those of the committed records, each once
offsets     everything committed is consumed and recorded
answers     each record that was acknowledged to its writer is in the log, caused its command or
            dead letter once, and was answered
clients     what the gateway's read model shows, read as it came, is what it shows read at once
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from services.domain.events import AccountState, BookDepth, ExecutionReport
from services.gateway.core.read_model import TRADING_FEEDS, ReadModel
from services.ingest.core import ingest
from services.matcher.core import MatcherCore
from services.recorder.core import RECORDED, RowMaker
from services.runtime.fold import Core
from services.runtime.ports import Record, TopicPartition
from services.runtime.restore import hash_state
from services.tools.proof.vopr.ledger import DEPLOYMENT_ID
from services.tools.proof.vopr.parts import INPUTS
from services.tools.proof.vopr.process import RoomProcess
from services.tools.proof.vopr.stage import Stage
from services.tools.proof.vopr.world import World
from services.wire.messages import Message
from services.wire.topics import (
    ACCOUNTS,
    BOOK,
    CONTROLS,
    EXECUTIONS,
    MATCHING,
    ORDERS,
    ORDERS_DLQ,
    ORIGIN_NUMBERS,
    TRADES,
)

type _Source = tuple[str, int]
"""An input partition, which is the writer of what its fold says."""

_INPUT_ROOMS: Final = {topic: room for room, topics in INPUTS.items() for topic in topics}
_OUTPUTS: Final = (ACCOUNTS, MATCHING, TRADES, EXECUTIONS, ORDERS_DLQ)
_US_PER_MS: Final = 1_000


class _Viewed(MatcherCore):
    """A book that shows its depth whenever it is asked."""

    def show(self) -> list[Message]:
        self._shown, self._stirred = None, True
        return self.at_batch_end()


class Reference:
    """Every stage folded from zero, and what it says."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stage: Stage = world.stage
        self.expected: dict[_Source, dict[tuple[bytes | None, bytes], tuple[_Source, int]]] = {}
        """Of each output partition: each value, the input it must come from, and its place."""
        self._counts: dict[tuple[_Source, _Source], int] = {}
        self.caused: Counter[tuple[int, int, int]] = Counter()
        """How many messages each record of `orders` and `controls` caused."""
        self.answered: set[tuple[str, str]] = set()
        """Account and command of each report."""
        self._snapshots = self._good_snapshots()
        self._views = self._book_records()

    def fold_all(self) -> None:
        """Fold every input partition."""
        for topic in (ORDERS, CONTROLS):
            for partition in range(topic.partitions):
                self._fold_ingest(TopicPartition(topic.name, partition))
        parts = self._stage.parts
        for partition in range(ACCOUNTS.partitions):
            at = TopicPartition(ACCOUNTS.name, partition)
            self._fold_core(at, parts.reference_risk.fresh(partition))
        for partition in range(MATCHING.partitions):
            self._fold_core(TopicPartition(MATCHING.name, partition), _Viewed(partition))

    def _committed(self, at: TopicPartition) -> Iterable[Record]:
        log = self._stage.log
        return log.scan(at, 0, log.end_offset(at))

    def _fold_ingest(self, at: TopicPartition) -> None:
        codec, number = self._stage.codec, ORIGIN_NUMBERS[at.topic]
        for record in self._committed(at):
            time_us = record.timestamp_ms * _US_PER_MS
            said = ingest(codec, at.topic, at.partition, record.offset, time_us, record.value)
            self.caused[number, at.partition, record.offset] += bool(said)
            self._expect(at, said)

    def _fold_core(self, at: TopicPartition, core: Core) -> None:
        codec, strangers = self._stage.codec, self._world.outsiders.junk
        states = self._snapshots.get((at.topic, at.partition), {})
        for record in self._committed(at):
            self._check_states(at, core, states, record.offset)
            if (record.key, record.value) in strangers:
                continue
            try:
                said = core.handle(record.offset, codec.decode(at.topic, record.value))
            except AssertionError as error:
                where = f"{at.topic}/{at.partition}@{record.offset}"
                self._stage.fail("stages", f"{where} can't follow what is before it: {error}")
            self._expect(at, said)
            if isinstance(core, _Viewed):
                self._check_view(at, core, record.offset)
        self._check_states(at, core, states, self._stage.log.end_offset(at))
        self._check_living(at, core)
        if isinstance(core, _Viewed):
            self._check_last_view(at, core)

    def _expect(self, at: TopicPartition, said: Sequence[Message]) -> None:
        source = (at.topic, at.partition)
        encode = self._stage.codec.encode
        for message in said:
            place = (message.topic, message.partition)
            value = encode(message.topic, message.origin, message.payload)
            number = self._counts.get((source, place), 0)
            self._counts[source, place] = number + 1
            keyed = (message.key.encode() or None, value)
            self.expected.setdefault(place, {})[keyed] = (source, number)
            payload = message.payload
            if isinstance(payload, ExecutionReport | AccountState):
                self.answered.add((payload.account, payload.client_command_id))

    # --- states

    def _good_snapshots(self) -> dict[_Source, dict[int, bytes]]:
        """Of each input partition the states of its snapshots that have their hash, by offset."""
        good: dict[_Source, dict[int, bytes]] = {}
        for snapshot in self._stage.snapshots.every():
            if hash_state(snapshot.state) == snapshot.state_hash:
                place = snapshot.topic, snapshot.partition
                good.setdefault(place, {})[snapshot.offset] = snapshot.state
        return good

    def _check_states(
        self, at: TopicPartition, core: Core, states: dict[int, bytes], offset: int
    ) -> None:
        """The snapshots at or below this offset, before its record is folded."""
        due = [taken for taken in states if taken <= offset]
        for taken in due:
            if states.pop(taken) != core.dump():
                self._stage.fail(
                    "snapshots",
                    f"{at.topic}/{at.partition}: the one at {taken} is not the fold's state",
                )

    def _check_living(self, at: TopicPartition, core: Core) -> None:
        for process in self._world.processes:
            if isinstance(process, RoomProcess) and process.room == _INPUT_ROOMS[at.topic]:
                fold = process.loop.folds().get(at)
                if fold is not None and fold.dump() != core.dump():
                    self._stage.fail(
                        "states", f"{process.name} holds another state of {at.topic}/{at.partition}"
                    )

    # --- views

    def _book_records(self) -> dict[int, dict[int, list[Record]]]:
        """Records of `book` by partition and the offset they say they show."""
        views: dict[int, dict[int, list[Record]]] = {}
        for partition in range(BOOK.partitions):
            for record in self._committed(TopicPartition(BOOK.name, partition)):
                origin = self._stage.codec.decode(BOOK.name, record.value).origin
                assert origin is not None
                views.setdefault(partition, {}).setdefault(origin.offset, []).append(record)
        return views

    def _check_view(self, at: TopicPartition, core: _Viewed, offset: int) -> None:
        records = self._views.get(at.partition, {}).pop(offset, ())
        for record in records:
            shown = core.show()
            value = shown and self._stage.codec.encode(BOOK.name, shown[0].origin, shown[0].payload)
            if record.value != value:
                self._stage.fail(
                    "views",
                    f"{BOOK.name}/{at.partition}@{record.offset} is not the depth after {offset}",
                )

    def _check_last_view(self, at: TopicPartition, core: _Viewed) -> None:
        for offset in self._views.get(at.partition, {}):
            self._stage.fail("views", f"{BOOK.name}/{at.partition} shows {offset}: no such input")
        last: BookDepth | None = None
        for record in self._committed(TopicPartition(BOOK.name, at.partition)):
            last = self._stage.codec.decode(BOOK.name, record.value).payload
        shown = core.show()
        if (shown[0].payload if shown else None) != last:
            self._stage.fail("views", f"the last of {BOOK.name}/{at.partition} is not the depth")


def check(world: World) -> None:
    """Everything above.

    Raises:
        Finding: something does not hold.
    """
    stage = world.stage
    if behind := stage.behind():
        stage.fail("offsets", f"{behind} is not at the end")
    reference = Reference(world)
    reference.fold_all()
    for topic in _OUTPUTS:
        for partition in range(topic.partitions):
            _check_output(world, reference, TopicPartition(topic.name, partition))
    _check_rows(stage)
    _check_answers(world, reference)
    _check_client(world)


def _check_output(world: World, reference: Reference, at: TopicPartition) -> None:
    stage = world.stage
    expected = reference.expected.get((at.topic, at.partition), {})
    reached: dict[_Source, int] = {}
    count = 0
    for record in stage.log.scan(at, 0, stage.log.end_offset(at)):
        assert record.value is not None
        keyed = (record.key, record.value)
        if keyed in world.outsiders.junk:
            continue
        where = f"{at.topic}/{at.partition}@{record.offset}"
        if keyed not in expected:
            stage.fail("stages", f"{where} is nothing that a fold of its input says")
        source, number = expected[keyed]
        if number != reached.get(source, 0):
            stage.fail(
                "stages",
                f"{where} is number {number} from {source[0]}/{source[1]}, after"
                f" {reached.get(source, 0)} of them",
            )
        reached[source] = number + 1
        count += 1
    if count != len(expected):
        source, number = next(
            place for place in expected.values() if place[1] >= reached.get(place[0], 0)
        )
        stage.fail(
            "stages",
            f"{at.topic}/{at.partition} lacks number {number} from {source[0]}/{source[1]}",
        )


def _check_rows(stage: Stage) -> None:
    records = [
        record
        for topic in RECORDED
        for at in stage.log.partitions_of(topic.name)
        for record in stage.log.scan(at, 0, stage.log.end_offset(at))
    ]
    expected = RowMaker(stage.codec, DEPLOYMENT_ID).rows(records).by_table
    found = stage.database.rows
    for table in sorted(expected.keys() | found.keys()):
        wanted, kept = sorted(expected.get(table, [])), sorted(found.get(table, []))
        if wanted != kept:
            many = Counter(kept)
            extra = sum((many - Counter(wanted)).values())
            lacking = sum((Counter(wanted) - many).values())
            stage.fail("rows", f"{table}: {lacking} are missing, {extra} are too many")


def _check_answers(world: World, reference: Reference) -> None:
    stage = world.stage
    for (topic, partition, offset), sent in world.client.acknowledged.items():
        where = f"{topic}/{partition}@{offset}"
        at = TopicPartition(topic, partition)
        if [r.value for r in stage.log.scan(at, offset, offset + 1)] != [sent.value]:
            stage.fail("answers", f"{where} was acknowledged and is not there")
        if reference.caused[ORIGIN_NUMBERS[topic], partition, offset] != 1:
            stage.fail("answers", f"{where} was acknowledged and caused nothing")
        if sent.account and (sent.account, sent.command_id) not in reference.answered:
            stage.fail("answers", f"{where} ({sent.account}, {sent.command_id}) has no answer")


def _check_client(world: World) -> None:
    """The read model that followed the feeds against one that reads them at once."""
    stage, model = world.stage, world.client.model
    fresh = ReadModel(stage.codec, 1_000, 1_000, 5, 5, 1_000)
    accounts: dict[str, None] = {}
    for feed in TRADING_FEEDS:
        for at in stage.log.partitions_of(feed.name):
            for record in stage.log.scan(at, 0, stage.log.end_offset(at)):
                fresh.fold(feed.name, record.key, record.value)
                if feed is EXECUTIONS:
                    accounts[(record.key or b"").decode()] = None
    for account in accounts:
        seen = model.orders.sequence_of(account), model.orders.live_of(account)
        wanted = fresh.orders.sequence_of(account), fresh.orders.live_of(account)
        if seen != wanted:
            stage.fail("clients", f"{account} is shown other orders than the log has")
