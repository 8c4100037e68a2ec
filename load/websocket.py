"""Readers over the WebSocket: how old each book is when it comes, how often a line is lost."""

import json
import time
from typing import Final

from locust import User, task
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from load.paced import CENTS

_TICKERS: Final = tuple(CENTS)
_OPEN_S: Final = 10.0
_QUIET_S: Final = 30.0
"""The gateway says something more often, if only that it is there."""
_BACK_S: Final = 1.0


class Reader(User):
    """Hears one ticker's book and trades for as long as it runs, and comes back when cut off."""

    _numbers = iter(range(10**9))

    def on_start(self) -> None:
        self.ticker = _TICKERS[next(self._numbers) % len(_TICKERS)]
        self.address = (self.host or "").replace("http://", "ws://", 1) + "/ws"

    @task
    def read(self) -> None:
        began_s = time.perf_counter()
        try:
            with connect(self.address, open_timeout=_OPEN_S, close_timeout=_BACK_S) as socket:
                for channel in ("book", "trades"):
                    asked = {"op": "subscribe", "channel": channel, "ticker": self.ticker}
                    socket.send(json.dumps(asked))
                self._tell("connect", time.perf_counter() - began_s, 0)
                self._listen(socket)
        except (OSError, WebSocketException) as error:
            self._tell("cut off", 0.0, 0, error)
            time.sleep(_BACK_S)

    def _listen(self, socket: ClientConnection) -> None:
        while True:
            # A TimeoutError, which is an OSError, ends it: the gateway is silent.
            text = socket.recv(timeout=_QUIET_S)
            self._hear(json.loads(text), len(text))

    def _hear(self, message: dict[str, object], length: int) -> None:
        data = message.get("data")
        if message.get("type") != "update" or not isinstance(data, dict):
            return
        updated_us = data.get("updated_at_us")
        if updated_us is not None:
            age_s = time.time() - int(updated_us) / 1_000_000
            self._tell("book, age on arrival", max(0.0, age_s), length)
        else:
            self._tell("trade", 0.0, length)

    def _tell(
        self, name: str, seconds: float, length: int, error: BaseException | None = None
    ) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=seconds * 1_000,
            response_length=length,
            exception=error,
            context={},
        )
