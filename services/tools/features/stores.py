"""The lake's and the online store's rows against the rows that follow from the trades."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import open_file, read_file
from services.lake.places import FeatureFile, Lake
from services.tools.features.digests import digest
from services.tools.features.inputs import ExpectedRow, reals
from services.tools.features.parity import NEVER_US, Judged, Tally

_NOT_JUDGED = Judged(NEVER_US, NEVER_US)
"""A partition without rows of the set on `features`."""


class OnlineRow(NamedTuple):
    """What the online store knows of a ticker."""

    grid_time_us: int
    fingerprint: str
    reals: tuple[float | None, ...]


class OnlineRead(Protocol):
    """Asks the online store for a set's newest rows; a ticker that it never saw is absent."""

    def __call__(self, feature_set: str, tickers: Sequence[str]) -> dict[str, OnlineRow]: ...


class Expected:
    """Every row that follows from the trades, as the stores hold it: a digest, by set and ticker.

    Pass `note` to the comparison of the stream.
    """

    def __init__(self) -> None:
        self._digests: dict[tuple[str, str], dict[int, bytes]] = {}
        self._newest: dict[tuple[str, str], ExpectedRow] = {}

    def note(self, feature_set: FeatureSet[Any], row: ExpectedRow) -> None:
        """Take a row; those of a ticker come in order of grid time."""
        place = (feature_set.name, row.ticker)
        self._digests.setdefault(place, {})[row.grid_time_us] = digest(
            row.created_us, row.closing_offset, fingerprint(feature_set), reals(feature_set, row)
        )
        self._newest[place] = row

    def tickers(self, feature_set: str) -> list[str]:
        """Those with a row, in order."""
        return sorted(ticker for name, ticker in self._digests if name == feature_set)

    def digests(self, feature_set: str, ticker: str) -> dict[int, bytes]:
        """By grid time; a copy."""
        return dict(self._digests.get((feature_set, ticker), {}))

    def newest(self, feature_set: str, ticker: str) -> ExpectedRow:
        """The last row of a ticker that has one."""
        return self._newest[feature_set, ticker]


def compare_lake(
    lake: Lake,
    feature_set: FeatureSet[Any],
    expected: Expected,
    judged: Mapping[int, Judged],
) -> Tally:
    """Rows in the lake that came from the log: streamed, or backfilled from `trades`.

    Rows whose trades the log does not have are counted, and nothing here says what they should be.
    `judged` says by partition which streamed rows must follow from the trades.

    Raises:
        LakeError: a file is damaged or another's.
    """
    tally = Tally("lake", feature_set.name)
    files: dict[str, list[tuple[Path, FeatureFile]]] = {
        ticker: [] for ticker in expected.tickers(feature_set.name)
    }
    for path, file in lake.feature_files(feature_set.name):
        ticker = path.parent.parent.name.removeprefix("ticker=")
        files.setdefault(ticker, []).append((path, file))
    for ticker in sorted(files):
        _Ticker(tally, feature_set, ticker, expected, judged).compare(files[ticker])
    return tally


class _Ticker:
    """One ticker's files against its rows."""

    def __init__(
        self,
        tally: Tally,
        feature_set: FeatureSet[Any],
        ticker: str,
        expected: Expected,
        judged: Mapping[int, Judged],
    ) -> None:
        self._tally = tally
        self._feature_set = feature_set
        self._ticker = ticker
        self._judged = judged
        self._left = expected.digests(feature_set.name, ticker)
        self._there: set[int] = set()
        """Grid times of rows that came from the log."""

    def compare(self, files: Sequence[tuple[Path, FeatureFile]]) -> None:
        is_on_the_log = bool(self._left)
        for path, file in files:
            if file.origin == "backfill" and not is_on_the_log:
                with open_file(path, "features") as whole:
                    self._tally.unprovable += whole.metadata.num_rows
            else:
                self._take(path, file)
        self._count_absent()

    def _take(self, path: Path, file: FeatureFile) -> None:
        tally = self._tally
        for row in _stored_rows(self._feature_set, read_file(path, "features")):
            if row.grid_time_us in self._there:
                tally.extra += 1
                tally.tell(f"{path}: the row at {row.grid_time_us} is there twice")
                continue
            must = self._left.pop(row.grid_time_us, None)
            if must is None:
                self._take_unexpected(path, file, row)
                continue
            self._there.add(row.grid_time_us)
            if must != row.digest:
                tally.mismatched += 1
                tally.tell(f"{path}: the row at {row.grid_time_us} is not what the trades give")
            else:
                tally.matched += 1

    def _take_unexpected(self, path: Path, file: FeatureFile, row: "_StoredRow") -> None:
        tally = self._tally
        if file.origin == "backfill":  # of a history that the log does not have, or not any more
            tally.unprovable += 1
            return
        judged = self._judged.get(file.partition, _NOT_JUDGED)
        if judged.trades_end <= row.closing_offset:
            return  # its trade came after the look
        self._there.add(row.grid_time_us)
        if row.grid_time_us < judged.from_us:
            tally.unprovable += 1
        else:
            tally.extra += 1
            tally.tell(f"{path}: the row at {row.grid_time_us} follows from no trade")

    def _count_absent(self) -> None:
        tally = self._tally
        first_us, last_us = min(self._there, default=None), max(self._there, default=None)
        behind = 0
        for grid_time_us in self._left:
            if first_us is None or last_us is None or grid_time_us > last_us:
                behind += 1
            elif grid_time_us < first_us:
                tally.before += 1
            else:
                tally.missing += 1
                tally.tell(f"{self._ticker} at {grid_time_us}: missing in the lake")
        if behind:
            tally.behind += behind
            tally.tell(f"{self._ticker}: {behind:,} rows are later than the newest one in the lake")


def compare_online(
    read: OnlineRead,
    feature_set: FeatureSet[Any],
    expected: Expected,
    is_still: Callable[[], bool],
) -> Tally:
    """The newest row of each ticker.

    `is_still`, asked after the store, says that no trade came since those that the rows follow
    from. Otherwise a newer row may be right, and is not judged.

    Raises:
        OnlineStoreAwayError: the store does not answer.
    """
    tally = Tally("online", feature_set.name)
    tickers = expected.tickers(feature_set.name)
    found = read(feature_set.name, tickers)
    for ticker in tickers:
        newest = expected.newest(feature_set.name, ticker)
        row = found.get(ticker)
        must = OnlineRow(newest.grid_time_us, fingerprint(feature_set), reals(feature_set, newest))
        if row is None or row.grid_time_us < must.grid_time_us:
            tally.behind += 1
        elif row == must:
            tally.matched += 1
        elif row.grid_time_us == must.grid_time_us:
            tally.mismatched += 1
            tally.tell(f"{ticker} at {row.grid_time_us}: {row} is not {must}")
        elif is_still():
            tally.extra += 1
            tally.tell(f"{ticker} at {row.grid_time_us}: follows from no trade that was read")
    return tally


class _StoredRow(NamedTuple):
    grid_time_us: int
    closing_offset: int
    digest: bytes


def _stored_rows(feature_set: FeatureSet[Any], table: pa.Table) -> list[_StoredRow]:
    grid_times, created = (
        table.column(name).cast(pa.int64()).to_pylist() for name in ("event_timestamp", "created")
    )
    offsets = table.column("trade_offset").to_pylist()
    made_by = table.column("fingerprint").cast(pa.string()).to_pylist()
    values = zip(*(table.column(n).to_pylist() for n in feature_set.columns), strict=True)
    return [
        _StoredRow(grid_time_us, offset, digest(created_us, offset, fingerprint_, reals_))
        for grid_time_us, created_us, offset, fingerprint_, reals_ in zip(
            grid_times, created, offsets, made_by, values, strict=True
        )
    ]
