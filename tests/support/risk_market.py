"""Risk and the real matcher in memory, each reading its own log: any interleaving can be played.

`send` is what a client or an operator says, as ingest would pass it on. Nothing moves by itself:
`pump_risk` and `pump_matcher` let one room handle one message of one partition.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from services.domain.commands import ClientCommand, EnterOrder
from services.domain.controls import Control, Genesis, Halt, Resume, SetMark
from services.domain.genesis import default_genesis
from services.domain.origin import CONTROLS, ORDERS, Origin
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.wire.codec import Decoded
from services.wire.messages import Message
from services.wire.partition import account_partition

START_US: Final = 1_790_000_000_000_000


class Step(NamedTuple):
    """One message of `accounts` as risk read it, and all that risk wrote because of it."""

    offset: int
    decoded: Decoded[Any]
    outputs: list[Message]


def small_genesis(**changes: object) -> Genesis:
    """Two tickers, two account partitions, everything else as shipped; lots of one share."""
    shipped = default_genesis("test")
    small = msgspec.structs.replace(
        shipped, instruments=shipped.instruments[:2], account_partitions=2
    )
    return msgspec.structs.replace(small, **changes)


class RiskMarket:
    """One exchange of some account partitions and one matcher a ticker."""

    def __init__(self, genesis: Genesis, fresh: Callable[[int], RiskCore] = RiskCore) -> None:
        self.genesis = genesis
        self.now_us = START_US
        self.shards = [fresh(p) for p in range(genesis.account_partitions)]
        self.matchers = [MatcherCore(i.partition) for i in genesis.instruments]
        self.to_risk: list[deque[tuple[int, Decoded[Any]]]] = [deque() for _ in self.shards]
        self.to_matchers: list[deque[tuple[int, Decoded[Any]]]] = [deque() for _ in self.matchers]
        self.steps: list[list[Step]] = [[] for _ in self.shards]
        self.trades: list[Message] = []
        self.open_orders: dict[str, str] = {}
        """The account of each order that risk entered and that has not ended in its book."""
        self._log_ends: dict[tuple[str, int], int] = {}
        self._sent = 0
        for partition in range(len(self.matchers)):
            self._append("matching", partition, self._origin(CONTROLS), genesis)
        for partition in range(len(self.shards)):
            self._append("accounts", partition, self._origin(CONTROLS), genesis)

    def send(self, command: ClientCommand | Control) -> None:
        """Let a client or operator say something; risk has it once it is pumped."""
        if isinstance(command, Halt | Resume):
            for partition in range(len(self.matchers)):
                self._append("matching", partition, self._origin(CONTROLS), command)
            return
        partitions = range(len(self.shards))
        if not isinstance(command, SetMark | Genesis):
            p = account_partition(command.account, len(self.shards))
            partitions = range(p, p + 1)
        is_control = type(command).__module__.endswith("controls")
        for partition in partitions:
            origin = self._origin(CONTROLS if is_control else ORDERS)
            self._append("accounts", partition, origin, command)

    def pump_risk(self, partition: int) -> bool:
        """Risk handles one message of a partition; False: there is none."""
        if not self.to_risk[partition]:
            return False
        offset, decoded = self.to_risk[partition].popleft()
        outputs = self.shards[partition].handle(offset, decoded)
        self.steps[partition].append(Step(offset, decoded, outputs))
        self._deliver(outputs)
        return True

    def pump_matcher(self, partition: int) -> bool:
        """A matcher handles one message; False: there is none."""
        if not self.to_matchers[partition]:
            return False
        offset, decoded = self.to_matchers[partition].popleft()
        outputs = self.matchers[partition].handle(offset, decoded)
        self._deliver(outputs)
        resting = self.matchers[partition]._book.orders
        for message in outputs:
            order_id = getattr(message.payload, "order_id", "")
            if order_id not in resting:
                self.open_orders.pop(order_id, None)
        return True

    def drain_risk(self) -> None:
        """Risk handles what has arrived."""
        for partition in range(len(self.shards)):
            while self.pump_risk(partition):
                pass

    def drain(self) -> None:
        """Everybody handles everything."""
        moved = True
        while moved:
            self.drain_risk()
            moved = any(list(map(self.pump_matcher, range(len(self.matchers)))))

    def said(self, command: ClientCommand | Control) -> list[Any]:
        """Send, settle, and return every report this caused, in the order risk gave them."""
        before = [len(steps) for steps in self.steps]
        self.send(command)
        self.drain()
        return [
            message.payload
            for partition, steps in enumerate(self.steps)
            for step in steps[before[partition] :]
            for message in step.outputs
            if message.topic == "executions"
        ]

    def shard_of(self, account: str) -> RiskCore:
        """The core that owns this account."""
        return self.shards[account_partition(account, len(self.shards))]

    def _deliver(self, outputs: Sequence[Message]) -> None:
        for message in outputs:
            if message.topic == "trades":
                self.trades.append(message)
            elif message.topic in {"accounts", "matching"}:
                if isinstance(message.payload, EnterOrder):
                    self.open_orders[message.payload.order_id] = message.payload.account
                self._append(message.topic, message.partition, message.origin, message.payload)

    def _append(self, topic: str, partition: int, origin: Origin, payload: msgspec.Struct) -> None:
        # Offsets leave gaps, as transaction markers do.
        offset = self._log_ends.get((topic, partition), 0)
        self._log_ends[topic, partition] = offset + (2 if offset % 5 == 0 else 1)
        queues = self.to_risk if topic == "accounts" else self.to_matchers
        queues[partition].append((offset, Decoded(origin, payload, 0)))

    def _origin(self, topic: int) -> Origin:
        self._sent += 1
        return Origin(topic, 0, self._sent, 0, 0, self.now_us, 0)
