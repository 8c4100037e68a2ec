"""A crowd's trading in memory, as an audit finds it: log, rows of the real recorder, snapshots."""

from hashlib import blake2b
from itertools import islice
from typing import Final

from services.domain import commands, controls
from services.domain.genesis import default_genesis
from services.domain.ids import make_order_id
from services.recorder.core import ARCHIVE_NUMBERS, RECORDED, TABLES, RowMaker
from services.runtime.memory import MemorySnapshots
from services.runtime.ports import Snapshot
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.tools.proof.audit.auditor import Auditor
from services.tools.proof.audit.packed_rows import PackedRows
from services.tools.proof.audit.schemas import local_schemas
from services.wire import topics
from services.wire.messages import Payload
from tests.support.memory_exchange import MemoryExchange

DEPLOYMENT_ID: Final = 7
_EVERY: Final = 50
"""Commands between two turns of the rooms: one transaction a partition holds some of them."""


class AuditedCrowd:
    """A deployment that a crowd traded on, with controls and junk among its orders."""

    def __init__(self, seed: int = 1, sent: int = 1_000) -> None:
        self.exchange = MemoryExchange()
        self.snapshots = MemorySnapshots()
        self._control(default_genesis())
        for control in crowd_controls(seed):
            self._control(control)
        self.exchange.run()
        self.trade(seed, sent)
        self.take_snapshots()

    def trade(self, seed: int, sent: int, first: int = 0) -> None:
        """Let a crowd send so many commands, with operators and strangers between the first."""
        codec = self.exchange.codec
        for outbound in islice(Crowd(seed).commands(), first, first + sent):
            value = encode(codec, outbound, 0)
            self.exchange.publish_raw(topics.ORDERS.name, outbound.index % 5, value)
            if outbound.index % _EVERY == 0:
                self.exchange.run()
            if not first and outbound.index % (sent // 3) == 1:
                self._meddle(outbound.index)
                self._amend(outbound.index)
                self.take_snapshots()
        self.exchange.run()

    def _control(self, control: Payload) -> None:
        self.exchange.publish(topics.CONTROLS.name, 0, "", control)

    def _amend(self, turn: int) -> None:
        """One account's order that is reduced, replaced and canceled, and all of its others."""
        account = "shifty"
        opened = controls.OpenAccount(f"open-{turn}", account, 99, 10**13, 10**14, True)
        self._control(opened)
        order = commands.PlaceOrder(
            account, f"o-{turn}", "NVDA", 1, 2, 1, post_only=False, price=10_000 + turn,
            quantity=9, self_trade_prevention=0,
        )  # fmt: skip
        order_id = make_order_id(account, order.client_order_id, order.ticker)
        for command in (
            order,
            commands.ReduceOrder(account, f"r-{turn}", order_id, 8),
            commands.ReplaceOrder(account, f"p-{turn}", order_id, 1_250_000, 7),
            commands.CancelOrder(account, f"c-{turn}", order_id),
            commands.CancelAll(account, f"a-{turn}", ""),
        ):
            self.exchange.publish(topics.ORDERS.name, 0, "NVDA", command)
            self.exchange.run()

    def _meddle(self, turn: int) -> None:
        """Operators at work, and strangers who write into inboxes."""
        for control in (
            controls.Halt(f"halt-{turn}", "AAPL"),
            controls.Resume(f"resume-{turn}", "AAPL"),
            controls.KillSwitch(f"kill-{turn}", "nobody", engaged=True),
            controls.OpenAccount(f"open-{turn}", f"new-{turn}", 1, 2, 3, short_allowed=False),
            controls.SetLimits(f"limit-{turn}", f"new-{turn}", "TSLA", 5, -1, -1, 1),
            controls.Deposit(f"deposit-{turn}", f"new-{turn}", "TSLA", 4),
        ):
            self._control(control)
        self.exchange.publish_raw(topics.CONTROLS.name, 0, b"not a control")
        for topic in (topics.ACCOUNTS, topics.MATCHING, topics.EXECUTIONS, topics.TRADES):
            self.exchange.publish_raw(topic.name, 1, b"\x00\x00\x00\x00\x01stranger", b"key")
        self.exchange.run()

    def take_snapshots(self) -> None:
        """What the rooms would keep of their states now."""
        for room in self.exchange.rooms:
            for place, fold in room._folds.items():
                state = fold.dump()
                if state:
                    self.snapshots.put(
                        Snapshot(
                            room.name, place.topic, place.partition, room._next[place],
                            self.exchange.log.topic_id(place.topic), 1, fold.genesis_hash(), state,
                            blake2b(state, digest_size=32).hexdigest(),
                        )
                    )  # fmt: skip

    def newest(self) -> dict[tuple[str, int], Snapshot]:
        """The newest snapshot of each inbox."""
        return {
            (topic, partition): held[max(held)]
            for (_, topic, partition), held in self.snapshots._kept.items()
        }

    def auditor(self, rows: PackedRows | None = None) -> Auditor:
        """A fresh audit of everything."""
        return Auditor(
            self.exchange.reader,
            local_schemas(),
            rows or record_rows(self.exchange),
            self.snapshots,
        )


def record_rows(exchange: MemoryExchange) -> PackedRows:
    """What the real recorder makes of the log."""
    rows = PackedRows(
        {table.name: [column.name for column in table.columns] for table in TABLES},
        ARCHIVE_NUMBERS,
    )
    maker = RowMaker(exchange.codec, DEPLOYMENT_ID)
    for topic in RECORDED:
        for place in exchange.log.partitions_of(topic.name):
            end = exchange.log.stable_offset(place)
            for table, packed in maker.rows(exchange.log.scan(place, 0, end)).by_table.items():
                for row in packed:
                    rows.add(table, row)
            rows.positions[topic.name, place.partition] = (0, end)
    return rows
