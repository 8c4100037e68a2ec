"""Orders over REST: placed, looked at, reduced, replaced, cancelled; books and positions read."""

from random import Random
from typing import Any, Final

from locust import task

from load.paced import ACCEPTED, CENTS, RUN, PacedUser, price

_TAKEN: Final = (ACCEPTED,)
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
        body = {
            "client_order_id": self.next_id(),
            "ticker": ticker,
            "side": "BUY" if is_buy else "SELL",
            "order_type": "LIMIT",
            "time_in_force": "GTC" if self.random.random() < 0.7 else "IOC",
            "price": price(ticker, 1_000 + offset),
            "quantity": 100,
        }
        found = self.ask(
            "POST", "/orders", "POST /orders", body=body, fine=lambda status: status in _TAKEN
        )
        if found is not None:
            self.mine = [*self.mine, found["order_id"]][-_MINE_MAX:]

    @task(2)
    def cancel(self) -> None:
        if not self.mine:
            return self.place()
        order_id = self.mine.pop(self.random.randrange(len(self.mine)))
        # Also of one that has traded meanwhile: taken here, and refused by the exchange.
        self.ask(
            "POST",
            f"/orders/{order_id}/cancel",
            "POST /orders/ID/cancel",
            body={"client_command_id": self.next_id()},
            fine=lambda status: status in _TAKEN,
        )
        return None

    @task(1)
    def reduce_or_replace(self) -> None:
        if not self.mine:
            return self.place()
        order_id = self.random.choice(self.mine)
        change: dict[str, Any]
        if self.random.random() < 0.5:
            what, change = "reduce", {"quantity": 50}
        else:
            ticker = order_id.partition("-")[0]
            what, change = "replace", {"price": price(ticker, 990), "quantity": 100}
        self.ask(
            "POST",
            f"/orders/{order_id}/{what}",
            f"POST /orders/ID/{what}",
            body={"client_command_id": self.next_id(), **change},
            fine=lambda status: status in _TAKEN,
        )
        return None

    @task(1)
    def read_orders(self) -> None:
        self.ask("GET", "/orders?status=LIVE&limit=10", "GET /orders")

    @task(2)
    def read_book(self) -> None:
        ticker = self.random.choice(_TICKERS)
        self.ask("GET", f"/book/{ticker}?depth=5", "GET /book/TICKER")

    @task(1)
    def read_positions(self) -> None:
        self.ask("GET", "/positions", "GET /positions")
