"""The matcher's fold: commands of one partition of `matching` in, events, trades and depth out.

An order is checked in this order, and refused with the first reason that applies:

NO_GENESIS, UNKNOWN_TICKER          nothing trades here, or not this ticker
INVALID_...                         what risk would never send
ORDER_ID_LIVE                       this id rests in the book
TICKER_HALTED                       a halted ticker takes cancels and refuses the rest
NO_LIQUIDITY, SPREAD_TOO_WIDE       a market order against an empty side, or over too wide a gap
WOULD_CROSS                         a post-only order that would trade
BOOK_FULL                           an order that may rest (GTC) while the book is full

Then it is accepted, trades at the makers' prices, and what remains rests (GTC) or is canceled. A
fill-or-kill order that can't fill ends at once and touches nobody's order. The incoming order's
self-trade prevention decides when it meets an order of its own account.

One command meets at most `sweep_orders_max` resting orders, filled or canceled by self-trade
prevention. If it could go on after that, what remains of the incoming (or replaced) order is
canceled with SWEEP_LIMIT: resting it would cross the book. This is looked at before the next order,
so before its account. A fill-or-kill order that would have to meet more can't fill.

A reduce or replace: NO_GENESIS, UNKNOWN_TICKER, UNKNOWN_ORDER, TICKER_HALTED, BELOW_FILLED, then
NOT_A_REDUCTION (reduce) or INVALID_PRICE, INVALID_QUANTITY, WOULD_CROSS (replace). A replace that
merely lowers the quantity keeps its priority; any other enters again, last at its price.

The mark. Each command, after it has moved the clock and before anything else, sends the last
trade price to every account partition if anything was traded since the last sending and the clock
has reached the time of that sending plus `mark_interval_us`. So the mark a command sends is that of
the commands before it. Also a price that is back where it was is sent: the shards of the accounts
that traded meanwhile know the prices in between, and an operator may have set the mark apart.

The clock is max(previous, time of this command), by the genesis' time source. Before the genesis
it stands still, and a refusal carries its command's own log time.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from services.domain import codes
from services.domain.commands import CancelOrder, EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Genesis, Halt, Instrument, Resume
from services.domain.events import (
    BookDepth,
    CancelRefused,
    Level,
    MarkChanged,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReduced,
    OrderRefused,
    OrderReplaced,
    ReplaceRefused,
    Trade,
)
from services.domain.genesis import hash_genesis
from services.domain.ids import make_trade_id
from services.domain.lineage import Arrivals, Departures
from services.domain.origin import Origin
from services.domain.reasons import Reason
from services.matcher.book import Book, Order, OrderRow
from services.matcher.checks import find_amount_fault, find_fault
from services.matcher.outbox import Outbox
from services.wire import topics
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload

FORMAT_VERSION: Final = 1
"""Of `MatcherCore.dump`."""

MIGRATIONS: Final[Mapping[int, Callable[[bytes], bytes]]] = {}
"""By the format each reads; it writes the next. A golden snapshot of every format loads for ever
(schemas/golden/snapshots), so who raises FORMAT_VERSION adds the migration from the one before."""

DEPTH_LEVELS_MAX: Final = 10
"""How many levels a side `book` shows."""

_TRADES: Final = topics.TRADES.name
_BOOK: Final = topics.BOOK.name


class _State(msgspec.Struct, frozen=True, array_like=True):
    """A dump. Equal books have equal bytes, however they are built."""

    partition: int
    genesis: Genesis | None
    arrivals: list[list[int]]
    departures: list[tuple[str, int, int]]
    now_us: int
    status: int
    last_price: int
    mark_stale: bool
    mark_due_us: int
    bids: list[OrderRow]
    asks: list[OrderRow]


class MatcherCore:
    """The fold of one partition of `matching`. Pure; called from one thread; never blocks."""

    def __init__(self, partition: int) -> None:
        self._partition: Final = partition
        self._arrivals = Arrivals()
        self._genesis: Genesis | None = None
        self._genesis_hash = ""
        self._instrument: Instrument | None = None
        self._sweep_orders_max = 0
        self._closed: Reason = Reason.NO_GENESIS
        """Why nothing can be traded here; NONE once the genesis brought an instrument."""
        self._ticker = ""
        self._id_prefix = ""
        self._now_us = 0
        self._status = codes.OPEN
        self._last_price = 0
        self._mark_stale = False
        self._mark_due_us = 0
        self._book = Book()
        self._offset = -1
        self._outbox = Outbox(partition)
        # What `book` last showed, since this fold was made: a view, and no state either.
        self._shown: BookDepth | None = None
        self._stirred = False
        self._acts: Final[dict[type[Payload], Callable[[Any], None]]] = {
            EnterOrder: self._enter,
            CancelOrder: self._cancel,
            ReduceOrder: self._reduce,
            ReplaceOrder: self._replace,
            Halt: self._halt,
            Resume: self._resume,
            Genesis: lambda _: None,  # only the first one counts, for ever
        }

    # --- what the loop calls

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        """Fold one record of `matching`; returns what it causes, in order."""
        cause = decoded.origin
        assert cause is not None, f"a record of matching without an origin at offset {offset}"
        self._arrivals.accept(cause)
        self._offset = offset
        outbox = self._outbox
        outbox.open(offset, cause.time_us, cause.event_time_us)
        self._stirred = True
        payload = decoded.payload
        if self._genesis is None and type(payload) is Genesis:
            self._begin(payload)
        if self._genesis is not None:
            outbox.time_us = self._move_clock(cause)
            if self._mark_stale and self._now_us >= self._mark_due_us:
                self._send_mark()
        self._acts[type(payload)](payload)
        return outbox.messages

    def at_batch_end(self) -> list[Message]:
        """The depth, if it is not what was shown last. Changes nothing that `handle` reads.

        Its origin is the last input's, sequence 0; its index follows that input's outputs.
        """
        if not self._stirred or self._instrument is None:
            return []
        self._stirred = False
        depth = BookDepth(
            ticker=self._ticker,
            status=self._status,
            last_price=self._last_price,
            bids=self._book.bids.depth(DEPTH_LEVELS_MAX),
            asks=self._book.asks.depth(DEPTH_LEVELS_MAX),
        )
        if depth == self._shown:
            return []
        self._shown = depth
        return [self._outbox.show(_BOOK, self._ticker, depth)]

    def dump(self) -> bytes:
        """The state: each side's orders as a list in the order in which they would trade."""
        return msgspec.msgpack.encode(
            _State(
                partition=self._partition,
                genesis=self._genesis,
                arrivals=self._arrivals.dump(),
                departures=self._outbox.departures.dump(),
                now_us=self._now_us,
                status=self._status,
                last_price=self._last_price,
                mark_stale=self._mark_stale,
                mark_due_us=self._mark_due_us,
                bids=self._book.rows(codes.BUY),
                asks=self._book.rows(codes.SELL),
            )
        )

    @classmethod
    def load(cls, partition: int, state: bytes) -> "MatcherCore":
        """From a dump.

        Raises:
            ValueError: these bytes are no dump of this format and partition.
        """
        try:
            dumped = msgspec.msgpack.decode(state, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"no state of a matcher (format {FORMAT_VERSION}): {error}"
            raise ValueError(msg) from error
        if dumped.partition != partition:
            msg = f"the state of partition {dumped.partition}, not of {partition}"
            raise ValueError(msg)
        core = cls(partition)
        if dumped.genesis is not None:
            core._begin(dumped.genesis)
        core._arrivals = Arrivals.load(dumped.arrivals)
        core._outbox.departures = Departures.load(dumped.departures)
        core._now_us = dumped.now_us
        core._status = dumped.status
        core._last_price = dumped.last_price
        core._mark_stale = dumped.mark_stale
        core._mark_due_us = dumped.mark_due_us
        core._book.load(codes.BUY, dumped.bids)
        core._book.load(codes.SELL, dumped.asks)
        return core

    def genesis_hash(self) -> str:
        """Hexadecimal BLAKE2b-256 of the genesis; empty before it."""
        return self._genesis_hash

    def depth(self, levels_max: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The best bids and asks, for who folds `matching` again and looks deeper than `book`."""
        return self._book.bids.depth(levels_max), self._book.asks.depth(levels_max)

    # --- clock and mark

    def _move_clock(self, cause: Origin) -> int:
        assert self._genesis is not None
        is_from_event = self._genesis.time_source == codes.TIME_FROM_EVENT
        time_us = cause.event_time_us if is_from_event else cause.time_us
        self._now_us = max(self._now_us, time_us)
        return self._now_us

    def _send_mark(self) -> None:
        assert self._genesis is not None
        self._mark_stale = False
        self._mark_due_us = self._now_us + self._genesis.mark_interval_us
        self._outbox.tell_all(self._ticker, MarkChanged(self._ticker, self._last_price))

    # --- controls

    def _begin(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._genesis_hash = hash_genesis(genesis)
        self._outbox.account_partitions = genesis.account_partitions
        self._sweep_orders_max = genesis.sweep_orders_max
        self._closed = Reason.UNKNOWN_TICKER
        for instrument in genesis.instruments:
            if instrument.partition == self._partition:
                self._instrument = instrument
                self._ticker = instrument.ticker
                self._id_prefix = f"{instrument.ticker}-"
                self._closed = Reason.NONE

    def _halt(self, command: Halt) -> None:
        if self._instrument is not None and command.ticker == self._ticker:
            self._status = codes.HALTED

    def _resume(self, command: Resume) -> None:
        if self._instrument is not None and command.ticker == self._ticker:
            self._status = codes.OPEN

    # --- orders

    def _enter(self, command: EnterOrder) -> None:
        reason = self._find_refusal(command)
        if reason:
            refused = OrderRefused(command.account, command.order_id, reason)
            self._outbox.tell(command.account, refused)
            return
        self._outbox.tell(command.account, OrderAccepted(command.account, command.order_id))
        if command.time_in_force == codes.FOK and not self._book.can_fill(
            command.side,
            command.price,
            command.quantity,
            command.account,
            command.self_trade_prevention,
            self._sweep_orders_max,
        ):
            self._say_canceled(command, command.quantity, Reason.FOK_UNFILLED)
            return
        left = self._sweep(command, command.quantity)
        if left == 0:
            return
        if command.time_in_force != codes.GTC:
            self._say_canceled(command, left, Reason.IOC_REMAINDER)
            return
        self._book.add(
            Order(
                command.order_id,
                command.account,
                command.side,
                command.price,
                command.quantity,
                command.quantity - left,
                command.post_only,
                command.self_trade_prevention,
            )
        )

    def _find_refusal(self, command: EnterOrder) -> Reason:
        if self._closed:
            return self._closed
        if not command.order_id.startswith(self._id_prefix):
            return Reason.UNKNOWN_TICKER
        fault = find_fault(command)
        if fault:
            return fault
        if command.order_id in self._book.orders:
            return Reason.ORDER_ID_LIVE
        if self._status == codes.HALTED:
            return Reason.TICKER_HALTED
        if command.order_type == codes.MARKET:
            return self._find_market_refusal(command.side)
        if command.time_in_force == codes.GTC:
            if command.post_only and self._book.would_cross(command.side, command.price):
                return Reason.WOULD_CROSS
            assert self._genesis is not None
            if len(self._book.orders) >= self._genesis.book_orders_max:
                return Reason.BOOK_FULL
        return Reason.NONE

    def _find_market_refusal(self, side: int) -> Reason:
        bid, ask = self._book.bids.best, self._book.asks.best
        if (ask if side == codes.BUY else bid) is None:
            return Reason.NO_LIQUIDITY
        assert self._instrument is not None
        limit = self._instrument.spread_limit
        if limit and bid is not None and ask is not None and ask.price - bid.price > limit:
            return Reason.SPREAD_TOO_WIDE
        return Reason.NONE

    def _sweep(self, taker: EnterOrder | Order, quantity: int) -> int:
        """Trade up to this many shares of an order that is not in the book.

        Returns how many remain and may rest; 0 also when they were canceled here, by self-trade
        prevention or at the most resting orders that one command may meet.
        """
        book = self._book
        side = taker.side
        limit = side * taker.price
        account = taker.account
        makers = book.side(-side)
        fills = met = 0
        while quantity:
            level = makers.best
            if level is None or side * level.price > limit:
                break
            if met == self._sweep_orders_max:
                self._say_canceled(taker, quantity, Reason.SWEEP_LIMIT)
                return 0
            met += 1
            maker = level.first
            assert maker is not None, f"an empty level at {level.price}"
            if maker.account == account:
                policy = taker.self_trade_prevention
                if policy == codes.CANCEL_INCOMING:
                    self._say_canceled(taker, quantity, Reason.SELF_TRADE)
                    return 0
                if policy == codes.CANCEL_RESTING:
                    book.remove(maker)
                    self._say_canceled(maker, maker.quantity - maker.filled, Reason.SELF_TRADE)
                    continue
            traded = min(quantity, maker.quantity - maker.filled)
            quantity -= traded
            book.fill(maker, traded)
            self._say_traded(taker, maker, traded, fills)
            fills += 1
        return quantity

    def _say_traded(
        self, taker: EnterOrder | Order, maker: Order, quantity: int, fill_number: int
    ) -> None:
        price = self._last_price = maker.price
        self._mark_stale = True
        trade_id = make_trade_id(self._ticker, self._offset, fill_number)
        bid, ask = self._book.bids.best, self._book.asks.best
        trade = Trade(
            trade_id,
            self._ticker,
            price,
            quantity,
            taker.side,
            maker.order_id,
            taker.order_id,
            maker.account,
            taker.account,
            bid.price if bid is not None else 0,
            bid.quantity if bid is not None else 0,
            ask.price if ask is not None else 0,
            ask.quantity if ask is not None else 0,
        )
        self._outbox.send(_TRADES, self._partition, self._ticker, trade)
        for order, liquidity in ((maker, codes.MAKER), (taker, codes.TAKER)):
            account = order.account
            self._outbox.tell(
                account,
                OrderFilled(account, order.order_id, trade_id, price, quantity, liquidity),
            )

    def _say_canceled(self, order: EnterOrder | Order, quantity: int, reason: Reason) -> None:
        account = order.account
        self._outbox.tell(account, OrderCanceled(account, order.order_id, "", quantity, reason))

    # --- orders that rest

    def _find_live(self, command: CancelOrder | ReduceOrder | ReplaceOrder) -> Order | None:
        """The order a command means, if it rests here and is of the command's account."""
        order = self._book.orders.get(command.order_id)
        return order if order is not None and order.account == command.account else None

    def _cancel(self, command: CancelOrder) -> None:
        account, order_id = command.account, command.order_id
        order = self._find_live(command)
        if order is None:
            reason = self._closed or Reason.UNKNOWN_ORDER
            refused = CancelRefused(account, order_id, command.client_command_id, reason)
            self._outbox.tell(account, refused)
            return
        self._book.remove(order)
        left = order.quantity - order.filled
        self._outbox.tell(
            account,
            OrderCanceled(
                account, order_id, command.client_command_id, left, Reason.CANCEL_REQUESTED
            ),
        )

    def _reduce(self, command: ReduceOrder) -> None:
        order = self._find_live(command)
        if order is None:
            self._refuse_replace(command, self._closed or Reason.UNKNOWN_ORDER)
        elif self._status == codes.HALTED:
            self._refuse_replace(command, Reason.TICKER_HALTED)
        elif command.quantity <= order.filled:
            self._refuse_replace(command, Reason.BELOW_FILLED)
        elif command.quantity >= order.quantity:
            self._refuse_replace(command, Reason.NOT_A_REDUCTION)
        else:
            self._book.reduce(order, command.quantity)
            account = command.account
            reduced = OrderReduced(
                account, command.order_id, command.client_command_id, command.quantity
            )
            self._outbox.tell(account, reduced)

    def _replace(self, command: ReplaceOrder) -> None:
        order = self._find_live(command)
        if order is None:
            self._refuse_replace(command, self._closed or Reason.UNKNOWN_ORDER)
            return
        reason = self._find_replace_refusal(command, order)
        if reason:
            self._refuse_replace(command, reason)
            return
        account, price, quantity = command.account, command.price, command.quantity
        self._outbox.tell(
            account,
            OrderReplaced(account, command.order_id, command.client_command_id, price, quantity),
        )
        if price == order.price and quantity < order.quantity:
            self._book.reduce(order, quantity)
            return
        self._book.remove(order)
        order.price, order.quantity = price, quantity
        left = self._sweep(order, quantity - order.filled)
        if left:
            order.filled = quantity - left
            self._book.add(order)

    def _find_replace_refusal(self, command: ReplaceOrder, order: Order) -> Reason:
        if self._status == codes.HALTED:
            return Reason.TICKER_HALTED
        if command.quantity <= order.filled:
            return Reason.BELOW_FILLED
        fault = find_amount_fault(command.price, command.quantity)
        if fault:
            return fault
        if order.post_only and self._book.would_cross(order.side, command.price):
            return Reason.WOULD_CROSS
        return Reason.NONE

    def _refuse_replace(self, command: ReduceOrder | ReplaceOrder, reason: Reason) -> None:
        account = command.account
        refused = ReplaceRefused(account, command.order_id, command.client_command_id, reason)
        self._outbox.tell(account, refused)
