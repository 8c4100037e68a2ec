"""A matcher that is slow and plainly right, to hold the fast one against.

All its orders lie in one list in order of arrival; whoever needs the next order to trade sorts
it. It shares no code with services/matcher, only the words: commands in, messages out, dump.
"""

from typing import Any

import msgspec

from services.domain import codes, controls, events
from services.domain import commands as asked
from services.domain.events import (
    BookDepth,
    CancelRefused,
    Level,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderRefused,
    OrderReplaced,
    ReplaceRefused,
    Trade,
)
from services.domain.genesis import hash_genesis
from services.domain.origin import MATCHING, Origin
from services.domain.reasons import Reason
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload
from services.wire.partition import account_partition

PRICE_MAX = 1_000_000_000
QUANTITY_MAX = 1_000_000_000


class Rest:
    """One resting order."""

    def __init__(self, command: asked.EnterOrder, left: int) -> None:
        self.order_id = command.order_id
        self.account = command.account
        self.side = command.side
        self.price = command.price
        self.quantity = command.quantity
        self.left = left
        self.post_only = command.post_only
        self.self_trade_prevention = command.self_trade_prevention

    def row(self) -> list[object]:
        filled = self.quantity - self.left
        return [self.order_id, self.account, self.price, self.quantity, filled,
                self.post_only, self.self_trade_prevention]  # fmt: skip


type Taker = asked.EnterOrder | Rest


class PlainMatcher:
    """The same entries and the same dump as services.matcher.core.MatcherCore."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.genesis: controls.Genesis | None = None
        self.ticker = ""
        self.spread_limit = 0
        self.rests: list[Rest] = []
        self.seen: dict[tuple[int, int], tuple[int, int, int]] = {}
        self.sent: dict[tuple[str, int], int] = {}
        self.now_us = 0
        self.status = codes.OPEN
        self.last_price = 0
        self.unsent_trade = False
        self.mark_due_us = 0
        self.cause = Origin(MATCHING, partition, -1, 0, 0, 0, 0)
        self.messages: list[Message] = []
        self.shown: BookDepth | None = None

    # --- the loop's side

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        cause, command = decoded.origin, decoded.payload
        assert cause is not None
        self.seen[cause.topic, cause.partition] = (cause.offset, cause.index, cause.sequence)
        if self.genesis is None and isinstance(command, controls.Genesis):
            self.begin(command)
        time_us = cause.time_us
        if self.genesis:
            if self.genesis.time_source == codes.TIME_FROM_EVENT:
                time_us = cause.event_time_us
            time_us = self.now_us = max(self.now_us, time_us)
        self.cause = Origin(MATCHING, self.partition, offset, 0, 0, time_us, cause.event_time_us)
        self.messages = []
        if self.genesis and self.unsent_trade and time_us >= self.mark_due_us:
            self.unsent_trade = False
            self.mark_due_us = time_us + self.genesis.mark_interval_us
            for partition in range(self.genesis.account_partitions):
                mark = events.MarkChanged(self.ticker, self.last_price)
                self.send("accounts", partition, self.ticker, mark)
        match command:
            case asked.EnterOrder():
                self.enter(command)
            case asked.CancelOrder():
                self.cancel(command)
            case asked.ReduceOrder():
                self.reduce(command)
            case asked.ReplaceOrder():
                self.replace(command)
            case controls.Halt() if self.ticker and command.ticker == self.ticker:
                self.status = codes.HALTED
            case controls.Resume() if self.ticker and command.ticker == self.ticker:
                self.status = codes.OPEN
        return self.messages

    def at_batch_end(self) -> list[Message]:
        bids, asks = (tuple(self.levels(side)[:10]) for side in (codes.BUY, codes.SELL))
        depth = BookDepth(self.ticker, self.status, self.last_price, bids, asks)
        if not self.ticker or depth == self.shown:
            return []
        self.shown = depth
        origin = msgspec.structs.replace(self.cause, index=len(self.messages))
        return [Message("book", self.partition, self.ticker, origin, depth)]

    def dump(self) -> bytes:
        return msgspec.msgpack.encode([
            self.partition,
            self.genesis,
            [[*source, *last] for source, last in sorted(self.seen.items())],
            [[*target, count] for target, count in sorted(self.sent.items())],
            self.now_us,
            self.status,
            self.last_price,
            self.unsent_trade,
            self.mark_due_us,
            [rest.row() for rest in self.queue(codes.BUY)],
            [rest.row() for rest in self.queue(codes.SELL)],
        ])  # fmt: skip

    def genesis_hash(self) -> str:
        return hash_genesis(self.genesis) if self.genesis else ""

    def begin(self, genesis: controls.Genesis) -> None:
        self.genesis = genesis
        for instrument in genesis.instruments:
            if instrument.partition == self.partition:
                self.ticker = instrument.ticker
                self.spread_limit = instrument.spread_limit

    def send(self, topic: str, partition: int, key: str, payload: Payload) -> None:
        count = self.sent[topic, partition] = self.sent.get((topic, partition), 0) + 1
        origin = msgspec.structs.replace(self.cause, index=len(self.messages), sequence=count)
        self.messages.append(Message(topic, partition, key, origin, payload))

    def tell(self, account: str, payload: Payload) -> None:
        partitions = self.genesis.account_partitions if self.genesis else 4
        self.send("accounts", account_partition(account, partitions), account, payload)

    # --- the book's side

    def queue(self, side: int) -> list[Rest]:
        """Orders of one side, the next to trade first."""
        return sorted((r for r in self.rests if r.side == side), key=lambda r: -side * r.price)

    def levels(self, side: int) -> list[Level]:
        found: list[Level] = []
        for price in sorted({r.price for r in self.rests if r.side == side}, reverse=side > 0):
            here = [r for r in self.rests if r.side == side and r.price == price]
            found.append(Level(price, sum(r.left for r in here), len(here)))
        return found

    def meets(self, side: int, price: int) -> list[Rest]:
        """Orders that an order with this limit may trade with, in order."""
        return [r for r in self.queue(-side) if side * r.price <= side * price]

    def most(self) -> int:
        """How many resting orders one command may meet."""
        return self.genesis.sweep_orders_max if self.genesis else 0

    def missing(self) -> Reason:
        if self.genesis is None:
            return Reason.NO_GENESIS
        return Reason.NONE if self.ticker else Reason.UNKNOWN_TICKER

    def find(self, order_id: str, account: str) -> Rest | None:
        for rest in self.rests:
            if (rest.order_id, rest.account) == (order_id, account):
                return rest
        return None

    def enter(self, c: asked.EnterOrder) -> None:
        reason = self.refusal(c)
        if reason:
            self.tell(c.account, OrderRefused(c.account, c.order_id, reason))
            return
        self.tell(c.account, events.OrderAccepted(c.account, c.order_id))
        if c.time_in_force == codes.FOK and self.within_reach(c) < c.quantity:
            self.end(c, c.quantity, Reason.FOK_UNFILLED)
            return
        left = self.trade(c, c.quantity)
        if left and c.time_in_force == codes.GTC:
            self.rests.append(Rest(c, left))
        elif left:
            self.end(c, left, Reason.IOC_REMAINDER)

    def refusal(self, c: asked.EnterOrder) -> Reason:
        """The first that applies of a table in the order in which it is promised."""
        bids, asks = self.queue(codes.BUY), self.queue(codes.SELL)
        is_market = c.order_type == codes.MARKET
        gap = asks[0].price - bids[0].price if bids and asks else 0
        known_tif = c.time_in_force in {1, 3, 4}
        sane = c.time_in_force == codes.IOC if is_market else True
        sane = sane and (not c.post_only or c.time_in_force == codes.GTC)
        allowed = self.genesis.book_orders_max if self.genesis else 0
        table = [
            (bool(self.missing()), self.missing()),
            (not c.order_id.startswith(self.ticker + "-"), Reason.UNKNOWN_TICKER),
            (c.side not in {1, -1}, Reason.INVALID_SIDE),
            (c.order_type not in {1, 2}, Reason.INVALID_ORDER_TYPE),
            (not known_tif, Reason.INVALID_TIME_IN_FORCE),
            (not sane, Reason.INVALID_COMBINATION),
            (c.self_trade_prevention not in {0, 1, 2}, Reason.INVALID_SELF_TRADE_PREVENTION),
            (c.price < 1 or c.price > PRICE_MAX, Reason.INVALID_PRICE),
            (c.quantity < 1 or c.quantity > QUANTITY_MAX, Reason.INVALID_QUANTITY),
            (c.order_id in [r.order_id for r in self.rests], Reason.ORDER_ID_LIVE),
            (self.status == codes.HALTED, Reason.TICKER_HALTED),
            (is_market and not (asks if c.side > 0 else bids), Reason.NO_LIQUIDITY),
            (is_market and 0 < self.spread_limit < gap, Reason.SPREAD_TOO_WIDE),
            (c.post_only and bool(self.meets(c.side, c.price)), Reason.WOULD_CROSS),
            (c.time_in_force == codes.GTC and len(self.rests) >= allowed, Reason.BOOK_FULL),
        ]
        return next((reason for applies, reason in table if applies), Reason.NONE)

    def within_reach(self, c: asked.EnterOrder) -> int:
        """Shares that an order could get, by its self-trade prevention and the bound of a sweep."""
        shares = 0
        for rest in self.meets(c.side, c.price)[: self.most()]:
            if rest.account == c.account and c.self_trade_prevention == codes.CANCEL_INCOMING:
                break
            if rest.account != c.account or c.self_trade_prevention == codes.ALLOW_SELF_TRADE:
                shares += rest.left
        return shares

    def trade(self, taker: Taker, left: int) -> int:
        met: list[Rest] = []
        fill = 0
        while left and (found := self.meets(taker.side, taker.price)):
            if len(met) == self.most():
                self.end(taker, left, Reason.SWEEP_LIMIT)
                return 0
            maker = found[0]
            met.append(maker)
            if maker.account == taker.account and taker.self_trade_prevention == 1:
                self.end(taker, left, Reason.SELF_TRADE)
                return 0
            if maker.account == taker.account and taker.self_trade_prevention == 0:
                self.rests.remove(maker)
                self.end(maker, maker.left, Reason.SELF_TRADE)
                continue
            quantity = min(left, maker.left)
            left -= quantity
            maker.left -= quantity
            if maker.left == 0:
                self.rests.remove(maker)
            self.report(taker, maker, quantity, fill)
            fill += 1
        return left

    def report(self, taker: Taker, maker: Rest, quantity: int, fill: int) -> None:
        self.last_price = price = maker.price
        self.unsent_trade = True
        trade_id = f"{self.ticker}-{self.cause.offset}-{fill}"
        bid = (self.levels(codes.BUY) or [Level(0, 0, 0)])[0]
        ask = (self.levels(codes.SELL) or [Level(0, 0, 0)])[0]
        trade = Trade(
            trade_id=trade_id, ticker=self.ticker, price=price, quantity=quantity,
            aggressor_side=taker.side,
            maker_order_id=maker.order_id, taker_order_id=taker.order_id,
            maker_account=maker.account, taker_account=taker.account,
            bid=bid.price, bid_quantity=bid.quantity, ask=ask.price, ask_quantity=ask.quantity,
        )  # fmt: skip
        self.send("trades", self.partition, self.ticker, trade)
        for who, role in ((maker, codes.MAKER), (taker, codes.TAKER)):
            filled = OrderFilled(who.account, who.order_id, trade_id, price, quantity, role)
            self.tell(who.account, filled)

    def end(self, order: Taker, left: int, reason: Reason) -> None:
        self.tell(order.account, OrderCanceled(order.account, order.order_id, "", left, reason))

    def cancel(self, c: asked.CancelOrder) -> None:
        rest = self.find(c.order_id, c.account)
        ids = (c.account, c.order_id, c.client_command_id)
        if rest is None:
            self.tell(c.account, CancelRefused(*ids, self.missing() or Reason.UNKNOWN_ORDER))
            return
        self.rests.remove(rest)
        self.tell(c.account, OrderCanceled(*ids, rest.left, Reason.CANCEL_REQUESTED))

    def reduce(self, c: asked.ReduceOrder) -> None:
        rest = self.find(c.order_id, c.account)
        ids = (c.account, c.order_id, c.client_command_id)
        reason = self.change_refusal(rest, c.quantity)
        if not reason and rest and c.quantity >= rest.quantity:
            reason = Reason.NOT_A_REDUCTION
        if reason or rest is None:
            self.tell(c.account, ReplaceRefused(*ids, reason))
            return
        rest.left -= rest.quantity - c.quantity
        rest.quantity = c.quantity
        self.tell(c.account, OrderReduced(*ids, c.quantity))

    def replace(self, c: asked.ReplaceOrder) -> None:
        rest = self.find(c.order_id, c.account)
        ids = (c.account, c.order_id, c.client_command_id)
        reason = self.change_refusal(rest, c.quantity)
        if not reason and rest:
            table = [
                (c.price < 1 or c.price > PRICE_MAX, Reason.INVALID_PRICE),
                (c.quantity > QUANTITY_MAX, Reason.INVALID_QUANTITY),
                (rest.post_only and bool(self.meets(rest.side, c.price)), Reason.WOULD_CROSS),
            ]
            reason = next((reason for applies, reason in table if applies), Reason.NONE)
        if reason or rest is None:
            self.tell(c.account, ReplaceRefused(*ids, reason))
            return
        self.tell(c.account, OrderReplaced(*ids, c.price, c.quantity))
        is_reduction = c.price == rest.price and c.quantity < rest.quantity
        rest.left -= rest.quantity - c.quantity
        rest.price, rest.quantity = c.price, c.quantity
        if is_reduction:
            return
        self.rests.remove(rest)
        rest.left = self.trade(rest, rest.left)
        if rest.left:
            self.rests.append(rest)

    def change_refusal(self, rest: Rest | None, quantity: int) -> Reason:
        if rest is None:
            return self.missing() or Reason.UNKNOWN_ORDER
        if self.status == codes.HALTED:
            return Reason.TICKER_HALTED
        return Reason.BELOW_FILLED if quantity <= rest.quantity - rest.left else Reason.NONE
