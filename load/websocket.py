"""Readers over the WebSocket: how old each book is when it comes, how often a line is lost.

They are streams of the product's own client (services/client), which connects again by itself.
"""

import time
from typing import Final

from locust import User, task

from load.paced import CENTS
from services.client import Client, ClientError, Reconnected, Stream, Told
from services.client.answers import Trade

_TICKERS: Final = tuple(CENTS)
_BACK_S: Final = 1.0


class Reader(User):
    """Hears one ticker's book and trades for as long as it runs, and comes back when cut off."""

    _numbers = iter(range(10**9))

    def on_start(self) -> None:
        self.ticker = _TICKERS[next(self._numbers) % len(_TICKERS)]

    @task
    def read(self) -> None:
        began_s = time.perf_counter()
        try:
            with Client(self.host or "") as client, client.stream() as stream:
                stream.subscribe("book", self.ticker)
                stream.subscribe("trades", self.ticker)
                self._tell("connect", time.perf_counter() - began_s)
                self._listen(stream)
        except ClientError as error:
            self._tell("cut off", 0.0, error)
            time.sleep(_BACK_S)

    def _listen(self, stream: Stream) -> None:
        for message in stream:
            match message:
                case Reconnected():
                    self._tell("cut off", 0.0, ConnectionError(message.cause))
                case Told(kind="update", value=Trade()):
                    self._tell("trade", 0.0)
                case Told(kind="update", value={"updated_at_us": int(updated_us)}):
                    age_s = time.time() - updated_us / 1_000_000
                    self._tell("book, age on arrival", max(0.0, age_s))

    def _tell(self, name: str, seconds: float, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=seconds * 1_000,
            response_length=0,
            exception=error,
            context={},
        )
