"""Readers of trades over the WebSocket, who come back where they stopped and miss nothing."""

import re
import time
from threading import Event, Lock, Thread
from typing import Final, Self

import orjson

from services.domain.genesis import TICKERS

_QUIET_S: Final = 1.0
_BACK_S: Final = 0.5
_OPEN_S: Final = 10.0
_EXAMPLES_MAX: Final = 5
_SEQUENCE: Final = re.compile(rb'"trade_sequence":(\d+)')
_KIND: Final = re.compile(rb'"type":"(\w+)"')


class Tape:
    """What one reader has of a ticker's trades, by their numbers."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.heard = 0
        self.gaps: list[str] = []

    def take(self, message: bytes) -> None:
        """One message: updates follow one another without a gap; a snapshot begins anew."""
        kind = _KIND.search(message)
        numbers = [int(number) for number in _SEQUENCE.findall(message)]
        if kind is None or not numbers:
            return
        if kind[1] in {b"snapshot", b"resync"}:
            self.last = max(numbers)
            return
        for number in numbers:
            if self.last is not None and number != self.last + 1:
                self.gaps = [*self.gaps, f"{number} after {self.last}"][:_EXAMPLES_MAX]
            self.last = number
            self.heard += 1


class Readers:
    """One a ticker, on a thread each, from entering to leaving; use it in a `with`.

    Args:
        gateway: host:port.
    """

    def __init__(self, gateway: str) -> None:
        self._address = f"ws://{gateway}/ws"
        self._stop = Event()
        self._lock = Lock()
        self.tapes = {ticker: Tape() for ticker in TICKERS}
        self.returns = 0
        """How often one lost its connection, or could not open it."""
        self._threads = [
            Thread(target=self._read_all, args=(ticker,), name=f"reader-{ticker}")
            for ticker in TICKERS
        ]

    @property
    def heard(self) -> int:
        """Trades, over all of them."""
        return sum(tape.heard for tape in self.tapes.values())

    @property
    def faults(self) -> list[str]:
        """What came out of turn, or never."""
        return [
            f"a reader of {ticker} heard trade {gap}"
            for ticker, tape in self.tapes.items()
            for gap in tape.gaps
        ]

    def _read_all(self, ticker: str) -> None:
        from websockets.exceptions import WebSocketException

        while not self._stop.is_set():
            try:
                self._read(ticker)
            except (OSError, WebSocketException):
                with self._lock:
                    self.returns += 1
                time.sleep(_BACK_S)

    def _read(self, ticker: str) -> None:
        from websockets.sync.client import connect

        tape = self.tapes[ticker]
        asked: dict[str, object] = {"op": "subscribe", "channel": "trades", "ticker": ticker}
        if tape.last is not None:
            asked["after"] = tape.last
        with connect(self._address, open_timeout=_OPEN_S, close_timeout=_BACK_S) as socket:
            socket.send(orjson.dumps(asked).decode())
            while not self._stop.is_set():
                try:
                    message = socket.recv(timeout=_QUIET_S)
                except TimeoutError:
                    continue
                raw = message.encode() if isinstance(message, str) else message
                if b'"STARTING"' in raw:
                    raise OSError("the gateway has not read so far yet")
                tape.take(raw)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
