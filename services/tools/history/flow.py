"""What the lake holds of a ticker, as commands and the trades they will print, in order of time.

A day with order flow is its flow. A day with bare trades is, for each trade, what makes the matcher
print it: the resting quotes of the trade before are canceled, a maker is placed at the trade's
price, then this trade's quotes, then a taker. A quote that could not rest while the trade prints is
left out: one on the wrong side of its price. An aggressor that the lake does not tell is found by
the tick rule: up is a buy, down a sell, the same price as before; the first is a buy. At a day's
end all that rests is canceled. All of it comes from one account and is a function of the lake, so
that a second stream has the same commands under the same ids.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import msgspec

from services.domain.amounts import PRICE_MAX, QUANTITY_MAX
from services.domain.codes import ALLOW_SELF_TRADE, BUY, GTC, IOC, LIMIT, SELL
from services.domain.commands import CancelAll, CancelOrder, ClientCommand, PlaceOrder, ReduceOrder
from services.domain.ids import make_order_id
from services.lake.errors import LakeError
from services.lake.files import read_batches
from services.lake.places import Lake
from services.lake.sides import TickRule
from services.tools.history.errors import HistoryError
from services.tools.history.session import PLACE, REDUCE
from services.tools.market.lobster import ACCOUNT


class Print(msgspec.Struct, frozen=True, gc=False):
    """A trade that the matcher is to print."""

    ticker: str
    time_us: int
    price: int
    quantity: int
    aggressor_side: int


class Move(msgspec.Struct, frozen=True, gc=False):
    """One command and its time."""

    ticker: str
    time_us: int
    command: ClientCommand


class Days(msgspec.Struct, frozen=True):
    """Which of the lake's days; both ends included."""

    first: date | None = None
    last: date | None = None

    def of(self, lake: Lake, ticker: str) -> list[date]:
        """The ticker's days with trades."""
        return [
            day
            for day in lake.days("trades", ticker)
            if (self.first is None or day >= self.first) and (self.last is None or day <= self.last)
        ]


def plan(lake: Lake, tickers: Iterable[str], days: Days) -> Iterator[Move]:
    """Every command of these tickers, in order of time; of one time, in order of ticker.

    Raises:
        LakeError: a file is damaged.
        HistoryError: a trade is beyond what an order may state.
    """
    streams = [_moves(lake, ticker, days) for ticker in sorted(tickers)]
    yield from heapq.merge(*streams, key=lambda move: move.time_us)


def prints(lake: Lake, ticker: str, days: Days) -> Iterator[Print]:
    """The trades that `plan` will print of a ticker, in order.

    Raises:
        LakeError: a file is damaged.
    """
    for day in days.of(lake, ticker):
        for trade in _rows(lake, "trades", ticker, day):
            sizes = trade["price"], trade["quantity"], trade["aggressor_side"]
            yield Print(ticker, trade["time_us"], *sizes)


def opening_mark(lake: Lake, ticker: str, days: Days) -> int:
    """The price of the first trade.

    Raises:
        HistoryError: there is none.
    """
    first = next(prints(lake, ticker, days), None)
    if first is None:
        raise HistoryError(
            f"the lake has no trades of {ticker} on these days: `outcry history ingest` brings some"
        )
    return first.price


def _moves(lake: Lake, ticker: str, days: Days) -> Iterator[Move]:
    for day in days.of(lake, ticker):
        time_us = 0
        has_flow = lake.orders(ticker, day).exists()
        for move in (_flow if has_flow else _pairs)(lake, ticker, day):
            time_us = move.time_us
            yield move
        if time_us:
            yield Move(ticker, time_us, CancelAll(ACCOUNT, f"e{_stamp(ticker, day)}", ticker))


def _flow(lake: Lake, ticker: str, day: date) -> Iterator[Move]:
    """A session's commands as they were; ids are told apart by ticker and day."""
    ids: dict[str, str] = {}
    stamp = _stamp(ticker, day)
    for row in _rows(lake, "orders", ticker, day):
        command_id = f"{stamp}-{row['command_id']}"
        command: ClientCommand
        if row["command"] == PLACE:
            command = _order(ticker, command_id, row["side"], row["time_in_force"], row["price"],
                             row["quantity"])  # fmt: skip
            if row["time_in_force"] == GTC:
                ids[row["order_id"]] = make_order_id(ACCOUNT, command_id, ticker)
        elif row["command"] == REDUCE:
            command = ReduceOrder(ACCOUNT, command_id, ids[row["order_id"]], row["quantity"])
        else:
            command = CancelOrder(ACCOUNT, command_id, ids.pop(row["order_id"]))
        yield Move(ticker, row["time_us"], command)


def _pairs(lake: Lake, ticker: str, day: date) -> Iterator[Move]:
    """A maker and a taker for each trade, and its quotes around them."""
    resting: list[str] = []
    """Client order ids of the quotes of the trade before."""
    for number, trade in enumerate(_rows(lake, "trades", ticker, day)):
        if trade["price"] > PRICE_MAX or trade["quantity"] > QUANTITY_MAX:
            raise HistoryError(
                f"trade {number + 1} of {ticker} on {day} is beyond what an order may state:"
                f" {trade['quantity']} at {trade['price']}/10000 dollar"
            )
        key = f"{_stamp(ticker, day)}-{number}"
        commands: list[ClientCommand] = [
            CancelOrder(ACCOUNT, f"c{quote}", make_order_id(ACCOUNT, quote, ticker))
            for quote in resting
        ]
        price, quantity, side = trade["price"], trade["quantity"], trade["aggressor_side"]
        commands.append(_order(ticker, f"m{key}", -side, GTC, price, quantity))
        quotes = [
            _order(ticker, f"{name[0]}{key}", quote_side, GTC, trade[name], shares)
            for name, quote_side in (("bid", BUY), ("ask", SELL))
            if (shares := trade[f"{name}_quantity"] or 0)
            and _can_rest(quote_side, trade[name] or 0, side, price)
        ]
        commands += quotes
        commands.append(_order(ticker, f"t{key}", side, IOC, price, quantity))
        resting = [quote.client_order_id for quote in quotes]
        yield from (Move(ticker, trade["time_us"], command) for command in commands)


def _can_rest(quote_side: int, quote: int, taker_side: int, price: int) -> bool:
    """Whether a quote neither meets the maker nor is met by the taker before the maker is.

    A quote behind the maker, at the trade's own price, waits its turn and may rest.
    """
    if not 0 < quote <= PRICE_MAX:
        return False
    if quote_side == taker_side:
        return quote_side * quote < quote_side * price
    return quote_side * quote <= quote_side * price


def _rows(lake: Lake, kind: str, ticker: str, day: date) -> Iterator[dict[str, Any]]:
    """Of a day's orders or trades; each trade with its aggressor's side, told or not."""
    path = lake.orders(ticker, day) if kind == "orders" else lake.trades(ticker, day)
    last_us = 0
    rule = TickRule()
    for batch in read_batches(path, kind, 8_192):
        columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        columns["time"] = batch.column("time").cast("int64").to_pylist()
        if kind == "trades":
            told = (batch.column(name).cast("int64") for name in ("price", "aggressor_side"))
            columns["aggressor_side"] = rule.sides(
                *(numbers.to_numpy() for numbers in told)
            ).tolist()
        for cells in zip(*columns.values(), strict=True):
            row = dict(zip(columns, cells, strict=True))
            if row["time"] < last_us:
                raise LakeError(f"{path} is not in order of time: make it again from its source")
            last_us = row["time_us"] = row.pop("time")
            yield row


def _order(
    ticker: str, client_order_id: str, side: int, time_in_force: int, price: int, quantity: int
) -> PlaceOrder:
    return PlaceOrder(
        account=ACCOUNT,
        client_order_id=client_order_id,
        ticker=ticker,
        side=side,
        order_type=LIMIT,
        time_in_force=time_in_force,
        post_only=False,
        price=price,
        quantity=quantity,
        self_trade_prevention=ALLOW_SELF_TRADE,
    )


def _stamp(ticker: str, day: date) -> str:
    """Part of each id: the one account's ids must differ between tickers too."""
    return f"{ticker}-{day:%Y%m%d}"
