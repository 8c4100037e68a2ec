"""A LOBSTER session into the lake: its order flow, and the trades that the matcher makes of it.

The file's messages become commands as in `outcry replay lobster`, and the matcher's own core folds
them; what it prints, with the top of book right after each fill, is what the lake holds. So the
lake's trades are those that a stream of the same flow prints again.

A day of a ticker has one session: a second one that differs is refused, unless it replaces it.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from services.domain.commands import CancelOrder, ClientCommand, EnterOrder, PlaceOrder, ReduceOrder
from services.domain.events import Trade
from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.lake.errors import LakeError
from services.lake.files import FileWriter, open_file, put_in_place
from services.lake.places import Lake, day_of, is_ticker
from services.lake.schemas import ORDERS, ORIGIN_KEY, TIME, TRADES
from services.matcher.core import MatcherCore
from services.tools.history.errors import HistoryError
from services.tools.history.ingest import SESSION_ORIGIN, workplace
from services.tools.history.report import Example, Report
from services.tools.history.source import digest
from services.tools.history.times import spell_time
from services.tools.market.genesis import PARTITION, replay_genesis
from services.tools.market.lobster import Adapter, Skipped
from services.tools.market.lobster_files import (
    LobsterFileError,
    count_levels,
    count_session_rows,
    read_session,
    session_midnight_us,
)
from services.wire.codec import Decoded
from services.wire.messages import Payload

PLACE: Final = 1
REDUCE: Final = 2
CANCEL: Final = 3
"""Commands, as the column `command` has them."""

LEVELS_DEFAULT: Final = 10
_ROWS_A_CHUNK: Final = 20_000
_TELL_EVERY: Final = 500
_NAME: Final = re.compile(r"([A-Za-z0-9.]{1,12})_\d{4}-\d{2}-\d{2}_")
_KINDS: Final = ("_message_", "_orderbook_")

type Progress = Callable[[int, int], None]
"""Takes rows done and rows in all."""


class SessionAsked(msgspec.Struct, frozen=True):
    """What a person said of the files."""

    ticker: str | None = None
    """Otherwise the one in the message file's name."""
    day: date | None = None
    """Otherwise the one in the message file's name."""
    levels: int | None = None
    """Of the window; otherwise 10, or what the orderbook file has."""
    replace: bool = False


def pair_files(paths: Iterable[Path]) -> list[tuple[Path, Path | None]]:
    """Each message file with its orderbook file, if that is among the files or beside it.

    Raises:
        HistoryError: an orderbook file has no message file here.
    """
    given = list(paths)
    books = {path for path in given if _KINDS[1] in path.name}
    pairs: list[tuple[Path, Path | None]] = []
    for path in given:
        if path in books:
            continue
        twin = path.with_name(path.name.replace(*_KINDS))
        is_there = twin != path and (twin in books or twin.exists())
        pairs.append((path, twin if is_there else None))
    alone = books - {book for _, book in pairs}
    if alone:
        raise HistoryError(f"{min(alone).name} has no message file: name that file too")
    return pairs


def ingest_session(
    lake: Lake,
    message: Path,
    book: Path | None,
    asked: SessionAsked,
    progress: Progress = lambda _done, _all: None,
) -> Report:
    """Take a session in. The caller holds the lake's lock of history.

    Raises:
        LakeError: the lake can't be read or written.
    """
    report = Report(file=message.name, kind="lobster")
    try:
        report.sha256 = digest(message)
        with workplace(lake) as folder:
            _Session(lake, message, book, asked, report).ingest(folder, progress)
    except (HistoryError, LobsterFileError) as error:
        report.error = str(error)
        report.kept = report.new = report.known = 0
        report.tickers = {}
    except OSError as error:
        raise LakeError(
            f"{message.name} could not be staged in {lake.root} ({error.strerror or error}); see"
            " the disk"
        ) from error
    return report


def forward(command: ClientCommand, order_id: str) -> Payload:
    """What risk makes of a command of an account that it lets do anything."""
    if isinstance(command, PlaceOrder):
        return EnterOrder(
            order_id,
            command.account,
            command.side,
            command.order_type,
            command.time_in_force,
            command.post_only,
            command.price,
            command.quantity,
            command.self_trade_prevention,
        )
    return command


class _Session:
    """One session under way."""

    def __init__(
        self, lake: Lake, message: Path, book: Path | None, asked: SessionAsked, report: Report
    ) -> None:
        self._lake = lake
        self._message = message
        self._book = book
        self._asked = asked
        self._report = report
        self._ticker = _ticker_of(message, asked)
        self._midnight_us = session_midnight_us(message, asked.day)
        self._levels = 0
        if book is not None:
            self._levels = asked.levels or min(LEVELS_DEFAULT, count_levels(book))
        self._core = MatcherCore(PARTITION)
        self._offset = 0
        self._orders: list[tuple[Any, ...]] = []
        self._trades: list[tuple[Any, ...]] = []
        self._trades_written = 0

    def ingest(self, folder: Path, progress: Progress) -> None:
        total = count_session_rows(self._message, self._book)
        self._fold(replay_genesis(self._ticker, "history"), CONTROLS, 1)
        orders = FileWriter(folder / "orders.parquet", ORDERS)
        trades = FileWriter(folder / "trades.parquet", TRADES, {ORIGIN_KEY: SESSION_ORIGIN})
        try:
            first_us, last_us = self._run(orders, trades, lambda done: progress(done, total))
            self._write_rest(orders, trades)
            orders.finish()
            trades.finish()
        except BaseException:
            orders.give_up()
            trades.give_up()
            raise
        if day_of(first_us) != day_of(last_us):
            raise HistoryError(f"{self._message.name} runs past midnight UTC: cut it there")
        report = self._report
        report.commands, report.trades = orders.rows, trades.rows
        report.kept = report.rows_read - report.refused
        report.tickers = {self._ticker: report.kept}
        report.first_time, report.last_time = spell_time(first_us), spell_time(last_us)
        self._place(folder, day_of(first_us))

    def _run(
        self, orders: FileWriter, trades: FileWriter, progress: Callable[[int], None]
    ) -> tuple[int, int]:
        """Every message; first and last time."""
        adapter = Adapter(self._ticker, self._levels)
        first_us = last_us = 0
        for message, row in read_session(self._message, self._book, self._levels):
            self._report.rows_read += 1
            time_us = self._midnight_us + message.time_us
            if time_us < last_us:
                raise HistoryError(
                    f"{self._message.name} row {self._report.rows_read} is earlier than the one"
                    " before it: a session is in order of time"
                )
            first_us, last_us = first_us or time_us, time_us
            before = _counts(adapter.skipped)
            step = adapter.step(message, row)
            self._note_skipped(before, _counts(adapter.skipped))
            for command, key in zip(step.commands, step.keys, strict=True):
                self._take(command, key, time_us)
            if len(self._orders) >= _ROWS_A_CHUNK:
                self._write_rest(orders, trades)
            if self._report.rows_read % _TELL_EVERY == 0:
                progress(self._report.rows_read)
        progress(self._report.rows_read)
        return first_us, last_us

    def _take(self, command: ClientCommand, key: str, time_us: int) -> None:
        self._orders.append(_order_row(self._ticker, command, key, time_us))
        for message in self._fold(forward(command, key), ACCOUNTS, time_us):
            if isinstance(message, Trade):
                row = (
                    self._ticker, time_us, self._trades_written + len(self._trades), message.price,
                    message.quantity, message.aggressor_side, message.bid, message.bid_quantity,
                    message.ask, message.ask_quantity, None,
                )  # fmt: skip
                self._trades.append(row)

    def _fold(self, payload: Payload, topic: int, time_us: int) -> list[Payload]:
        offset = self._offset
        self._offset += 1
        # Controls come from the stateless ingest, which counts nothing; commands count from 1.
        origin = Origin(topic, PARTITION, offset, 0, offset, time_us, time_us)
        messages = self._core.handle(offset, Decoded(origin, payload, time_us))
        return [message.payload for message in messages]

    def _note_skipped(self, before: dict[str, int], after: dict[str, int]) -> None:
        for rule, count in after.items():
            if count > before[rule]:
                example = Example(self._report.rows_read, self._ticker)
                self._report.note(rule, count - before[rule], [example])

    def _write_rest(self, orders: FileWriter, trades: FileWriter) -> None:
        orders.write(_table(ORDERS, self._orders))
        trades.write(_table(TRADES, self._trades))
        self._trades_written += len(self._trades)
        self._orders, self._trades = [], []

    def _place(self, folder: Path, day: date) -> None:
        """Both files in their places; or none, if the day has something else."""
        report = self._report
        places = {
            folder / "trades.parquet": self._lake.trades(self._ticker, day),
            folder / "orders.parquet": self._lake.orders(self._ticker, day),
        }
        changed = []
        for made, place in places.items():
            kind = place.stem
            if place.exists():
                open_file(place, kind).close()
                if place.read_bytes() == made.read_bytes():
                    continue
                if not self._asked.replace:
                    raise HistoryError(
                        f"the lake has other {kind} of {self._ticker} on {day}: a day has one"
                        " session, or trades of files; --replace puts this session in their place"
                    )
            changed.append((made, place))
        for made, place in changed:
            place.parent.mkdir(parents=True, exist_ok=True)
            put_in_place(made, place)
        report.files_written = len(changed)
        report.new, report.known = (report.kept, 0) if changed else (0, report.kept)


def _ticker_of(message: Path, asked: SessionAsked) -> str:
    found = _NAME.match(message.name)
    ticker = (asked.ticker or (found[1] if found else "")).upper()
    if not is_ticker(ticker):
        raise HistoryError(f"{message.name} names no ticker: give --ticker")
    return ticker


def _order_row(ticker: str, command: ClientCommand, key: str, time_us: int) -> tuple[Any, ...]:
    match command:
        case PlaceOrder():
            return (
                ticker, time_us, PLACE, command.client_order_id, key, command.side,
                command.time_in_force, command.price, command.quantity,
            )  # fmt: skip
        case ReduceOrder():
            return (ticker, time_us, REDUCE, key, command.order_id, 0, 0, 0, command.quantity)
        case CancelOrder():
            return (ticker, time_us, CANCEL, key, command.order_id, 0, 0, 0, 0)
        case _:
            raise AssertionError(f"an adapter gives no {type(command).__name__}")


def _table(schema: "pa.Schema", rows: list[tuple[Any, ...]]) -> "pa.Table":
    if not rows:
        return schema.empty_table()
    columns = list(zip(*rows, strict=True))
    arrays = [
        pa.array(column, pa.int64()).cast(TIME) if field.type == TIME
        else pa.array(column, field.type)
        for field, column in zip(schema, columns, strict=True)
    ]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=schema)


def _counts(skipped: Skipped) -> dict[str, int]:
    return {
        "hidden_execution": skipped.hidden_executions,
        "cross_trade": skipped.crosses,
        "halt_message": skipped.halts,
        "outside_window": skipped.outside,
    }
