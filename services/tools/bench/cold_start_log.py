"""A committed log of many orders, made by the rooms' own folds in memory, as fast as they go."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from services.domain.controls import Genesis
from services.ingest.service import make_folds as ingest_folds
from services.matcher.service import make_folds as matcher_folds
from services.risk.service import make_folds as risk_folds
from services.runtime.fold import FoldMaker
from services.runtime.ports import Fold, Record, TopicPartition
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.codec import Codec
from services.wire.topics import ACCOUNTS, CONTROLS, MATCHING, ORDERS, Topic

ROUND_COMMANDS: Final = 200
"""So many commands come before the answers to the first of them are worked on."""

STATEFUL: Final[tuple[tuple[str, Topic, FoldMaker], ...]] = (
    ("risk", ACCOUNTS, risk_folds),
    ("matcher", MATCHING, matcher_folds),
)


class CommittedLog:
    """`accounts` and `matching` of a crowd that trades at a steady rate of log time.

    Args:
        rate_per_s: commands a second of log time; with the genesis' window it decides how much
            risk remembers.
    """

    def __init__(
        self, codec: Codec, genesis: Genesis, seed: int, first_ms: int, rate_per_s: int
    ) -> None:
        self._codec = codec
        self._seed = seed
        self._first_ms = first_ms
        self._rate_per_s = rate_per_s
        self._commands = 0
        self.records: dict[TopicPartition, list[Record]] = {}
        self._folds: dict[TopicPartition, Fold] = {}
        self._folded: dict[TopicPartition, int] = {}
        for _, topic, make_folds in STATEFUL:
            factory = make_folds(codec, lambda _record, _error: None)
            for partition in range(topic.partitions):
                at = TopicPartition(topic.name, partition)
                self.records[at] = []
                self._folds[at] = factory.fresh(at)
                self._folded[at] = 0
        ingest = ingest_folds(codec, lambda _record, _error: None)
        self._ingest = ingest.fresh(TopicPartition(ORDERS.name, 0))
        controls = ingest.fresh(TopicPartition(CONTROLS.name, 0))
        for offset, control in enumerate((genesis, *crowd_controls(seed))):
            value = codec.encode_command(CONTROLS.name, control)
            self._take(controls, Record(CONTROLS.name, 0, offset, first_ms, None, value))
        self._settle()

    def grow(self, commands: int) -> Iterator[int]:
        """Let the crowd go on to this many commands in all; yields how many there are so far."""
        stream = islice(Crowd(self._seed).commands(), self._commands, commands)
        for outbound in stream:
            value = encode(self._codec, outbound, 0)
            stamp_ms = self._now_ms()
            self._take(self._ingest, Record(ORDERS.name, 0, self._commands, stamp_ms, None, value))
            self._commands += 1
            if self._commands % ROUND_COMMANDS == 0:
                self._settle()
                yield self._commands
        self._settle()

    def ends(self) -> dict[TopicPartition, int]:
        """The next offset of each partition."""
        return {at: len(records) for at, records in self.records.items()}

    def _now_ms(self) -> int:
        return self._first_ms + self._commands * 1_000 // self._rate_per_s

    def _take(self, fold: Fold, record: Record) -> None:
        stamp_ms = self._now_ms()
        for outgoing in fold.handle(record):
            at = TopicPartition(outgoing.topic, outgoing.partition)
            if at in self.records:
                kept = self.records[at]
                kept.append(
                    Record(
                        at.topic, at.partition, len(kept), stamp_ms, outgoing.key, outgoing.value
                    )
                )

    def _settle(self) -> None:
        """Every room works until none finds anything to do."""
        worked = True
        while worked:
            worked = False
            for at, fold in self._folds.items():
                new: Sequence[Record] = self.records[at][self._folded[at] :]
                self._folded[at] += len(new)
                for record in new:
                    worked = True
                    self._take(fold, record)
