"""The newest books of each ticker, for who has an older one of them."""

from collections import deque

import msgspec


class KeptBook(msgspec.Struct, frozen=True, gc=False):
    """A record of `book`."""

    place: int
    """Which one of the ticker's it is here, counted from 0; also where sequences do not rise."""
    sequence: int
    """The offset in `matching` after which the book looked so."""
    value: bytes


class Books:
    """Books by ticker; their sequences rise where nothing is amiss.

    One that does not rise is a stranger's, or the first after it: what came before is forgotten,
    so that nobody is told changes of a book that it may not have.

    Args:
        kept: of each ticker; the oldest is forgotten first.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._books: dict[str, deque[KeptBook]] = {}
        self._next_places: dict[str, int] = {}

    def note(self, ticker: str, sequence: int, value: bytes) -> None:
        """Keep the newest book of the ticker."""
        books = self._books.get(ticker)
        if books is None:
            books = self._books[ticker] = deque(maxlen=self._kept)
        if books and sequence <= books[-1].sequence:
            books.clear()
        place = self._next_places.get(ticker, 0)
        self._next_places[ticker] = place + 1
        books.append(KeptBook(place, sequence, value))

    def drop_newest(self, ticker: str) -> None:
        """Forget the newest, as if it had never come; nobody may have been told of it."""
        books = self._books[ticker]
        books.pop()
        self._next_places[ticker] -= 1
        if not books:
            del self._books[ticker]

    @property
    def tickers(self) -> list[str]:
        """Every ticker that has a book, in alphabetical order."""
        return sorted(self._books)

    def newest(self, ticker: str) -> KeptBook | None:
        books = self._books.get(ticker)
        return books[-1] if books else None

    def at(self, ticker: str, place: int) -> KeptBook | None:
        """The book of this place; None: it is not kept (any more)."""
        books = self._books.get(ticker)
        if not books:
            return None
        index = place - books[0].place
        return books[index] if 0 <= index < len(books) else None

    def place_of(self, ticker: str, sequence: int) -> int | None:
        """The place of the book with this sequence; None: it is not kept (any more)."""
        for book in reversed(self._books.get(ticker, ())):
            if book.sequence <= sequence:
                return book.place if book.sequence == sequence else None
        return None
