"""The lake's and the online store's rows against the rows that follow from the trades."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.files import read_file
from services.lake.places import Lake
from services.tools.features.inputs import ExpectedRow, reals
from services.tools.features.parity import Tally

_DIGEST_BYTES: Final = 16


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
        digest = _digest(
            row.created_us, row.closing_offset, fingerprint(feature_set), reals(feature_set, row)
        )
        self._digests.setdefault(place, {})[row.grid_time_us] = digest
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


def compare_lake(lake: Lake, feature_set: FeatureSet[Any], expected: Expected) -> Tally:
    """Rows in the lake that came from the log: streamed, or backfilled from `trades`.

    Days of history that the log does not have are not looked at, since nothing here says what
    they should be.

    Raises:
        LakeError: a file is damaged or another's.
    """
    tally = Tally("lake", feature_set.name)
    for ticker in expected.tickers(feature_set.name):
        left = expected.digests(feature_set.name, ticker)
        there: set[int] = set()
        for path, file in lake.feature_files(feature_set.name):
            if path.parent.parent.name == f"ticker={ticker}":
                is_stream = file.origin == "stream"
                _take_file(tally, feature_set, path, left, there, is_stream=is_stream)
        _count_absent(tally, ticker, left, there)
    return tally


def _take_file(
    tally: Tally,
    feature_set: FeatureSet[Any],
    path: Path,
    left: dict[int, bytes],
    there: set[int],
    *,
    is_stream: bool,
) -> None:
    for grid_time_us, digest in _stored_rows(feature_set, read_file(path, "features")):
        if grid_time_us in there:
            tally.extra += 1
            tally.tell(f"{path}: the row at {grid_time_us} is there twice")
            continue
        must = left.pop(grid_time_us, None)
        if must is None and not is_stream:
            continue  # of a history that the log does not have
        there.add(grid_time_us)
        if must is None:
            tally.extra += 1
            tally.tell(f"{path}: the row at {grid_time_us} follows from no trade")
        elif must != digest:
            tally.mismatched += 1
            tally.tell(f"{path}: the row at {grid_time_us} is not what the trades give")
        else:
            tally.matched += 1


def _count_absent(tally: Tally, ticker: str, left: dict[int, bytes], there: set[int]) -> None:
    first_us, last_us = min(there, default=None), max(there, default=None)
    for grid_time_us in left:
        if first_us is None or last_us is None or grid_time_us > last_us:
            tally.behind += 1
        elif grid_time_us < first_us:
            tally.before += 1
        else:
            tally.missing += 1
            tally.tell(f"{ticker} at {grid_time_us}: missing in the lake")


def compare_online(read: OnlineRead, feature_set: FeatureSet[Any], expected: Expected) -> Tally:
    """The newest row of each ticker.

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
        else:
            tally.extra += 1
            tally.tell(f"{ticker} at {row.grid_time_us}: follows from no trade that was read")
    return tally


def _stored_rows(feature_set: FeatureSet[Any], table: pa.Table) -> list[tuple[int, bytes]]:
    grid_times, created = (
        table.column(name).cast(pa.int64()).to_pylist() for name in ("event_timestamp", "created")
    )
    offsets = table.column("trade_offset").to_pylist()
    made_by = table.column("fingerprint").cast(pa.string()).to_pylist()
    values = zip(*(table.column(n).to_pylist() for n in feature_set.columns), strict=True)
    return [
        (grid_time_us, _digest(*cells))
        for grid_time_us, *cells in zip(grid_times, created, offsets, made_by, values, strict=True)
    ]


def _digest(
    created_us: int, closing_offset: int, made_by: str, values: tuple[float | None, ...]
) -> bytes:
    cells = msgspec.msgpack.encode((created_us, closing_offset, made_by, values))
    return blake2b(cells, digest_size=_DIGEST_BYTES).digest()
