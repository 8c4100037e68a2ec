"""The public side: each ticker's rules, its newest depth and its latest trades."""

from collections import deque

from services.domain.controls import Genesis, Instrument
from services.gateway.core.books import Books


class Market:
    """Records of `book` and `trades`, by ticker."""

    def __init__(self, trades_kept: int, books_kept: int) -> None:
        self._trades_kept = trades_kept
        self.books = Books(books_kept)
        self._trades: dict[str, deque[bytes]] = {}
        self.instruments: dict[str, Instrument] = {}
        """The rules by ticker, as the genesis fixed them; empty before it was read."""

    def note_genesis(self, genesis: Genesis) -> None:
        self.instruments = {found.ticker: found for found in genesis.instruments}

    def note_trade(self, ticker: str, value: bytes) -> None:
        trades = self._trades.get(ticker)
        if trades is None:
            trades = self._trades[ticker] = deque(maxlen=self._trades_kept)
        trades.append(value)

    @property
    def tickers(self) -> list[str]:
        """Every ticker that has a book, in alphabetical order."""
        return self.books.tickers

    def has_book(self, ticker: str) -> bool:
        return self.books.newest(ticker) is not None

    def trades_of(self, ticker: str) -> list[bytes]:
        """The latest trades, oldest first."""
        return list(self._trades.get(ticker, ()))
