"""The read model as JSON shows it: finds, decodes, spells."""

from typing import Any, Final

from services.domain.codes import NO_ORDER, ORDER_STATUS_NAMES, PENDING_NEW
from services.domain.commands import PlaceOrder
from services.domain.events import BookDepth
from services.domain.ids import make_order_id
from services.gateway.core.books import KeptBook
from services.gateway.core.read_model import ReadModel
from services.gateway.views import (
    View,
    book_view,
    candles_view,
    order_view,
    predictions_view,
    report_view,
    submitted_view,
    ticker_view,
    trade_view,
)
from services.runtime.telemetry import Telemetry
from services.wire.codec import Decoded, UndecodableError
from services.wire.topics import BOOK, EXECUTIONS, TRADES

NOTHING: Final = ORDER_STATUS_NAMES[NO_ORDER]
"""The status of what became no order."""


_PENDING: Final = ORDER_STATUS_NAMES[PENDING_NEW]


class Viewer:
    """Answers from the read model; a stranger's record is as if it were not there, and logged."""

    def __init__(self, model: ReadModel, telemetry: Telemetry) -> None:
        self.model = model
        self._telemetry = telemetry

    def order(self, account: str, order_id: str) -> View | None:
        """One of the account's own orders."""
        found = self.model.orders.find(account, order_id)
        if found is None:
            return None
        if isinstance(found, PlaceOrder):
            return submitted_view(found, order_id)
        decoded = self.decode(EXECUTIONS.name, found)
        return None if decoded is None else order_view(decoded)

    def status(self, account: str, order_id: str) -> str | None:
        """As `order` would say it."""
        # Of an order that was written just now nothing else is worth spelling.
        if isinstance(self.model.orders.find(account, order_id), PlaceOrder):
            return _PENDING
        view = self.order(account, order_id)
        return None if view is None else view["status"]

    def order_by_client_id(self, account: str, client_order_id: str) -> View | None:
        """The account's order that it gave this id, in whichever ticker that is traded here.

        A command that conflicts with an order, and so became none, is shown only where there is
        nothing else.
        """
        found = None
        for ticker in self.model.market.tickers:
            view = self.order(account, make_order_id(account, client_order_id, ticker))
            if view is not None and (found is None or found["status"] == NOTHING):
                found = view
        return found

    def account(self, account: str) -> View:
        """The account's live orders, and the number of the last report."""
        orders = self.model.orders
        found = (self.decode(EXECUTIONS.name, value) for value in orders.live_of(account))
        return {
            "account_sequence": orders.sequence_of(account),
            "orders": [order_view(decoded) for decoded in found if decoded is not None],
        }

    def report(self, value: bytes) -> View | None:
        """A record of `executions`."""
        decoded = self.decode(EXECUTIONS.name, value)
        return None if decoded is None else report_view(decoded)

    def book(self, ticker: str, depth: int | None = None) -> View | None:
        """The ticker's depth, at most so many levels a side."""
        decoded = self._book(ticker)
        if decoded is None:
            return None
        view = book_view(decoded)
        return view | {"bids": view["bids"][:depth], "asks": view["asks"][:depth]}

    def tickers(self) -> View:
        """Every ticker in one line."""
        market = self.model.market
        found = (self._book(ticker) for ticker in market.tickers)
        return {
            "tickers": [
                ticker_view(decoded, market.instruments.get(decoded.payload.ticker))
                for decoded in found
                if decoded is not None
            ]
        }

    def trade(self, value: bytes) -> View | None:
        """A record of `trades`."""
        decoded = self.decode(TRADES.name, value)
        return None if decoded is None else trade_view(decoded)

    def trades(self, ticker: str, limit: int | None = None) -> View:
        """The ticker's latest trades, oldest first."""
        kept = self.model.market.trades_of(ticker)
        found = (self.trade(value) for value in (kept if limit is None else kept[-limit:]))
        return {"trades": [view for view in found if view is not None]}

    def candles(self, ticker: str, interval: str, limit: int) -> View:
        """The ticker's newest candles, oldest first."""
        candles = self.model.candles
        return candles_view(
            ticker, interval, candles.of(ticker, interval, limit), candles.sequence_of(ticker)
        )

    def predictions(self, ticker: str) -> View:
        """The newest prediction of each model about the ticker."""
        return predictions_view(self.model.forecasts.of(ticker))

    def newest_book(self, ticker: str) -> tuple[KeptBook, Decoded[BookDepth]] | None:
        """The ticker's newest book that is one; a stranger's record is forgotten."""
        books = self.model.market.books
        while (kept := books.newest(ticker)) is not None:
            decoded = self.decode_book(kept)
            if decoded is not None:
                return kept, decoded
            books.drop_newest(ticker)
        return None

    def decode_book(self, kept: KeptBook) -> Decoded[BookDepth] | None:
        """The record; None: a stranger's."""
        return self.decode(BOOK.name, kept.value)

    def _book(self, ticker: str) -> Decoded[BookDepth] | None:
        found = self.newest_book(ticker)
        return None if found is None else found[1]

    def decode(self, topic: str, value: bytes) -> Decoded[Any] | None:
        """The record; None: a stranger's."""
        try:
            return self.model.codec.decode(topic, value)
        except UndecodableError as error:
            self._telemetry.log.warning("undecodable_record", topic=topic, cause=str(error))
            return None
