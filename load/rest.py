"""Orders over REST: placed, looked at, reduced, replaced, cancelled; books and positions read."""

from random import Random
from typing import Final

from locust import task

from load.paced import CENTS, RUN, PacedUser, price
from services.client import calls
from services.client.calls import NewOrder

_TICKERS: Final = tuple(CENTS)
_MINE_MAX: Final = 200
"""Orders that a user remembers as its own."""


class Trader(PacedUser):
    """Half places, a quarter changes what rests, a quarter reads."""

    def on_start(self) -> None:
        super().on_start()
        self.random = Random(f"{RUN}/{self.number}")
        self.asked = 0
        self.mine: list[str] = []

    def next_id(self) -> str:
        self.asked += 1
        return f"load-{RUN}-{self.number}-{self.asked}"

    @task(6)
    def place(self) -> None:
        ticker = self.random.choice(_TICKERS)
        is_buy = self.random.random() < 0.5
        # About half of them reach the other side.
        offset = self.random.randint(-8, 8)
        order = NewOrder(
            ticker,
            "BUY" if is_buy else "SELL",
            100,
            price(ticker, 1_000 + offset),
            "GTC" if self.random.random() < 0.7 else "IOC",
            client_order_id=self.next_id(),
        )
        found = self.call(calls.place(order), "POST /orders")
        if found is not None and found.order_id is not None:
            self.mine = [*self.mine, found.order_id][-_MINE_MAX:]

    @task(2)
    def cancel(self) -> None:
        if not self.mine:
            return self.place()
        order_id = self.mine.pop(self.random.randrange(len(self.mine)))
        # Also of one that has traded meanwhile: taken here, and refused by the exchange.
        self.call(calls.cancel(order_id, self.next_id()), "POST /orders/ID/cancel")
        return None

    @task(1)
    def reduce_or_replace(self) -> None:
        if not self.mine:
            return self.place()
        order_id = self.random.choice(self.mine)
        if self.random.random() < 0.5:
            self.call(calls.reduce(order_id, 50, self.next_id()), "POST /orders/ID/reduce")
        else:
            ticker = order_id.partition("-")[0]
            change = calls.replace(order_id, price(ticker, 990), 100, self.next_id())
            self.call(change, "POST /orders/ID/replace")
        return None

    @task(1)
    def read_orders(self) -> None:
        self.call(calls.orders(status="LIVE", limit=10), "GET /orders")

    @task(2)
    def read_book(self) -> None:
        self.call(calls.book(self.random.choice(_TICKERS), 5), "GET /book/TICKER")

    @task(1)
    def read_positions(self) -> None:
        self.call(calls.positions(), "GET /positions")
