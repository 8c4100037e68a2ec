"""Where each file of the lake lies, and what its name says.

    <home>/lake/trades/ticker=<T>/date=<YYYY-MM-DD>/trades.parquet
    <home>/lake/orders/ticker=<T>/date=<YYYY-MM-DD>/orders.parquet
    <home>/lake/bars/<interval>/ticker=<T>/year=<YYYY>/bars.parquet
    <home>/lake/features/<feature set>/ticker=<T>/date=<YYYY-MM-DD>/stream-<partition>-<from>-<to>.parquet
    <home>/lake/features/<feature set>/ticker=<T>/date=<YYYY-MM-DD>/backfill-<from>-<to>.parquet
    <home>/lake/quality/<kind>/<batch>.json
    <home>/lake/locks/<writer>.lock

Dates are UTC. Offsets have 20 digits, so that names sort as numbers.
"""  # noqa: E501 - a path is not broken

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.lake.errors import LakeError

TICKER_PATTERN: Final = r"[A-Z0-9][A-Z0-9.]{0,11}"
"""What a ticker in the lake looks like: safe as a folder, and as an instrument's name."""

_TICKER: Final = re.compile(TICKER_PATTERN)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_STREAM: Final = re.compile(r"stream-(\d{1,4})-(\d{20})-(\d{20})\.parquet")
_BACKFILL: Final = re.compile(r"backfill-(\d{20})-(\d{20})\.parquet")
_EPOCH: Final = date(1970, 1, 1)
_US_PER_DAY: Final = 86_400_000_000


class FeatureFile(msgspec.Struct, frozen=True):
    """What the name of a file of feature rows says."""

    origin: Literal["stream", "backfill"]
    partition: int
    """Of `features`; -1 in a backfill."""
    first: int
    """Of a streamed file, offsets in `features`; of a backfill, offsets in `trades`."""
    last: int

    @property
    def name(self) -> str:
        """Of the file."""
        offsets = f"{self.first:020}-{self.last:020}.parquet"
        if self.origin == "stream":
            return f"stream-{self.partition}-{offsets}"
        return f"backfill-{offsets}"


class Lake:
    """The folders of one lake. Nothing is made here, and nothing is read but folders."""

    def __init__(self, home: Path) -> None:
        self.root: Final = home / "lake"

    # --- folders and files

    def trades(self, ticker: str, day: date) -> Path:
        """The trades of a ticker on a day."""
        return self._day("trades", ticker, day) / "trades.parquet"

    def orders(self, ticker: str, day: date) -> Path:
        """The order flow of a ticker's session on a day."""
        return self._day("orders", ticker, day) / "orders.parquet"

    def bars(self, interval: str, ticker: str, year: int) -> Path:
        """The bars of a ticker in a year; `interval` is `1d` or `1m`."""
        folder = self.root / "bars" / _named(interval)
        return folder / f"ticker={_checked(ticker)}" / f"year={year:04}" / "bars.parquet"

    def feature_set(self, feature_set: str) -> Path:
        """The folder of a feature set: what Feast calls the path of its source."""
        return self.root / "features" / _named(feature_set)

    def features(self, feature_set: str, ticker: str, day: date) -> Path:
        """The folder of a ticker's feature rows whose grid time is on a day."""
        folder = self.feature_set(feature_set)
        return folder / f"ticker={_checked(ticker)}" / f"date={day.isoformat()}"

    def quality(self, kind: str) -> Path:
        """The folder of the results of quality checks."""
        return self.root / "quality" / _named(kind)

    def lock(self, writer: str) -> Path:
        """The lock of one kind of writer."""
        return self.root / "locks" / f"{_named(writer)}.lock"

    # --- what is there

    def tickers(self, dataset: str) -> list[str]:
        """The tickers of `trades`, `orders`, `bars/1d`, `features/<feature set>`, in order."""
        return [path.name.partition("=")[2] for path in _children(self.root / dataset, "ticker")]

    def days(self, dataset: str, ticker: str) -> list[date]:
        """The days for which a dataset has a folder of a ticker, in order."""
        folder = self.root / dataset / f"ticker={_checked(ticker)}"
        try:
            return [date.fromisoformat(p.name.partition("=")[2]) for p in _children(folder, "date")]
        except ValueError as error:
            raise LakeError(f"{folder} has a folder of no day ({error}); move it away") from error

    def files(self, dataset: str) -> list[Path]:
        """Every Parquet file of a dataset, in order of ticker and date or year."""
        return sorted((self.root / dataset).glob("ticker=*/*/*.parquet"))

    def feature_files(self, feature_set: str) -> Iterator[tuple[Path, FeatureFile]]:
        """Every file of a feature set, with what its name says, in order of path.

        Raises:
            LakeError: a file's name is not one that the lake gives.
        """
        for path in sorted(self.feature_set(feature_set).glob("ticker=*/date=*/*.parquet")):
            yield path, parse_feature_file(path)

    def last_streamed_offset(self, feature_set: str, partition: int) -> int:
        """The greatest offset of `features` that the set's files hold of a partition; -1: none."""
        return max(
            (
                file.last
                for _, file in self.feature_files(feature_set)
                if file.origin == "stream" and file.partition == partition
            ),
            default=-1,
        )

    def _day(self, dataset: str, ticker: str, day: date) -> Path:
        return self.root / dataset / f"ticker={_checked(ticker)}" / f"date={day.isoformat()}"


def stream_file(partition: int, first: int, last: int) -> FeatureFile:
    """A file of rows that were read from `features`, by their offsets there."""
    return FeatureFile("stream", partition, first, last)


def backfill_file(first: int, last: int) -> FeatureFile:
    """A file of rows computed from trades, by the offsets of the trades that closed them."""
    return FeatureFile("backfill", -1, first, last)


def parse_feature_file(path: Path) -> FeatureFile:
    """Read a name back.

    Raises:
        LakeError: it is no name of the lake.
    """
    if found := _STREAM.fullmatch(path.name):
        return FeatureFile("stream", int(found[1]), int(found[2]), int(found[3]))
    if found := _BACKFILL.fullmatch(path.name):
        return FeatureFile("backfill", -1, int(found[1]), int(found[2]))
    raise LakeError(f"{path} is none of the lake's files by its name; move it away")


def day_of(time_us: int) -> date:
    """The day (UTC) of a time in microseconds since the epoch."""
    return _EPOCH + timedelta(days=time_us // _US_PER_DAY)


def day_bounds_us(day: date) -> tuple[int, int]:
    """First microsecond of a day (UTC), and of the next one."""
    start = int(datetime.combine(day, datetime.min.time(), UTC).timestamp()) * 1_000_000
    return start, start + _US_PER_DAY


def is_ticker(text: str) -> bool:
    """Whether the lake can hold a ticker of this name."""
    return _TICKER.fullmatch(text) is not None


def _children(folder: Path, key: str) -> list[Path]:
    return sorted(folder.glob(f"{key}=*"))


def _checked(ticker: str) -> str:
    if not is_ticker(ticker):
        raise LakeError(f"{ticker!r} is no ticker of the lake: 1 to 12 of A-Z, 0-9 and dots")
    return ticker


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise LakeError(f"{name!r} can't name a folder of the lake: use a-z, 0-9 and _")
    return name
