"""`outcry bench stages`: what a command costs each room's own code, in memory and in one process.

A seeded crowd passes ingest, risk, the matcher and risk again; each takes what is there as a
batch: decode all, fold all, encode all. No Kafka, no transactions, no sockets: those, with the
process around each room, are in `outcry bench pipeline`, and the difference is what they cost.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from time import process_time
from typing import Final

import msgspec
from rich.table import Table

from services.domain.genesis import default_genesis
from services.ingest.core import ingest
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.runtime.fold import Core, encode_messages
from services.runtime.ports import Outgoing, Record, TopicPartition
from services.tools.bench.frame import Say
from services.tools.bench.tries import Spread, spread_of
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.codec import Codec, local_codec
from services.wire.messages import Message
from services.wire.topics import ACCOUNTS, CONTROLS, MATCHING, ORDERS

_ROUND: Final = 200
"""Commands that come before the answers to the first of them are worked on."""
_TIME_MS: Final = 1_700_000_000_000
_ROUNDS_MAX: Final = 1_000
"""Of settling after each: far more than an order's way has hops."""


class StageCost(msgspec.Struct, frozen=True):
    """One room; processor time a command of the crowd, in microseconds."""

    stage: str
    decode_us: Spread
    """0 for ingest, whose fold decodes."""
    fold_us: Spread
    encode_us: Spread
    out: float
    """Records that it gives a command."""
    out_bytes: float


class _Clock:
    """Seconds of processor time by part, and what came out."""

    def __init__(self) -> None:
        self.decode_s = self.fold_s = self.encode_s = 0.0
        self.records = self.bytes = 0


class _Chain:
    """The rooms of the trading path on a log in memory."""

    def __init__(self, codec: Codec, seed: int) -> None:
        self._codec = codec
        self.clocks = {name: _Clock() for name in ("ingest", "risk", "matcher")}
        self._cores: dict[TopicPartition, tuple[str, Core]] = {}
        for name, topic, make in (("risk", ACCOUNTS, RiskCore), ("matcher", MATCHING, MatcherCore)):
            for partition in range(topic.partitions):
                self._cores[TopicPartition(topic.name, partition)] = name, make(partition)
        self._logs: dict[TopicPartition, list[Record]] = {at: [] for at in self._cores}
        self._folded: dict[TopicPartition, int] = dict.fromkeys(self._cores, 0)
        controls = [default_genesis("bench"), *crowd_controls(seed)]
        self.enter(CONTROLS.name, 0, [codec.encode_command(CONTROLS.name, c) for c in controls])

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
        records = self._logs[at][self._folded[at] :]
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

    def _give(self, clock: _Clock, messages: Sequence[Message], began_s: float) -> None:
        given = encode_messages(self._codec, messages)
        clock.encode_s += process_time() - began_s
        clock.records += len(given)
        clock.bytes += sum(len(one.value or b"") for one in given)
        self._append(given)

    def _append(self, given: Sequence[Outgoing]) -> None:
        for one in given:
            log = self._logs.get(TopicPartition(one.topic, one.partition))
            if log is not None:
                log.append(Record(one.topic, one.partition, len(log), _TIME_MS, one.key, one.value))


def run_stages_bench(commands: int, seed: int, repeats: int, say: Say) -> list[StageCost]:
    """Let a crowd's first commands through, a few times; blocks for seconds.

    Raises:
        ValueError: no command, or no repeat.
    """
    if commands < 1 or repeats < 1:
        raise ValueError("needs at least 1 command and 1 repeat")
    codec = local_codec()
    values = [encode(codec, one, 0) for one in islice(Crowd(seed).commands(), commands)]
    tries = []
    for number in range(repeats):
        say(f"try {number + 1} of {repeats}")
        tries.append(_once(codec, seed, values))
    return [_cost(name, [clocks[name] for clocks in tries], commands) for name in tries[0]]


def _once(codec: Codec, seed: int, values: Sequence[bytes]) -> dict[str, _Clock]:
    chain = _Chain(codec, seed)
    chain.clocks = {name: _Clock() for name in chain.clocks}  # letting the crowd in is no order
    for first in range(0, len(values), _ROUND):
        chain.enter(ORDERS.name, first, values[first : first + _ROUND])
    return chain.clocks


def _cost(name: str, clocks: Sequence[_Clock], commands: int) -> StageCost:
    def spread(times_s: Iterator[float]) -> Spread:
        return spread_of([seconds / commands * 1e6 for seconds in times_s])

    return StageCost(
        name,
        spread(clock.decode_s for clock in clocks),
        spread(clock.fold_s for clock in clocks),
        spread(clock.encode_s for clock in clocks),
        clocks[0].records / commands,
        clocks[0].bytes / commands,
    )


def stages_table(costs: Sequence[StageCost]) -> Table:
    """For people."""
    table = Table(
        "stage", "decode us", "fold us", "encode us", "all us", "records out", "bytes out",
        title="bench stages, processor time a command", caption="median (least, most)",
    )  # fmt: skip
    for cost in costs:
        parts = (cost.decode_us, cost.fold_us, cost.encode_us)
        table.add_row(
            cost.stage,
            *(f"{part.median:.1f} [{part.low:.1f}, {part.high:.1f}]" for part in parts),
            f"{sum(part.median for part in parts):.1f}",
            f"{cost.out:.2f}",
            f"{cost.out_bytes:.0f}",
        )
    return table
