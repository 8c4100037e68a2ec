"""One fold over the feeds, and the ear of those who want to hear of changes."""

from collections.abc import Callable
from typing import Final, Protocol

from services.domain.codes import EXEC_TRADE
from services.domain.controls import Genesis
from services.domain.genesis import find_genesis_fault
from services.gateway.core.book_heads import BookHeadReader
from services.gateway.core.candles import Candles
from services.gateway.core.fills import Fills
from services.gateway.core.forecasts import Forecasts, is_sound
from services.gateway.core.heads import ACCOUNT_STATE, HeadReader
from services.gateway.core.holdings import Holdings
from services.gateway.core.market import Market
from services.gateway.core.orders import OrderTable
from services.gateway.core.recorded import Beginning, Recorded
from services.gateway.core.runs import Runs
from services.gateway.core.trade_heads import TradeHeadReader
from services.wire.codec import EMPTY_VALUE, MALFORMED_AVRO, Codec, UndecodableError
from services.wire.topics import (
    ACCOUNT_PARTITIONS,
    BOOK,
    CONTROLS,
    EXECUTIONS,
    PREDICTIONS,
    TICKER_PARTITIONS,
    TRADES,
)

TRADING_FEEDS: Final = (BOOK, TRADES, EXECUTIONS)
"""Those of the trading path, which are written exactly once."""
FEEDS: Final = (*TRADING_FEEDS, PREDICTIONS, CONTROLS)


class Listener(Protocol):
    """Hears of each change after it was folded; must be quick, most changes interest nobody."""

    def book_changed(self, ticker: str) -> None: ...

    def traded(self, ticker: str, value: bytes) -> None: ...

    def reported(self, account: str, value: bytes) -> None: ...

    def predicted(self, ticker: str) -> None: ...


class ReadModel:
    """What the gateway can show. Called from one thread.

    Args:
        ended_orders_max, submitted_max: see `OrderTable`.
        trades_kept: trades of each ticker.
        candles_kept: candles of each ticker and interval.
        fills_kept: fills of all accounts together.
        books_kept: books of each ticker, for who comes back or reads slowly.
        resumable: trades of all tickers, and reports of all accounts, for who comes back.
    """

    def __init__(
        self,
        codec: Codec,
        ended_orders_max: int,
        submitted_max: int,
        trades_kept: int,
        candles_kept: int,
        fills_kept: int,
        resumable: int = 1_000,
        books_kept: int = 100,
    ) -> None:
        self.codec = codec
        self.orders = OrderTable(ended_orders_max, submitted_max)
        self.market = Market(trades_kept, books_kept)
        self.candles = Candles(candles_kept)
        self.forecasts = Forecasts()
        self.fills = Fills(fills_kept)
        self.holdings = Holdings()
        self.trade_runs = Runs(resumable)
        self.report_runs = Runs(resumable)
        self.beginning = Beginning("topic", is_whole=True, reason=None)
        self.listener: Listener | None = None
        self.on_report: Callable[[str, bytes], None] | None = None
        """Called with each report's account and record, before the listener hears of it."""
        self._heads = HeadReader(codec)
        self._book_heads = BookHeadReader(codec)
        self._trade_heads = TradeHeadReader(codec)
        self._behind = {feed.name for feed in FEEDS}

    def begin(self, beginning: Beginning, recorded: Recorded) -> None:
        """Stand where `executions` had come to before the offsets `recorded.starts`.

        Called once, before any report is folded; these then come from those offsets on.
        """
        self.beginning = beginning
        self.orders.begin(recorded)
        self.holdings.begin(recorded)

    def fold(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of a feed.

        Raises:
            UndecodableError: a stranger's record; nothing changed.
        """
        if topic == EXECUTIONS.name:
            self._fold_report(value)
            return
        if topic == CONTROLS.name:
            self._fold_control(value)
            return
        if not value or not key:
            raise UndecodableError(EMPTY_VALUE, "a record without key or value")
        ticker = key.decode(errors="replace")
        if topic == BOOK.name:
            self._fold_book(ticker, value)
        elif topic == TRADES.name:
            self._fold_trade(ticker, value)
        else:
            self._fold_prediction(ticker, value)

    def _fold_report(self, value: bytes | None) -> None:
        account, sequence, order_id, status, exec_type = self._heads.read(value)
        assert value is not None
        self.orders.note_report(account, sequence, order_id, status, value)
        if sequence:
            if exec_type == ACCOUNT_STATE:
                self.holdings.note_state(account, value)
            elif order_id:
                self.holdings.note_report(account, order_id, status, exec_type, value)
            self.report_runs.note(account, sequence, value)
            if exec_type == EXEC_TRADE:
                self.fills.note(account, sequence, value)
        if self.on_report is not None:
            self.on_report(account, value)
        if self.listener is not None:
            self.listener.reported(account, value)

    def _fold_book(self, ticker: str, value: bytes) -> None:
        # Few of them are ever decoded; what turns out a stranger's then is forgotten.
        self.market.books.note(ticker, self._book_heads.read(value), value)
        if self.listener is not None:
            self.listener.book_changed(ticker)

    def _fold_trade(self, ticker: str, value: bytes) -> None:
        head = self._trade_heads.read(value)
        self.candles.note(ticker, *head)
        self.market.note_trade(ticker, value)
        self.trade_runs.note(ticker, head[0], value)
        if self.listener is not None:
            self.listener.traded(ticker, value)

    def _fold_prediction(self, ticker: str, value: bytes) -> None:
        prediction = self.codec.decode(PREDICTIONS.name, value).payload
        if not is_sound(prediction):
            raise UndecodableError(MALFORMED_AVRO, "no probability for each class")
        if self.forecasts.note(ticker, prediction) and self.listener is not None:
            self.listener.predicted(ticker)

    def _fold_control(self, value: bytes | None) -> None:
        """Only the genesis says anything here; the first one counts, as it does for every fold."""
        kind, _ = self.codec.writer_of(CONTROLS.name, value)
        if kind is not Genesis or self.market.instruments:
            return
        genesis: Genesis = self.codec.decode_foreign(CONTROLS.name, value).payload
        if not find_genesis_fault(genesis, TICKER_PARTITIONS, ACCOUNT_PARTITIONS):
            self.market.note_genesis(genesis)

    def note_caught_up(self, topic: str) -> None:
        """The topic has been read up to where it ended at the start."""
        self._behind.discard(topic)

    def is_caught_up(self, topic: str) -> bool:
        return topic not in self._behind

    @property
    def behind(self) -> list[str]:
        """Topics still being read from before the start, in alphabetical order."""
        return sorted(self._behind)
