"""The model of the matcher: what must follow from one partition of `matching`."""

from collections.abc import Callable
from typing import Any

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model import said
from services.tools.proof.audit.model.book import Book, Resting, Side
from services.tools.proof.audit.model.said import Derived, Fault, Witness
from services.tools.proof.audit.model.state import (
    decode_state,
    encode_state,
    hash_genesis,
    plain_genesis,
)
from services.tools.proof.audit.model.trace import Sources
from services.tools.proof.audit.model.voice import Voice


class MatcherModel:
    """One partition of `matching`."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._witness = Witness("matching", partition)
        self._sources = Sources(self._witness)
        self._voice = Voice(partition)
        self._genesis: dict[str, Any] | None = None
        self._genesis_hash = ""
        self._in_event_time = False
        self._instrument: dict[str, Any] | None = None
        self._closed = n.NO_GENESIS
        """Why nothing trades here; 0 once an instrument does."""
        self._ticker = ""
        self._sweep_max = 0
        self._now_us = 0
        self._status = n.OPEN
        self._last_price = 0
        self._mark_unsent = False
        self._mark_due_us = 0
        self._book = Book()
        self._acts: dict[str, Callable[[dict[str, Any]], None]] = {
            "EnterOrder": self._enter,
            "CancelOrder": self._cancel,
            "ReduceOrder": self._reduce,
            "ReplaceOrder": self._replace,
            "Halt": self._halt,
            "Resume": self._resume,
            "Genesis": self._pass_over,
        }
        self.is_broken = False
        """Something malformed was met: nothing is derived from there on."""

    @property
    def faults(self) -> list[Fault]:
        """Broken promises so far, the first ones."""
        return self._witness.faults

    def take(self, offset: int, record: str, fields: dict[str, Any]) -> list[Derived]:
        """Everything that must follow from the record at this offset, in order."""
        if self.is_broken:
            return []
        witness = self._witness
        witness.offset = offset
        act = self._acts.get(record)
        if act is None:
            witness.report(said.UNKNOWN_RECORD, f"{record} does not belong here")
            return []
        try:
            origin = fields["origin"]
            self._sources.note(origin)
            time_us, event_time_us = origin["time_us"], origin["event_time_us"]
            self._voice.sent.begin(offset, event_time_us)
            self._voice.time_us = time_us
            if self._genesis is None and record == "Genesis":
                self._begin(fields)
            # Before the genesis the clock stands still.
            if self._genesis is not None:
                self._advance(event_time_us if self._in_event_time else time_us)
            act(fields)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self.is_broken = True
            witness.report(said.MALFORMED, f"{record}: {error!r}")
            return []
        return self._voice.sent.out

    def depth_record(self) -> dict[str, Any] | None:
        """The fields of a BookDepth taken now, its origin included; None: no ticker trades here."""
        if self._instrument is None:
            return None
        return {
            "ticker": self._ticker,
            "status": self._status,
            "last_price": self._last_price,
            "bids": self._book.bids.depth(),
            "asks": self._book.asks.depth(),
            "origin": self._voice.sent.view_origin(self._voice.time_us),
        }

    def finish(self) -> None:
        """At the end of the log: check what holds whenever nothing is being done."""
        if self.is_broken:
            return
        resting = left = 0
        for side in (self._book.bids, self._book.asks):
            for level in side.levels():
                shares = sum(order.quantity - order.filled for order in level.orders.values())
                if shares != level.shares:
                    self._witness.report(
                        said.DEPTH, f"{level.shares} shares at {level.price}, {shares} of orders"
                    )
                resting += len(level.orders)
                left += shares
        counts = self._voice.counts
        came = counts["shares_accepted"] + counts["shares_added"]
        went = counts["shares_canceled"] + counts["shares_removed"] + 2 * counts["shares_traded"]
        if came != went + left:
            self._witness.report(said.CONSERVATION, f"{came} shares came, {went} went, {left} rest")
        ended = counts["orders_filled"] + counts["orders_canceled"]
        if not counts["orders_accepted"] == ended + resting == ended + len(self._book.orders):
            self._witness.report(
                said.CONSERVATION,
                f"{counts['orders_accepted']} orders accepted, {ended} ended, {resting} rest",
            )

    def genesis_hash(self) -> str:
        """Empty before the genesis."""
        return self._genesis_hash

    def totals(self) -> dict[str, int]:
        """What was counted on the way; accepted = filled + canceled + resting."""
        return {
            **self._voice.counts,
            "orders_resting": len(self._book.orders),
            "faults_suppressed": self._witness.suppressed,
        }

    def state(self) -> bytes:
        """As documented in state.py."""
        return encode_state(
            [
                self._partition,
                self._genesis,
                self._sources.rows(),
                self._voice.sent.rows(),
                self._now_us,
                self._status,
                self._last_price,
                self._mark_unsent,
                self._mark_due_us,
                self._book.bids.rows(),
                self._book.asks.rows(),
            ]
        )

    @classmethod
    def load(cls, partition: int, state: bytes) -> "MatcherModel":
        """The model as it was where a snapshot was taken; its totals count from there.

        Raises:
            ValueError: these bytes are no state of this partition.
        """
        rows = decode_state(state, 11)
        model = cls(partition)
        try:
            model._load(rows)
        except (LookupError, TypeError, AttributeError) as error:
            msg = f"no state of a matcher: {error!r}"
            raise ValueError(msg) from error
        if rows[0] != partition:
            msg = f"the state of partition {rows[0]}, not of {partition}"
            raise ValueError(msg)
        return model

    def _load(self, rows: list[Any]) -> None:
        if rows[1] is not None:
            self._begin(rows[1])
        self._sources.load(rows[2])
        self._voice.sent.load(rows[3])
        self._now_us, self._status, self._last_price = rows[4:7]
        self._mark_unsent, self._mark_due_us = rows[7:9]
        counts = self._voice.counts
        for side, orders in ((n.BUY, rows[9]), (n.SELL, rows[10])):
            for order_id, account, price, quantity, filled, post_only, policy in orders:
                self._book.insert(
                    Resting(
                        order_id,
                        account,
                        side,
                        price,
                        quantity,
                        filled,
                        post_only=post_only,
                        self_trade_prevention=policy,
                    )
                )
                counts["orders_accepted"] += 1
                counts["shares_accepted"] += quantity - filled

    # --- genesis, clock, mark, status

    def _begin(self, fields: dict[str, Any]) -> None:
        genesis = self._genesis = plain_genesis(fields)
        self._genesis_hash = hash_genesis(genesis)
        self._in_event_time = genesis["time_source"] == n.TIME_FROM_EVENT
        self._voice.begin(genesis["account_partitions"])
        self._sweep_max = genesis["sweep_orders_max"]
        self._closed = n.UNKNOWN_TICKER
        for instrument in genesis["instruments"]:
            if instrument["partition"] == self._partition:
                self._instrument = instrument
                self._ticker = instrument["ticker"]
                self._closed = 0

    def _advance(self, time_us: int) -> None:
        self._now_us = max(self._now_us, time_us)
        voice = self._voice
        now_us = voice.time_us = self._now_us
        if self._mark_unsent and now_us >= self._mark_due_us:
            assert self._genesis is not None
            self._mark_unsent = False
            self._mark_due_us = now_us + self._genesis["mark_interval_us"]
            ticker, mark = self._ticker, self._last_price
            for partition in range(voice.account_partitions):
                fields = {"ticker": ticker, "mark": mark}
                voice.sent.put("accounts", partition, ticker, "MarkChanged", fields, now_us)

    def _pass_over(self, _control: dict[str, Any]) -> None:
        """A genesis: only the first one counts."""

    def _halt(self, control: dict[str, Any]) -> None:
        if self._instrument is not None and control["ticker"] == self._ticker:
            self._status = n.HALTED

    def _resume(self, control: dict[str, Any]) -> None:
        if self._instrument is not None and control["ticker"] == self._ticker:
            self._status = n.OPEN

    # --- an order enters

    def _enter(self, command: dict[str, Any]) -> None:
        account, order_id = command["account"], command["order_id"]
        reason = self._entry_fault(command, order_id)
        if reason:
            self._voice.counts["orders_refused"] += 1
            fields = {"account": account, "order_id": order_id, "reason": reason}
            self._voice.tell(account, "OrderRefused", fields)
            return
        quantity, time_in_force = command["quantity"], command["time_in_force"]
        self._voice.counts["orders_accepted"] += 1
        self._voice.counts["shares_accepted"] += quantity
        self._voice.tell(account, "OrderAccepted", {"account": account, "order_id": order_id})
        taker = Resting(
            order_id,
            account,
            command["side"],
            command["price"],
            quantity,
            0,
            post_only=command["post_only"],
            self_trade_prevention=command["self_trade_prevention"],
        )
        if time_in_force == n.FOK and not self._fills_entirely(taker):
            self._voice.tell_canceled(taker, n.FOK_UNFILLED)
            return
        if not self._trade(taker):
            return
        if time_in_force == n.GTC:
            self._rest(taker)
        else:
            self._voice.tell_canceled(taker, n.IOC_REMAINDER)

    def _entry_fault(self, command: dict[str, Any], order_id: str) -> int:
        """Why an order is refused on arrival: the first of the documented list that applies."""
        if self._closed:
            return self._closed
        side, time_in_force = command["side"], command["time_in_force"]
        order_type, post_only = command["order_type"], command["post_only"]
        ticker, dash, _ = order_id.partition("-")
        if ticker != self._ticker or not dash:
            return n.UNKNOWN_TICKER
        if side not in n.SIDES:
            return n.INVALID_SIDE
        if (order_type, time_in_force, post_only) not in n.KINDS:
            if order_type not in n.ORDER_TYPES:
                return n.INVALID_ORDER_TYPE
            known = time_in_force in n.TIMES_IN_FORCE
            return n.INVALID_COMBINATION if known else n.INVALID_TIME_IN_FORCE
        if command["self_trade_prevention"] not in n.SELF_TRADE_POLICIES:
            return n.INVALID_SELF_TRADE_PREVENTION
        reason = _amount_fault(command["price"], command["quantity"])
        if reason:
            return reason
        if order_id in self._book.orders:
            return n.ORDER_ID_LIVE
        if self._status == n.HALTED:
            return n.TICKER_HALTED
        if order_type == n.MARKET:
            return self._market_fault(side)
        if post_only and self._book.crosses(side, command["price"]):
            return n.WOULD_CROSS
        assert self._genesis is not None
        if time_in_force == n.GTC and len(self._book.orders) >= self._genesis["book_orders_max"]:
            return n.BOOK_FULL
        return 0

    def _market_fault(self, side: int) -> int:
        other, own = self._book.side(-side).best(), self._book.side(side).best()
        if other is None:
            return n.NO_LIQUIDITY
        assert self._instrument is not None
        limit = self._instrument["spread_limit"]
        if limit and own is not None and abs(other.price - own.price) > limit:
            return n.SPREAD_TOO_WIDE
        return 0

    def _fills_entirely(self, taker: Resting) -> bool:
        """Whether a fill-or-kill order would: a walk through what it would meet."""
        wanted, left_to_meet = taker.quantity, self._sweep_max
        policy, account = taker.self_trade_prevention, taker.account
        for level in self._book.side(-taker.side).levels():
            if taker.side * (level.price - taker.price) > 0:
                return False
            for order in level.orders.values():
                if left_to_meet == 0:
                    return False
                left_to_meet -= 1
                if order.account == account and policy == n.CANCEL_INCOMING:
                    return False
                if order.account == account and policy == n.CANCEL_RESTING:
                    continue
                wanted -= order.quantity - order.filled
                if wanted <= 0:
                    return True
        return False

    def _rest(self, order: Resting) -> None:
        self._book.insert(order)
        if self._book.is_crossed():
            self._witness.report(said.CROSSED, f"{order.order_id} rests at {order.price}")

    # --- trading

    def _trade(self, taker: Resting) -> bool:
        """Let an order that is not in the book trade; whether something remains that may rest."""
        book, policy = self._book, taker.self_trade_prevention
        makers = book.side(-taker.side)
        met = fills = 0
        while taker.filled < taker.quantity:
            level = makers.best()
            if level is None or taker.side * (level.price - taker.price) > 0:
                return True
            if met == self._sweep_max:
                self._voice.tell_canceled(taker, n.SWEEP_LIMIT)
                return False
            met += 1
            maker = next(iter(level.orders.values()))
            if maker.account == taker.account and policy == n.CANCEL_INCOMING:
                self._voice.tell_canceled(taker, n.SELF_TRADE)
                return False
            if maker.account == taker.account and policy == n.CANCEL_RESTING:
                book.delete(maker)
                self._voice.tell_canceled(maker, n.SELF_TRADE)
                continue
            self._fill(makers, maker, taker, fills)
            fills += 1
        self._voice.counts["orders_filled"] += 1
        return False

    def _fill(self, makers: Side, maker: Resting, taker: Resting, number: int) -> None:
        """One trade; the top of the book is that right after it."""
        oldest = makers.oldest_at_best()
        if oldest != maker.order_id:
            self._witness.report(
                said.PRIORITY, f"{maker.order_id} trades with {taker.order_id} before {oldest}"
            )
        quantity = min(maker.quantity - maker.filled, taker.quantity - taker.filled)
        self._last_price = maker.price
        self._mark_unsent = True
        makers.change(maker, -quantity)
        maker.filled += quantity
        taker.filled += quantity
        counts = self._voice.counts
        counts["trades"] += 1
        counts["shares_traded"] += quantity
        if maker.filled == maker.quantity:
            self._book.delete(maker)
            counts["orders_filled"] += 1
        top = self._book.bids.best(), self._book.asks.best()
        self._voice.tell_trade(self._ticker, maker, taker, quantity, number, top)

    # --- orders that rest

    def _find(self, command: dict[str, Any]) -> Resting | None:
        order = self._book.orders.get(command["order_id"])
        return None if order is None or order.account != command["account"] else order

    def _refuse(self, record: str, command: dict[str, Any], reason: int) -> None:
        fields = {
            "account": command["account"],
            "order_id": command["order_id"],
            "client_command_id": command["client_command_id"],
            "reason": reason,
        }
        self._voice.tell(command["account"], record, fields)

    def _cancel(self, command: dict[str, Any]) -> None:
        order = self._find(command)
        if order is None:
            self._refuse("CancelRefused", command, self._closed or n.UNKNOWN_ORDER)
            return
        self._book.delete(order)
        self._voice.tell_canceled(order, n.CANCEL_REQUESTED, command["client_command_id"])

    def _reduce(self, command: dict[str, Any]) -> None:
        order, quantity = self._find(command), command["quantity"]
        if order is None:
            self._refuse("ReplaceRefused", command, self._closed or n.UNKNOWN_ORDER)
        elif self._status == n.HALTED:
            self._refuse("ReplaceRefused", command, n.TICKER_HALTED)
        elif quantity <= order.filled:
            self._refuse("ReplaceRefused", command, n.BELOW_FILLED)
        elif quantity >= order.quantity:
            self._refuse("ReplaceRefused", command, n.NOT_A_REDUCTION)
        else:
            self._lower(order, quantity)
            fields = {
                "account": order.account,
                "order_id": order.order_id,
                "client_command_id": command["client_command_id"],
                "quantity": quantity,
            }
            self._voice.tell(order.account, "OrderReduced", fields)

    def _lower(self, order: Resting, quantity: int) -> None:
        """The order keeps its place with a lower total."""
        removed = order.quantity - quantity
        self._voice.counts["shares_removed"] += removed
        self._book.side(order.side).change(order, -removed)
        order.quantity = quantity

    def _replace(self, command: dict[str, Any]) -> None:
        order, price, quantity = self._find(command), command["price"], command["quantity"]
        if order is None:
            self._refuse("ReplaceRefused", command, self._closed or n.UNKNOWN_ORDER)
            return
        reason = self._replace_fault(order, price, quantity)
        if reason:
            self._refuse("ReplaceRefused", command, reason)
            return
        fields = {
            "account": order.account,
            "order_id": order.order_id,
            "client_command_id": command["client_command_id"],
            "price": price,
            "quantity": quantity,
        }
        self._voice.tell(order.account, "OrderReplaced", fields)
        if price == order.price and quantity < order.quantity:
            self._lower(order, quantity)
            return
        self._book.delete(order)
        more = quantity - order.quantity
        self._voice.counts["shares_added" if more > 0 else "shares_removed"] += abs(more)
        order.price, order.quantity = price, quantity
        if self._trade(order):
            self._rest(order)

    def _replace_fault(self, order: Resting, price: int, quantity: int) -> int:
        if self._status == n.HALTED:
            return n.TICKER_HALTED
        if quantity <= order.filled:
            return n.BELOW_FILLED
        reason = _amount_fault(price, quantity)
        if reason:
            return reason
        return n.WOULD_CROSS if order.post_only and self._book.crosses(order.side, price) else 0


def _amount_fault(price: int, quantity: int) -> int:
    if price < 1 or price > n.PRICE_MAX:
        return n.INVALID_PRICE
    return 0 if 1 <= quantity <= n.QUANTITY_MAX else n.INVALID_QUANTITY
