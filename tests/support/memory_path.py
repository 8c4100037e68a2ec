"""The trading path in memory: ingest, every shard of risk, every book; no Kafka, no clock.

Nothing moves until `run`, which moves everything in rounds: all that was published, then all that
stands in `accounts`, then all that stands in `matching`, and again. So commands are as far ahead
of their answers as Kafka would let them be.
"""

from collections import defaultdict
from typing import Any

from services.domain.controls import Genesis
from services.ingest.core import ingest
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.wire.codec import Codec, Decoded, local_codec
from services.wire.messages import Message, Payload
from services.wire.topics import (
    ACCOUNT_PARTITIONS,
    ACCOUNTS,
    CONTROLS,
    MATCHING,
    ORDERS,
    TICKER_PARTITIONS,
)

type Place = tuple[str, int]


class MemoryPath:
    """One deployment. `log` holds what each partition of each topic holds, in order."""

    def __init__(self, genesis: Genesis) -> None:
        self.codec: Codec = local_codec()
        self.log: dict[Place, list[Message]] = defaultdict(list)
        self.risk = [RiskCore(partition) for partition in range(ACCOUNT_PARTITIONS)]
        self.books = [MatcherCore(partition) for partition in range(TICKER_PARTITIONS)]
        self._published = 0
        self._folded: dict[Place, int] = defaultdict(int)
        self._time_us = 1_790_000_000_000_000
        self.control(genesis)
        self.run()

    def control(self, control: Payload) -> None:
        """An operator's record."""
        self._ingest(CONTROLS.name, 0, self.codec.encode_command(CONTROLS.name, control))

    def order(self, value: bytes, partition: int = 0) -> None:
        """A client's record, whatever it holds."""
        self._ingest(ORDERS.name, partition, value)

    def run(self) -> None:
        """Until everything is answered."""
        while self._fold_new(ACCOUNTS.name, self.risk) | self._fold_new(MATCHING.name, self.books):
            pass

    def payloads(self, topic: str, partition: int) -> list[Any]:
        """What a partition holds."""
        return [message.payload for message in self.log[topic, partition]]

    def all_payloads(self, topic: str) -> list[Any]:
        """What all partitions of a topic hold."""
        return [
            p for name, at in sorted(self.log) if name == topic for p in self.payloads(name, at)
        ]

    def _ingest(self, topic: str, partition: int, value: bytes) -> None:
        self._published += 1
        self._time_us += 1_000
        self._write(ingest(self.codec, topic, partition, self._published, self._time_us, value))

    def _fold_new(self, topic: str, cores: list[Any]) -> bool:
        moved = False
        for partition, core in enumerate(cores):
            place = (topic, partition)
            end = len(self.log[place])
            for offset in range(self._folded[place], end):
                message = self.log[place][offset]
                decoded = Decoded(message.origin, message.payload, message.origin.event_time_us)
                self._write(core.handle(offset, decoded))
                moved = True
            self._folded[place] = end
            self._write(core.at_batch_end())
        return moved

    def _write(self, messages: list[Message]) -> None:
        for message in messages:
            self.log[message.topic, message.partition].append(message)
