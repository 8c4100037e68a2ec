"""LOBSTER's two files, message and orderbook, plain or gzipped, read row by row.

A message row: seconds after midnight, type, order id, size, price, direction (and, in newer files,
a participant). An orderbook row: ask price, ask size, bid price, bid size, level after level; row i
is the book right after message i. Prices are in 1/10000 dollar, as everywhere here.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from itertools import zip_longest
from pathlib import Path
from typing import Final, TextIO
from zoneinfo import ZoneInfo

import msgspec

from services.domain.amounts import PRICE_MAX
from services.domain.codes import BUY, SELL
from services.tools.operate.errors import OperateError

NEW_ORDER: Final = 1
REDUCTION: Final = 2
DELETION: Final = 3
EXECUTION: Final = 4
HIDDEN_EXECUTION: Final = 5
CROSS: Final = 6
HALT: Final = 7

EMPTY_LEVEL_PRICE: Final = 9_999_999_999
"""What an empty level shows as its price; negative on the bid side."""

_COLUMNS: Final = (6, 7)
_COLUMNS_PER_LEVEL: Final = 4
_GZIP_MAGIC: Final = b"\x1f\x8b"
_EXCHANGE_ZONE: Final = "America/New_York"
_US_PER_S: Final = 1_000_000


class LobsterFileError(OperateError):
    """A file that can't be read as LOBSTER's; one line: the file, the row, the cause."""


class LobsterMessage(msgspec.Struct, frozen=True, gc=False):
    """One row of a message file."""

    time_us: int
    """Microseconds after midnight; the file's nanoseconds are cut."""
    kind: int
    order_id: int
    size: int
    price: int
    side: int
    """Of the resting order: 1 buy, -1 sell."""


class BookRow(msgspec.Struct, frozen=True, gc=False):
    """One row of an orderbook file: (price, shares) of each level, best first."""

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


def read_messages(path: Path) -> Iterator[LobsterMessage]:
    """All messages of a file.

    Raises:
        LobsterFileError: no such file, or a row that is no message; says which.
    """
    for number, fields in _rows(path):
        try:
            yield parse_message(fields)
        except ValueError as error:
            raise LobsterFileError(f"{path.name} row {number}: {error}") from error


def read_book_rows(path: Path, levels: int) -> Iterator[BookRow]:
    """The best `levels` of each row.

    Raises:
        LobsterFileError: no such file, fewer levels in it, or a row that is no book.
    """
    for number, fields in _rows(path):
        if number == 1 and len(fields) % _COLUMNS_PER_LEVEL == 0:
            in_file = len(fields) // _COLUMNS_PER_LEVEL
            if levels > in_file:
                msg = f"{path.name} has {in_file} levels; ask for at most --levels {in_file}"
                raise LobsterFileError(msg)
        try:
            yield parse_book_row(fields, levels)
        except ValueError as error:
            raise LobsterFileError(f"{path.name} row {number}: {error}") from error


def read_session(
    message_path: Path, book_path: Path | None, levels: int
) -> Iterator[tuple[LobsterMessage, BookRow | None]]:
    """Messages with the book after each (None without an orderbook file).

    Raises:
        LobsterFileError: as the readers, or the files differ in length.
    """
    messages = read_messages(message_path)
    if book_path is None:
        yield from ((message, None) for message in messages)
        return
    rows = read_book_rows(book_path, levels)
    for number, (message, row) in enumerate(zip_longest(messages, rows), start=1):
        if message is None or row is None:
            shorter, longer = (
                (message_path, book_path) if message is None else (book_path, message_path)
            )
            raise LobsterFileError(
                f"{shorter.name} ends after {number - 1} rows and {longer.name} goes on;"
                " the two are not of one session"
            )
        yield message, row


def count_rows(path: Path) -> int:
    """How many rows a file has, for progress. Reads it whole.

    Raises:
        LobsterFileError: no such file, or none that can be read.
    """
    with _opened(path) as file:
        return _guarded(path, lambda: sum(1 for _ in file))


def count_session_rows(message_path: Path, book_path: Path | None) -> int:
    """How many rows a session has. Reads both files whole.

    Raises:
        LobsterFileError: as `count_rows`, or the files differ in length.
    """
    rows = count_rows(message_path)
    if book_path is not None and (book_rows := count_rows(book_path)) != rows:
        raise LobsterFileError(
            f"{message_path.name} has {rows} rows and {book_path.name} {book_rows};"
            " the two are not of one session"
        )
    return rows


def count_levels(path: Path) -> int:
    """How many levels a side an orderbook file has.

    Raises:
        LobsterFileError: no such file, or its first row is no book.
    """
    _, fields = next(_rows(path))
    levels, rest = divmod(len(fields), _COLUMNS_PER_LEVEL)
    if rest or not levels:
        raise LobsterFileError(
            f"{path.name} row 1: {len(fields)} columns; a level has 4: is it the orderbook file?"
        )
    return levels


def parse_message(fields: list[str]) -> LobsterMessage:
    """Raises ValueError, with the cause for people, for what is no message."""
    if len(fields) not in _COLUMNS:
        raise ValueError(
            f"{len(fields)} columns; a message has 6: time, type, id, size, price, side"
        )
    kind, order_id, size, price, side = (int(field) for field in fields[1:6])
    if not NEW_ORDER <= kind <= HALT:
        raise ValueError(f"type {kind} is none of 1 to 7")
    if kind <= EXECUTION and not (size > 0 and price > 0 and side in (BUY, SELL)):
        raise ValueError(f"size {size}, price {price}, direction {side} make no order")
    seconds, _, fraction = fields[0].partition(".")
    time_us = int(seconds) * _US_PER_S + int(fraction[:6].ljust(6, "0"))
    return LobsterMessage(time_us, kind, order_id, size, price, side)


def parse_book_row(fields: list[str], levels: int) -> BookRow:
    """Raises ValueError, with the cause for people, for what is no book.

    Levels above the highest price that an order may state are left out: they are stub quotes.
    """
    if len(fields) < levels * _COLUMNS_PER_LEVEL or len(fields) % _COLUMNS_PER_LEVEL:
        raise ValueError(f"{len(fields)} columns; {levels} levels have {_COLUMNS_PER_LEVEL} each")
    values = [int(field) for field in fields[: levels * _COLUMNS_PER_LEVEL]]
    asks = tuple(zip(values[0::4], values[1::4], strict=True))
    bids = tuple(zip(values[2::4], values[3::4], strict=True))
    if asks[-1][0] > PRICE_MAX:  # empty levels and stub quotes are the last ones
        asks = tuple(level for level in asks if level[0] <= PRICE_MAX)
    if bids[-1][0] == -EMPTY_LEVEL_PRICE:
        bids = tuple(level for level in bids if level[0] != -EMPTY_LEVEL_PRICE)
    return BookRow(bids, asks)


def session_midnight_us(path: Path, day: date | None = None) -> int:
    """Midnight in New York of the session's day, microseconds since the epoch.

    The day is the one in the file's name (`AAPL_2012-06-21_...`) unless given; 1970-01-02 if
    neither says.
    """
    if day is None:
        found = re.search(r"_(\d{4}-\d{2}-\d{2})_", path.name)
        try:
            day = date.fromisoformat(found[1]) if found else date(1970, 1, 2)
        except ValueError as error:
            raise LobsterFileError(f"{path.name}: {error}; give the day with --date") from error
    midnight = datetime.combine(day, time(), ZoneInfo(_EXCHANGE_ZONE))
    return int(midnight.timestamp()) * _US_PER_S


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with _opened(path) as file:
        number = 0
        while line := _guarded(path, file.readline):
            number += 1
            yield number, line.rstrip("\r\n").split(",")
    if number == 0:
        raise LobsterFileError(f"{path.name} is empty")


def _opened(path: Path) -> TextIO:
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == _GZIP_MAGIC
        return gzip.open(path, "rt", encoding="ascii") if gzipped else path.open(encoding="ascii")
    except FileNotFoundError as error:
        raise LobsterFileError(f"no file {path}") from error
    except OSError as error:
        raise LobsterFileError(f"{path} can't be opened: {error.strerror}") from error


def _guarded[T](path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise LobsterFileError(f"{path.name} is damaged: {error}") from error
