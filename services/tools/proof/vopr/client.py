"""Everybody outside: clients and operators who write, resend, blunder, and read what is said."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from services.domain import codes
from services.domain.amounts import format_price
from services.domain.commands import (
    CancelAll,
    CancelOrder,
    ClientCommand,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import (
    Control,
    Deposit,
    Halt,
    KillSwitch,
    Resume,
    SetLimits,
    SetMark,
)
from services.domain.ids import make_order_id
from services.gateway.core.read_model import TRADING_FEEDS, ReadModel
from services.runtime.memory_log import MemoryLog
from services.runtime.ports import Outgoing, TopicPartition
from services.tools.market.mischief import junk_bytes, wrong_command
from services.tools.proof.vopr.market import ACCOUNTS, MARK, MARKET_TICKERS, QUANTITY_MAX, TICK
from services.wire.codec import Codec
from services.wire.topics import CONTROLS, ORDERS, TICKER_PARTITIONS

_RECENT_ORDERS: Final = 24
_LEVELS: Final = 2
"""Prices lie so many ticks around the mark at most."""
_SIDES: Final = (codes.BUY, codes.SELL)
_FORMS: Final = (
    (codes.LIMIT, codes.GTC, False),
    (codes.LIMIT, codes.GTC, False),
    (codes.LIMIT, codes.GTC, False),
    (codes.LIMIT, codes.GTC, True),
    (codes.LIMIT, codes.IOC, False),
    (codes.LIMIT, codes.FOK, False),
    (codes.MARKET, codes.IOC, False),
)
_PREVENTIONS: Final = (
    codes.CANCEL_RESTING,
    codes.CANCEL_RESTING,
    codes.CANCEL_INCOMING,
    codes.ALLOW_SELF_TRADE,
)


class Sent(msgspec.Struct, frozen=True):
    """One record as somebody wrote it, or means to."""

    topic: str
    partition: int
    value: bytes
    account: str
    """Empty: no answer names one."""
    command_id: str
    """Empty: nobody can be answered."""


class Client:
    """All clients and operators of one exchange.

    Args:
        tickers: how many of the marked tickers are traded.
    """

    def __init__(self, random: Random, log: MemoryLog, codec: Codec, tickers: int) -> None:
        self._random = random
        self._log = log
        self._codec = codec
        self._tickers = MARKET_TICKERS[:tickers]
        self._orders: deque[PlaceOrder] = deque(maxlen=_RECENT_ORDERS)
        self._sent: deque[Sent] = deque(maxlen=40)
        self._numbers = 0
        self.unacknowledged: deque[Sent] = deque()
        """Their writer does not know whether they are in the log, and will write them again."""
        self.acknowledged: dict[tuple[str, int, int], Sent] = {}
        """By topic, partition and offset, as the log told their writer."""
        self.planned: deque[Control] = deque()
        """Controls of the opening that are not written yet."""
        self.model = ReadModel(codec, 1_000, 1_000, 5, 5, 1_000)
        self._read_to: dict[TopicPartition, int] = {
            at: 0 for feed in TRADING_FEEDS for at in log.partitions_of(feed.name)
        }

    # --- writing

    def act(self) -> str:
        """Write one record; says what."""
        drawn = self._random.random()
        if self.planned and drawn < 0.7:
            return self._publish(self._of_control(self.planned.popleft()))
        if drawn < 0.06:
            return self._publish(self._of_control(self._control()))
        if drawn < 0.09:
            junk = junk_bytes(self._random)
            topic = ORDERS.name if drawn < 0.085 else CONTROLS.name
            return self._publish(Sent(topic, 0, junk, "", ""))
        if drawn < 0.15 and self._sent:
            return self._publish(self._pick(self._sent))
        return self._publish(self._of_command(self._command()))

    def resend(self) -> str:
        """Write again what may have been lost."""
        if not self.unacknowledged:
            return "nothing to resend"
        return self._publish(self.unacknowledged.popleft())

    def lose_acknowledgement(self) -> str:
        """Write, or not, a command whose writer will not know it."""
        sent = self._of_command(self._command())
        if self._random.random() < 0.6:
            self._append(sent)
        self.unacknowledged.append(sent)
        return f"unknown {sent.command_id}"

    def _publish(self, sent: Sent) -> str:
        offset = self._append(sent)
        self.acknowledged[sent.topic, sent.partition, offset] = sent
        self._sent.append(sent)
        return f"{sent.topic}/{sent.partition}@{offset} {sent.command_id or 'junk'}"

    def _append(self, sent: Sent) -> int:
        return self._log.append(Outgoing(sent.topic, sent.partition, None, sent.value))

    def _pick[T](self, of: "deque[T] | tuple[T, ...]") -> T:
        return of[int(self._random.random() * len(of))]

    def _number(self) -> str:
        self._numbers += 1
        return f"c{self._numbers}"

    # --- what clients ask for

    def compose(self) -> Sent:
        """A command that is not written yet."""
        return self._of_command(self._command())

    def _command(self) -> ClientCommand:
        drawn = self._random.random()
        if drawn < 0.6 or not self._orders:
            return self._place()
        # Rather a recent one: it may still be on its way.
        order = self._orders[
            -1 - int(drawn * 1e6) % len(self._orders) // (1 + int(drawn * 1e5) % 4)
        ]
        order_id = make_order_id(order.account, order.client_order_id, order.ticker)
        if drawn < 0.74:
            quantity = 1 + int(self._random.random() * QUANTITY_MAX)
            return ReplaceOrder(order.account, self._number(), order_id, self._price(), quantity)
        if drawn < 0.82:
            quantity = 1 + int(self._random.random() * order.quantity)
            return ReduceOrder(order.account, self._number(), order_id, quantity)
        if drawn < 0.93:
            account = order.account if drawn < 0.92 else self._pick(ACCOUNTS)
            return CancelOrder(account, self._number(), order_id)
        if drawn < 0.96:
            ticker = order.ticker if drawn < 0.945 else ""
            return CancelAll(order.account, self._number(), ticker)
        good = msgspec.structs.replace(order, price=MARK, client_order_id=self._number())
        return wrong_command(self._random, good)

    def _place(self) -> PlaceOrder:
        random = self._random
        if self._orders and random.random() < 0.02:
            # The same id with another payload while it is known; a new order once forgotten.
            known = self._pick(self._orders)
            return msgspec.structs.replace(known, quantity=known.quantity + 1)
        order_type, time_in_force, post_only = self._pick(_FORMS)
        order = PlaceOrder(
            self._pick(ACCOUNTS),
            self._number(),
            self._pick(self._tickers),
            self._pick(_SIDES),
            order_type,
            time_in_force,
            post_only,
            0 if order_type == codes.MARKET else self._price(),
            1 + int(random.random() ** 2 * QUANTITY_MAX),
            self._pick(_PREVENTIONS),
        )
        if time_in_force == codes.GTC or random.random() < 0.2:
            self._orders.append(order)
        return order

    def _price(self) -> int:
        return MARK + TICK * (int(self._random.random() * (2 * _LEVELS + 1)) - _LEVELS)

    def _of_command(self, command: ClientCommand) -> Sent:
        drawn = self._random.random()
        command_id = (
            command.client_order_id
            if isinstance(command, PlaceOrder)
            else command.client_command_id
        )
        spelled = _json_of(command) if drawn < 0.1 else None
        value = spelled or self._codec.encode_command(ORDERS.name, command)
        partition = int(drawn * 1e6) % TICKER_PARTITIONS if drawn < 0.3 else len(command.account)
        return Sent(ORDERS.name, partition % TICKER_PARTITIONS, value, command.account, command_id)

    # --- what operators ask for

    def _control(self) -> Control:
        random = self._random
        account, ticker, number = self._pick(ACCOUNTS), self._pick(self._tickers), self._number()
        quantity = 1 + int(random.random() * QUANTITY_MAX)
        wide = 3 * QUANTITY_MAX
        makers: tuple[Callable[[], Control], ...] = (
            lambda: SetLimits(number, account, "", quantity + 20, -1, -1, -1),
            lambda: SetLimits(number, account, ticker, 2 * quantity, quantity * MARK, -1, -1),
            # What was lowered is raised again, else a long run would end with nobody trading.
            lambda: SetLimits(number, account, "", wide, wide * MARK, wide * MARK, -1),
            lambda: SetLimits(number, account, ticker, wide, wide * MARK, -1, -1),
            lambda: Deposit(number, account, ticker, quantity - 10),
            lambda: KillSwitch(number, account, random.random() < 0.3),
            lambda: KillSwitch(number, account, engaged=False),
            lambda: Halt(number, ticker),
            lambda: Resume(number, ticker),
            lambda: Resume(number, ticker),
            lambda: Resume(number, ticker),
            lambda: SetMark(number, ticker, MARK + TICK * (quantity - 15)),
        )
        return self._pick(makers)()

    def _of_control(self, control: Control) -> Sent:
        value = self._codec.encode_command(CONTROLS.name, control)
        account = getattr(control, "account", "")
        return Sent(CONTROLS.name, 0, value, account, control.client_command_id)

    # --- reading

    def read(self) -> int:
        """Fold what is new on the feeds, as the gateway does; how many records that was."""
        count = 0
        for at, position in self._read_to.items():
            stable = self._log.stable_offset(at)
            if position < stable:
                for record in self._log.scan(at, position, stable):
                    self.model.fold(at.topic, record.key, record.value)
                    count += 1
                self._read_to[at] = stable
        return count


def _json_of(command: ClientCommand) -> bytes | None:
    """The command as console tools spell it; None if it can't be spelled so."""
    document = {"type": type(command).__name__} | msgspec.structs.asdict(command)
    if isinstance(command, PlaceOrder):
        named = (
            ("side", codes.SIDE_NAMES),
            ("order_type", codes.ORDER_TYPE_NAMES),
            ("time_in_force", codes.TIME_IN_FORCE_NAMES),
            ("self_trade_prevention", codes.SELF_TRADE_PREVENTION_NAMES),
        )
        for name, names in named:
            if document[name] not in names:
                return None
            document[name] = names[document[name]]
    if "price" in document:
        document["price"] = format_price(document["price"])
    return msgspec.json.encode(document)
