"""A deliberately plain matcher, the yardstick of `outcry bench matcher-core`.

A dict of deques a side, min() or max() for the best price (kept until its level is gone), a scan
of the deque to cancel: what one writes in an afternoon. It takes the same commands as
services/matcher/core.py, makes the same checks in the same order and gives the same messages,
byte for byte (tests/property/matcher holds the two together), so that the comparison is fair.
It keeps no snapshots.
"""

from collections import deque
from typing import Any, Final

from services.domain import codes, events
from services.domain.commands import CancelOrder, EnterOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Genesis, Halt, Resume
from services.domain.ids import make_trade_id
from services.domain.lineage import Arrivals, Departures
from services.domain.origin import MATCHING, Origin
from services.domain.reasons import Reason
from services.matcher.checks import find_amount_fault, find_fault
from services.wire.codec import Decoded
from services.wire.messages import Message, Payload
from services.wire.partition import account_partition
from services.wire.topics import ACCOUNT_PARTITIONS

_DEPTH_LEVELS_MAX: Final = 10


class _Rest:
    __slots__ = ("account", "left", "order_id", "post_only", "price", "quantity", "side", "stp")

    def __init__(self, command: EnterOrder, left: int) -> None:
        self.order_id = command.order_id
        self.account = command.account
        self.side = command.side
        self.price = command.price
        self.quantity = command.quantity
        self.left = left
        self.post_only = command.post_only
        self.stp = command.self_trade_prevention


class _Half:
    """One side: its levels, and the best price while it is known."""

    __slots__ = ("best", "levels", "pick")

    def __init__(self, side: int) -> None:
        self.levels: dict[int, deque[_Rest]] = {}
        self.pick = max if side == codes.BUY else min
        self.best = 0

    def best_price(self) -> int:
        """0 while the side is empty."""
        if not self.best and self.levels:
            self.best = self.pick(self.levels)
        return self.best

    def add(self, rest: _Rest) -> None:
        if rest.price in self.levels:
            self.levels[rest.price].append(rest)
            return
        self.levels[rest.price] = deque((rest,))
        if self.best:
            self.best = self.pick(self.best, rest.price)

    def remove(self, rest: _Rest) -> None:
        level = self.levels[rest.price]
        level.remove(rest)
        if not level:
            del self.levels[rest.price]
            if rest.price == self.best:
                self.best = 0

    def best_quantity(self) -> int:
        best = self.best_price()
        return sum([rest.left for rest in self.levels[best]]) if best else 0

    def depth(self) -> tuple[events.Level, ...]:
        prices = sorted(self.levels, reverse=self.pick is max)[:_DEPTH_LEVELS_MAX]
        levels = [(price, self.levels[price]) for price in prices]
        return tuple(
            events.Level(price, sum([rest.left for rest in level]), len(level))
            for price, level in levels
        )


class PlainMatcher:
    """The entries of MatcherCore that a live run calls."""

    def __init__(self, partition: int) -> None:
        self._partition: Final = partition
        self._arrivals = Arrivals()
        self._departures = Departures()
        self._genesis: Genesis | None = None
        self._ticker = ""
        self._spread_limit = 0
        self._sweep_orders_max = 0
        self._now_us = 0
        self._status = codes.OPEN
        self._last_price = 0
        self._traded_since_mark = False
        self._mark_due_us = 0
        self._rests: dict[str, _Rest] = {}
        self._halves = {side: _Half(side) for side in (codes.BUY, codes.SELL)}
        self._out: list[Message] = []
        self._offset = -1
        self._time_us = 0
        self._event_time_us = 0
        self._shown: events.BookDepth | None = None

    def handle(self, offset: int, decoded: Decoded[Any]) -> list[Message]:
        """Fold one record of `matching`."""
        cause, command = decoded.origin, decoded.payload
        assert cause is not None
        self._arrivals.accept(cause)
        self._out = []
        self._offset = offset
        self._event_time_us = cause.event_time_us
        self._time_us = cause.time_us
        if self._genesis is None and isinstance(command, Genesis):
            self._begin(command)
        if self._genesis is not None:
            is_from_event = self._genesis.time_source == codes.TIME_FROM_EVENT
            time_us = cause.event_time_us if is_from_event else cause.time_us
            self._time_us = self._now_us = max(self._now_us, time_us)
            if self._traded_since_mark and self._now_us >= self._mark_due_us:
                self._traded_since_mark = False
                self._mark_due_us = self._now_us + self._genesis.mark_interval_us
                for partition in range(self._genesis.account_partitions):
                    mark = events.MarkChanged(self._ticker, self._last_price)
                    self._emit("accounts", partition, self._ticker, mark)
        if isinstance(command, EnterOrder):
            self._enter(command)
        elif isinstance(command, CancelOrder):
            self._cancel(command)
        elif isinstance(command, ReduceOrder | ReplaceOrder):
            self._change(command)
        elif isinstance(command, Halt | Resume) and command.ticker == self._ticker != "":
            self._status = codes.HALTED if isinstance(command, Halt) else codes.OPEN
        return self._out

    def at_batch_end(self) -> list[Message]:
        """The depth, if it changed."""
        bids, asks = self._halves[codes.BUY].depth(), self._halves[codes.SELL].depth()
        depth = events.BookDepth(self._ticker, self._status, self._last_price, bids, asks)
        if not self._ticker or depth == self._shown:
            return []
        self._shown = depth
        return [Message("book", self._partition, self._ticker, self._origin(0), depth)]

    def _begin(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._sweep_orders_max = genesis.sweep_orders_max
        for instrument in genesis.instruments:
            if instrument.partition == self._partition:
                self._ticker = instrument.ticker
                self._spread_limit = instrument.spread_limit

    def _origin(self, sequence: int) -> Origin:
        return Origin(
            MATCHING,
            self._partition,
            self._offset,
            len(self._out),
            sequence,
            self._time_us,
            self._event_time_us,
        )

    def _emit(self, topic: str, partition: int, key: str, payload: Payload) -> None:
        cause = self._origin(self._departures.next(topic, partition))
        self._out.append(Message(topic, partition, key, cause, payload))

    def _tell(self, account: str, payload: Payload) -> None:
        partitions = self._genesis.account_partitions if self._genesis else ACCOUNT_PARTITIONS
        self._emit("accounts", account_partition(account, partitions), account, payload)

    def _enter(self, command: EnterOrder) -> None:
        account, order_id = command.account, command.order_id
        reason = self._find_refusal(command)
        if reason:
            self._tell(account, events.OrderRefused(account, order_id, reason))
            return
        self._tell(account, events.OrderAccepted(account, order_id))
        if command.time_in_force == codes.FOK and not self._can_fill(command):
            self._end(command, command.quantity, Reason.FOK_UNFILLED)
            return
        left = self._trade(command, command.quantity, command.self_trade_prevention)
        if not left:
            return
        if command.time_in_force == codes.GTC:
            rest = self._rests[order_id] = _Rest(command, left)
            self._halves[rest.side].add(rest)
        else:
            self._end(command, left, Reason.IOC_REMAINDER)

    def _find_refusal(self, command: EnterOrder) -> Reason:
        if self._genesis is None:
            return Reason.NO_GENESIS
        if not self._ticker or not command.order_id.startswith(self._ticker + "-"):
            return Reason.UNKNOWN_TICKER
        fault = find_fault(command)
        if fault:
            return fault
        if command.order_id in self._rests:
            return Reason.ORDER_ID_LIVE
        if self._status == codes.HALTED:
            return Reason.TICKER_HALTED
        if command.order_type == codes.MARKET:
            bid = self._halves[codes.BUY].best_price()
            ask = self._halves[codes.SELL].best_price()
            if not (ask if command.side == codes.BUY else bid):
                return Reason.NO_LIQUIDITY
            if self._spread_limit and bid and ask and ask - bid > self._spread_limit:
                return Reason.SPREAD_TOO_WIDE
        if command.post_only and self._crosses(command.side, command.price):
            return Reason.WOULD_CROSS
        if command.time_in_force == codes.GTC and len(self._rests) >= self._genesis.book_orders_max:
            return Reason.BOOK_FULL
        return Reason.NONE

    def _crosses(self, side: int, price: int) -> bool:
        best = self._halves[-side].best_price()
        return best != 0 and (best <= price if side == codes.BUY else best >= price)

    def _can_fill(self, command: EnterOrder) -> bool:
        side, left, met = command.side, command.quantity, 0
        levels = self._halves[-side].levels
        for price in sorted(levels, reverse=side == codes.SELL):
            if price > command.price if side == codes.BUY else price < command.price:
                return False
            for rest in levels[price]:
                met += 1
                if met > self._sweep_orders_max:
                    return False
                if rest.account == command.account:
                    if command.self_trade_prevention == codes.CANCEL_INCOMING:
                        return False
                    if command.self_trade_prevention == codes.CANCEL_RESTING:
                        continue
                left -= rest.left
                if left <= 0:
                    return True
        return False

    def _trade(self, taker: EnterOrder | _Rest, left: int, stp: int) -> int:
        makers = self._halves[-taker.side]
        fill = met = 0
        while left and self._crosses(taker.side, taker.price):
            met += 1
            if met > self._sweep_orders_max:
                self._end(taker, left, Reason.SWEEP_LIMIT)
                return 0
            maker = makers.levels[makers.best_price()][0]
            if maker.account == taker.account and stp == codes.CANCEL_INCOMING:
                self._end(taker, left, Reason.SELF_TRADE)
                return 0
            if maker.account == taker.account and stp == codes.CANCEL_RESTING:
                self._remove(maker)
                self._end(maker, maker.left, Reason.SELF_TRADE)
                continue
            quantity = min(left, maker.left)
            left -= quantity
            maker.left -= quantity
            if not maker.left:
                self._remove(maker)
            self._report(taker, maker, quantity, fill)
            fill += 1
        return left

    def _report(self, taker: EnterOrder | _Rest, maker: _Rest, quantity: int, fill: int) -> None:
        bids, asks = self._halves[codes.BUY], self._halves[codes.SELL]
        price = self._last_price = maker.price
        self._traded_since_mark = True
        trade_id = make_trade_id(self._ticker, self._offset, fill)
        trade = events.Trade(
            trade_id,
            self._ticker,
            price,
            quantity,
            taker.side,
            maker.order_id,
            taker.order_id,
            maker.account,
            taker.account,
            bids.best_price(),
            bids.best_quantity(),
            asks.best_price(),
            asks.best_quantity(),
        )
        self._emit("trades", self._partition, self._ticker, trade)
        for order, liquidity in ((maker, codes.MAKER), (taker, codes.TAKER)):
            account = order.account
            filled = events.OrderFilled(
                account, order.order_id, trade_id, price, quantity, liquidity
            )
            self._tell(account, filled)

    def _remove(self, rest: _Rest) -> None:
        del self._rests[rest.order_id]
        self._halves[rest.side].remove(rest)

    def _end(self, order: EnterOrder | _Rest, left: int, reason: Reason) -> None:
        account = order.account
        self._tell(account, events.OrderCanceled(account, order.order_id, "", left, reason))

    def _cancel(self, command: CancelOrder) -> None:
        ids = (command.account, command.order_id, command.client_command_id)
        rest = self._rests.get(command.order_id)
        if rest is None or rest.account != command.account:
            self._tell(command.account, events.CancelRefused(*ids, self._missing()))
            return
        self._remove(rest)
        canceled = events.OrderCanceled(*ids, rest.left, Reason.CANCEL_REQUESTED)
        self._tell(command.account, canceled)

    def _missing(self) -> Reason:
        if self._genesis is None:
            return Reason.NO_GENESIS
        return Reason.UNKNOWN_ORDER if self._ticker else Reason.UNKNOWN_TICKER

    def _change(self, command: ReduceOrder | ReplaceOrder) -> None:
        account, quantity = command.account, command.quantity
        ids = (account, command.order_id, command.client_command_id)
        rest = self._rests.get(command.order_id)
        if rest is None or rest.account != account:
            self._tell(account, events.ReplaceRefused(*ids, self._missing()))
            return
        reason = self._find_change_refusal(command, rest)
        if reason:
            self._tell(account, events.ReplaceRefused(*ids, reason))
            return
        left = rest.left - rest.quantity + quantity
        is_reduction = quantity < rest.quantity
        if isinstance(command, ReduceOrder):
            self._tell(account, events.OrderReduced(*ids, quantity))
        else:
            self._tell(account, events.OrderReplaced(*ids, command.price, quantity))
            is_reduction = is_reduction and command.price == rest.price
        rest.quantity = quantity
        if is_reduction:
            rest.left = left
            return
        self._remove(rest)
        assert isinstance(command, ReplaceOrder)
        rest.price = command.price
        rest.left = self._trade(rest, left, rest.stp)
        if rest.left:
            self._rests[rest.order_id] = rest
            self._halves[rest.side].add(rest)

    def _find_change_refusal(self, command: ReduceOrder | ReplaceOrder, rest: _Rest) -> Reason:
        if self._status == codes.HALTED:
            return Reason.TICKER_HALTED
        if command.quantity <= rest.quantity - rest.left:
            return Reason.BELOW_FILLED
        if isinstance(command, ReduceOrder):
            too_many = command.quantity >= rest.quantity
            return Reason.NOT_A_REDUCTION if too_many else Reason.NONE
        fault = find_amount_fault(command.price, command.quantity)
        if fault:
            return fault
        if rest.post_only and self._crosses(rest.side, command.price):
            return Reason.WOULD_CROSS
        return Reason.NONE
