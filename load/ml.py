"""Predictions over HTTP, of the model that serves: one ticker, and all of them."""

from random import Random
from typing import Final

from locust import task

from load.paced import CENTS, PREDICT, RUN, PacedUser

_TICKERS: Final = list(CENTS)


class Asker(PacedUser):
    """Mostly one ticker. Needs the room inference with a champion: no prediction is a failure."""

    def on_start(self) -> None:
        super().on_start()
        self.random = Random(f"{RUN}/ml/{self.number}")
        if not PREDICT:
            self.give_up("there is no room inference here")

    @task(4)
    def one_ticker(self) -> None:
        self._predict([self.random.choice(_TICKERS)], "POST /predict, one ticker")

    @task(1)
    def all_tickers(self) -> None:
        self._predict(_TICKERS, "POST /predict, five tickers")

    def _predict(self, tickers: list[str], name: str) -> None:
        self.ask(f"http://{PREDICT}/predict", name, {"tickers": tickers})
