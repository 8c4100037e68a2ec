"""Orders through ingest, risk and the matcher without Kafka: a log in memory, one process.

Each room takes what is there as a batch: decode all, fold all, encode all; and each time is noted.
"""

from collections.abc import Sequence
from time import process_time
from typing import Final

from services.domain.genesis import default_genesis
from services.ingest.core import ingest
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.runtime.fold import Core, encode_messages
from services.runtime.ports import Outgoing, Record, TopicPartition
from services.tools.market.population import crowd_controls
from services.wire.codec import Codec
from services.wire.messages import Message
from services.wire.topics import ACCOUNTS, CONTROLS, MATCHING, ORDERS

_COMMANDS_A_ROUND: Final = 200
"""They come before the answers to the first of them are worked on."""
_TIME_MS: Final = 1_700_000_000_000
_ROUNDS_MAX: Final = 1_000
"""Of settling after each: far more than an order's way has hops."""


class Clock:
    """Seconds of processor time by part, and what came out."""

    def __init__(self) -> None:
        self.decode_s = self.fold_s = self.encode_s = 0.0
        self.records = self.bytes = 0


class Chain:
    """The rooms of the trading path on a log in memory, the simulated crowd let in."""

    def __init__(self, codec: Codec, seed: int) -> None:
        self._codec = codec
        self.clocks = {name: Clock() for name in ("ingest", "risk", "matcher")}
        self._cores: dict[TopicPartition, tuple[str, Core]] = {}
        for name, topic, make in (("risk", ACCOUNTS, RiskCore), ("matcher", MATCHING, MatcherCore)):
            for partition in range(topic.partitions):
                self._cores[TopicPartition(topic.name, partition)] = name, make(partition)
        self.logs: dict[TopicPartition, list[Record]] = {at: [] for at in self._cores}
        """All that came to the inboxes of risk and of the matcher."""
        self._folded: dict[TopicPartition, int] = dict.fromkeys(self._cores, 0)
        controls = [default_genesis("bench"), *crowd_controls(seed)]
        self.enter(CONTROLS.name, 0, [codec.encode_command(CONTROLS.name, c) for c in controls])

    def enter_orders(self, values: Sequence[bytes]) -> None:
        """All of these, so many at once that answers to the first come after the last of them."""
        for first in range(0, len(values), _COMMANDS_A_ROUND):
            self.enter(ORDERS.name, first, values[first : first + _COMMANDS_A_ROUND])

    def enter(self, topic: str, offset: int, values: Sequence[bytes | None]) -> None:
        """A batch from outside, and all that follows from it.

        Args:
            topic: that outsiders write to.
            offset: of the first of them.
            values: one a record.
        """
        clock, codec = self.clocks["ingest"], self._codec
        began_s = process_time()
        messages = [
            message
            for place, value in enumerate(values, start=offset)
            for message in ingest(codec, topic, 0, place, _TIME_MS * 1_000 + place, value)
        ]
        folded_s = process_time()
        clock.fold_s += folded_s - began_s
        self._give(clock, messages, folded_s)
        for _ in range(_ROUNDS_MAX):
            # All of them, each round: what one gives another takes in the next.
            worked = [self._work(at) for at in self._cores]
            if not any(worked):
                return
        raise AssertionError("the rooms never come to rest")

    def _work(self, at: TopicPartition) -> bool:
        """One batch of one partition; whether there was any."""
        records = self.logs[at][self._folded[at] :]
        if not records:
            return False
        self._folded[at] += len(records)
        name, core = self._cores[at]
        clock, codec = self.clocks[name], self._codec
        began_s = process_time()
        decoded = [codec.decode(at.topic, record.value) for record in records]
        decoded_s = process_time()
        messages = [
            message
            for record, one in zip(records, decoded, strict=True)
            for message in core.handle(record.offset, one)
        ]
        messages += core.at_batch_end()
        folded_s = process_time()
        clock.decode_s += decoded_s - began_s
        clock.fold_s += folded_s - decoded_s
        self._give(clock, messages, folded_s)
        return True

    def _give(self, clock: Clock, messages: Sequence[Message], began_s: float) -> None:
        given = encode_messages(self._codec, messages)
        clock.encode_s += process_time() - began_s
        clock.records += len(given)
        clock.bytes += sum(len(one.value or b"") for one in given)
        self._append(given)

    def _append(self, given: Sequence[Outgoing]) -> None:
        for one in given:
            log = self.logs.get(TopicPartition(one.topic, one.partition))
            if log is not None:
                log.append(Record(one.topic, one.partition, len(log), _TIME_MS, one.key, one.value))
