"""How the model of the matcher says what happened: events to accounts, trades to everyone."""

from typing import Any, Final

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model.book import Level, Resting
from services.tools.proof.audit.model.ids import partition_of
from services.tools.proof.audit.model.trace import Sent

_PLACES_MAX: Final = 200_000
"""Accounts whose partition is kept at hand."""

_COUNTED: Final = (
    "trades",
    "shares_traded",
    "orders_accepted",
    "orders_refused",
    "orders_filled",
    "orders_canceled",
    "shares_accepted",
    "shares_added",
    "shares_removed",
    "shares_canceled",
)


class Voice:
    """The messages of one input, and what they add up to."""

    __slots__ = ("_partition", "_places", "account_partitions", "counts", "sent", "time_us")

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._places: dict[str, int] = {}
        self.account_partitions = n.ACCOUNT_PARTITIONS
        self.sent = Sent(n.FROM_MATCHING, partition)
        self.time_us = 0
        """What the present messages are stamped with."""
        self.counts = dict.fromkeys(_COUNTED, 0)

    def begin(self, account_partitions: int) -> None:
        """The genesis says how many partitions `accounts` has."""
        self.account_partitions = account_partitions
        self._places.clear()

    def tell(self, account: str, record: str, fields: dict[str, Any]) -> None:
        """To an account's partition."""
        place = self._places.get(account)
        if place is None:
            if len(self._places) >= _PLACES_MAX:
                self._places.clear()
            place = self._places[account] = partition_of(account, self.account_partitions)
        self.sent.put("accounts", place, account, record, fields, self.time_us)

    def tell_canceled(self, order: Resting, reason: int, command_id: str = "") -> None:
        """All that remains of an order is canceled."""
        quantity = order.quantity - order.filled
        self.counts["orders_canceled"] += 1
        self.counts["shares_canceled"] += quantity
        fields = {
            "account": order.account,
            "order_id": order.order_id,
            "client_command_id": command_id,
            "quantity": quantity,
            "reason": reason,
        }
        self.tell(order.account, "OrderCanceled", fields)

    def tell_trade(
        self, ticker: str, maker: Resting, taker: Resting, quantity: int, number: int,
        top: tuple[Level | None, Level | None],
    ) -> None:  # fmt: skip
        """One trade with the top of the book after it, and its two fills: the maker's first."""
        trade_id = f"{ticker}-{self.sent.offset}-{number}"
        price = maker.price
        bid, ask = top
        fields = {
            "trade_id": trade_id,
            "ticker": ticker,
            "price": price,
            "quantity": quantity,
            "aggressor_side": taker.side,
            "maker_order_id": maker.order_id,
            "taker_order_id": taker.order_id,
            "maker_account": maker.account,
            "taker_account": taker.account,
            "bid": 0 if bid is None else bid.price,
            "bid_quantity": 0 if bid is None else bid.shares,
            "ask": 0 if ask is None else ask.price,
            "ask_quantity": 0 if ask is None else ask.shares,
        }
        self.sent.put("trades", self._partition, ticker, "Trade", fields, self.time_us)
        for order, liquidity in ((maker, n.MAKER), (taker, n.TAKER)):
            filled = {
                "account": order.account,
                "order_id": order.order_id,
                "trade_id": trade_id,
                "price": price,
                "quantity": quantity,
                "liquidity": liquidity,
            }
            self.tell(order.account, "OrderFilled", filled)
