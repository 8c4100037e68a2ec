"""One fold over the three feeds, and the ear of those who want to hear of changes."""

from typing import Protocol

from services.gateway.core.heads import HeadReader
from services.gateway.core.market import Market
from services.gateway.core.orders import OrderTable
from services.wire.codec import EMPTY_VALUE, Codec, UndecodableError
from services.wire.topics import BOOK, EXECUTIONS, TRADES

FEEDS = (BOOK, TRADES, EXECUTIONS)


class Listener(Protocol):
    """Hears of each change after it was folded; must be quick, most changes interest nobody."""

    def book_changed(self, ticker: str) -> None: ...

    def traded(self, ticker: str, value: bytes) -> None: ...

    def reported(self, account: str, value: bytes) -> None: ...


class ReadModel:
    """What the gateway can show. Called from one thread.

    Args:
        ended_orders_max, submitted_max: see `OrderTable`.
        trades_kept: trades of each ticker.
    """

    def __init__(
        self, codec: Codec, ended_orders_max: int, submitted_max: int, trades_kept: int
    ) -> None:
        self.codec = codec
        self.orders = OrderTable(ended_orders_max, submitted_max)
        self.market = Market(trades_kept)
        self.listener: Listener | None = None
        self._heads = HeadReader(codec)
        self._behind = {feed.name for feed in FEEDS}

    def fold(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of a feed.

        Raises:
            UndecodableError: a stranger's record; nothing changed.
        """
        if topic == EXECUTIONS.name:
            account, sequence, order_id, status = self._heads.read(value)
            assert value is not None
            self.orders.note_report(account, sequence, order_id, status, value)
            if self.listener is not None:
                self.listener.reported(account, value)
            return
        if not value or not key:
            raise UndecodableError(EMPTY_VALUE, "a record without key or value")
        # Only the newest book and the latest trades are ever decoded, but a stranger's bytes must
        # not take their place.
        self.codec.writer_of(topic, value)
        ticker = key.decode(errors="replace")
        if topic == BOOK.name:
            self.market.note_book(ticker, value)
            if self.listener is not None:
                self.listener.book_changed(ticker)
        else:
            self.market.note_trade(ticker, value)
            if self.listener is not None:
                self.listener.traded(ticker, value)

    def note_caught_up(self, topic: str) -> None:
        """The topic has been read up to where it ended at the start."""
        self._behind.discard(topic)

    def is_caught_up(self, topic: str) -> bool:
        return topic not in self._behind

    @property
    def behind(self) -> list[str]:
        """Topics still being read from before the start, in alphabetical order."""
        return sorted(self._behind)
