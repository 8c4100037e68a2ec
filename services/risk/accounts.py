"""What one account partition knows: markets, accounts, holdings, orders, remembered commands.

State and its upkeep only; what may be done is decided in checks.py and limits.py. Orders and
remembered commands are structs the garbage collector does not track: there may be millions.
"""

from collections import deque
from hashlib import blake2b
from typing import Final

import msgspec

from services.domain.codes import BUY, TIME_FROM_EVENT
from services.domain.controls import Genesis, Instrument
from services.domain.origin import Origin

INHERITED: Final = -1
"""A holding's limit that is the account's default."""

FORGOTTEN_MAX: Final = 4
"""Most remembered commands one message forgets: bounded work, and more than one message adds."""


class Acceptance(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What risk knew when it let an order through; kept until NEW has reported it."""

    position_worst: int
    notional_worst: int
    exposure_worst: int
    mark: int


class PendingChange(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A replace the matcher has not answered yet."""

    client_command_id: str
    quantity: int
    """The new total it reserves for."""
    value: int
    """What each share of it is valued at, in 1/10000 dollar."""
    accepted_offset: int


class Order(msgspec.Struct, gc=False, array_like=True, tag=0):
    """One order from its arrival until it is forgotten."""

    account: str
    order_id: str
    client_order_id: str
    ticker: str
    side: int
    order_type: int
    time_in_force: int
    post_only: bool
    self_trade_prevention: int
    submitted_price: int
    """As the client stated it: with `submitted_quantity`, what a resend is compared with."""
    submitted_quantity: int
    price: int
    """As it stands now: after replaces; a market order's protection price."""
    quantity: int
    value: int
    """What each open share is valued at: max(price, mark at acceptance), 1/10000 dollar."""
    status: int
    accepted_offset: int
    """Offset of the command whose acceptance it stands on (place or replace); -1: none."""
    cause_id: str
    """The client command that last sent it into the book: what its taker fills are caused by."""
    reason: int = 0
    """Why it was rejected or canceled."""
    reserved_quantity: int = 0
    reserved_value: int = 0
    cumulative_quantity: int = 0
    cumulative_notional: int = 0
    ended_us: int = 0
    acceptance: Acceptance | None = None
    pending: PendingChange | None = None


class DoneCommand(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A command or control other than PlaceOrder, remembered to recognise a resend."""

    account: str
    client_command_id: str
    order_id: str
    """The order it was about; empty: none (CancelAll, controls)."""
    digest: bytes
    ended_us: int


class Market:
    """One ticker's rules, and its mark as this partition's log knows it."""

    __slots__ = ("mark", "rules")

    def __init__(self, rules: Instrument) -> None:
        self.rules = rules
        self.mark = 0
        """0: none yet."""


class Holding:
    """One account's position and reservations in one ticker."""

    __slots__ = (
        "buy_quantity",
        "buy_value",
        "market",
        "notional_max",
        "position",
        "position_max",
        "sell_quantity",
        "sell_value",
    )

    def __init__(self, market: Market) -> None:
        self.market = market
        self.position = 0
        self.buy_quantity = 0
        self.sell_quantity = 0
        self.buy_value = 0
        self.sell_value = 0
        self.position_max = INHERITED
        self.notional_max = INHERITED

    def reserve(self, order: Order, quantity: int, value: int) -> None:
        """Make this order count for so many shares and so much money from now on."""
        if order.side == BUY:
            self.buy_quantity += quantity - order.reserved_quantity
            self.buy_value += value - order.reserved_value
        else:
            self.sell_quantity += quantity - order.reserved_quantity
            self.sell_value += value - order.reserved_value
        order.reserved_quantity = quantity
        order.reserved_value = value


class Account:
    """One account: its limits, holdings, and orders by id."""

    __slots__ = (
        "ended",
        "exposure_max",
        "holdings",
        "killed",
        "known",
        "live",
        "name",
        "notional_max",
        "position_max",
        "sequence",
        "short_allowed",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.sequence = 0
        self.killed = False
        self.short_allowed = False
        self.position_max = 0
        self.notional_max = 0
        self.exposure_max = 0
        self.holdings: dict[str, Holding] = {}
        """By ticker; made when first needed."""
        self.live: dict[str, Order] = {}
        """Orders that can still trade, by order id, in order of entry."""
        self.ended: dict[str, Order] = {}
        """Orders that ended and are still remembered, by order id."""
        self.known: dict[str, Order | DoneCommand] = {}
        """All remembered commands and live orders, by client command id."""

    def holding(self, market: Market) -> Holding:
        """The holding in a market; an empty one if there was none."""
        found = self.holdings.get(market.rules.ticker)
        if found is None:
            found = self.holdings[market.rules.ticker] = Holding(market)
        return found

    def find_order(self, order_id: str) -> Order | None:
        """A live or remembered order of this account."""
        return self.live.get(order_id) or self.ended.get(order_id)


class Shard:
    """The whole state of one account partition."""

    __slots__ = (
        "accounts",
        "ended",
        "genesis",
        "live_count",
        "markets",
        "now_us",
    )

    def __init__(self) -> None:
        self.genesis: Genesis | None = None
        self.now_us = 0
        """The highest time a message brought; before the genesis it stands at 0."""
        self.markets: dict[str, Market] = {}
        self.accounts: dict[str, Account] = {}
        self.live_count = 0
        self.ended: deque[Order | DoneCommand] = deque()
        """What is remembered beyond live orders, oldest first."""

    def begin(self, genesis: Genesis) -> None:
        """Take the genesis; nothing is known before it."""
        self.genesis = genesis
        self.markets = {rules.ticker: Market(rules) for rules in genesis.instruments}

    def advance(self, origin: Origin) -> None:
        """Let time move to this message's, if it is later."""
        assert self.genesis is not None
        event_time = self.genesis.time_source == TIME_FROM_EVENT
        time_us = origin.event_time_us if event_time else origin.time_us
        self.now_us = max(self.now_us, time_us)

    def is_full(self) -> bool:
        """Whether no further order or command can be remembered."""
        assert self.genesis is not None
        return self.live_count + len(self.ended) >= self.genesis.remembered_max

    def enter(self, account: Account, order: Order) -> None:
        """Remember an order that is on its way to the matcher."""
        account.live[order.order_id] = order
        account.known[order.client_order_id] = order
        self.live_count += 1

    def end(self, account: Account, order: Order, status: int, reason: int) -> None:
        """A live order ended: release all it reserved, and remember it for the window."""
        account.holdings[order.ticker].reserve(order, 0, 0)
        del account.live[order.order_id]
        self.live_count -= 1
        order.status = status
        order.reason = reason
        order.pending = None
        order.acceptance = None
        self._keep(account, order)

    def remember_rejected(self, account: Account, order: Order) -> None:
        """Remember an order that never went to the matcher."""
        account.known[order.client_order_id] = order
        self._keep(account, order)

    def _keep(self, account: Account, order: Order) -> None:
        order.ended_us = self.now_us
        account.ended[order.order_id] = order
        self.ended.append(order)

    def remember_command(
        self, account: Account, client_command_id: str, order_id: str, digest: bytes
    ) -> None:
        """Remember a done command, unless the table is full: then a resend is a new command."""
        if self.is_full():
            return
        command = DoneCommand(account.name, client_command_id, order_id, digest, self.now_us)
        account.known[client_command_id] = command
        self.ended.append(command)

    def forget(self) -> None:
        """Forget what ended longer ago than the genesis says, a few each message."""
        if not self.ended:
            return
        assert self.genesis is not None
        oldest_us = self.now_us - self.genesis.remember_ended_us
        for _ in range(FORGOTTEN_MAX):
            if not self.ended or self.ended[0].ended_us >= oldest_us:
                return
            gone = self.ended.popleft()
            account = self.accounts[gone.account]
            if isinstance(gone, Order):
                del account.known[gone.client_order_id]
                del account.ended[gone.order_id]
            else:
                del account.known[gone.client_command_id]


def digest_payload(command: msgspec.Struct) -> bytes:
    """What a command says, in 16 bytes; the kind of command is part of it."""
    return blake2b(
        type(command).__name__.encode() + _ENCODER.encode(command), digest_size=16
    ).digest()


_ENCODER: Final = msgspec.msgpack.Encoder()
