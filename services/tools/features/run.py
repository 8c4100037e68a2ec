"""A backfill, or a comparison, of one deployment: its log, its lake, its online store."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from services.featuresets import SETS, TRADE_SETS
from services.featuresets.definitions import FeatureSet
from services.lake.places import Lake, day_of
from services.runtime.ports import LogReader, TopicPartition
from services.tools.features.backfill import Days, Filled, fill
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import (
    ExpectedRow,
    bars_from_lake,
    expected_rows,
    trades_from_lake,
    trades_from_log,
)
from services.tools.features.parity import compare_stream, first_grid_time_us
from services.tools.features.report import ParityReport
from services.tools.features.stores import Expected, OnlineRead, compare_lake, compare_online
from services.tools.operate.connect import load_codec, open_log, read_deployment
from services.wire.codec import Codec
from services.wire.topics import TRADES

_LOOK_AGAIN_S: Final = 1.0


def known_set(name: str) -> FeatureSet[Any]:
    """A feature set by its name.

    Raises:
        FeaturesError: there is none; the message lists those that there are.
    """
    if name not in SETS:
        raise FeaturesError(f"no feature set {name!r}; there are: {', '.join(SETS)}")
    return SETS[name]


def backfill_from_lake(
    lake: Lake, name: str, days: Days, tickers: Sequence[str] | None, *, replace: bool
) -> Filled:
    """Rows from the lake's own trades or daily bars.

    Raises:
        FeaturesError: the lake has nothing to compute from, or other rows are there.
        LakeError: a file is damaged.
    """
    feature_set = known_set(name)
    is_of_trades = feature_set.source == "trades"
    dataset, feed = ("trades", trades_from_lake) if is_of_trades else ("bars/1d", bars_from_lake)
    chosen = _chosen(lake.tickers(dataset), tickers, f"the lake has no {dataset} of")
    if not chosen:
        raise FeaturesError(f"the lake has no {dataset}: ingest some (`outcry history ingest`)")
    filled = Filled()
    for ticker in chosen:
        rows = _of_days(expected_rows(feature_set, feed(lake, ticker)), days)
        _add(filled, fill(lake, feature_set, rows, replace=replace))
    return filled


def backfill_from_log(
    lake: Lake, name: str, days: Days, tickers: Sequence[str] | None, *, replace: bool
) -> Filled:
    """Rows from `trades` that the stream has not written: those before the set's first row there.

    Raises:
        FeaturesError: the set is not made of trades, or other rows are there.
        UnreachableError: a part of the stack does not answer.
    """
    feature_set = known_set(name)
    if name not in TRADE_SETS:
        raise FeaturesError(f"{name} is made of bars, and the log has trades: use --source lake")
    deployment = read_deployment()
    filled = Filled()
    with open_log(deployment) as log:
        codec = load_codec(deployment)
        for partition in range(TRADES.partitions):
            rows = _before_stream(log, codec, feature_set, partition)
            wanted = (row for row in rows if not tickers or row.ticker in tickers)
            _add(filled, fill(lake, feature_set, _of_days(wanted, days), replace=replace))
    return filled


def _before_stream(
    log: LogReader, codec: Codec, feature_set: FeatureSet[Any], partition: int
) -> Iterator[ExpectedRow]:
    first_us = first_grid_time_us(log, codec, feature_set.name, partition)
    _, end = log.bounds(TopicPartition(TRADES.name, partition))
    for row in expected_rows(feature_set, trades_from_log(log, codec, partition, end)):
        if first_us is None or row.grid_time_us < first_us:
            yield row


def parity_of_deployment(
    home: Path, names: Sequence[str] | None, *, with_stores: bool, timeout_s: float
) -> ParityReport:
    """Compare until nothing is on its way any more, or until the time is up.

    Raises:
        FeaturesError: a set of this name is not made of trades.
        UnreachableError: a part of the stack does not answer.
    """
    sets = [known_set(name) for name in names or TRADE_SETS]
    for feature_set in sets:
        if feature_set.name not in TRADE_SETS:
            raise FeaturesError(f"{feature_set.name} is made of bars: there is no stream of it")
    deployment = read_deployment()
    online = _open_online(home) if with_stores else None
    deadline_s = time.monotonic() + timeout_s
    with open_log(deployment) as log:
        codec = load_codec(deployment)
        while True:
            report = compare_once(log, codec, sets, Lake(home) if with_stores else None, online)
            is_behind = any(tally.behind for tally in report.tallies)
            if not is_behind or time.monotonic() >= deadline_s:
                return report
            time.sleep(_LOOK_AGAIN_S)


def compare_once(
    log: LogReader,
    codec: Codec,
    sets: Sequence[FeatureSet[Any]],
    lake: Lake | None,
    online: OnlineRead | None,
) -> ParityReport:
    """The stream, and then the stores that are given, of each set that is on the log."""
    expected = Expected()
    on_row: Callable[[FeatureSet[Any], ExpectedRow], None] = (
        expected.note if lake or online else lambda _set, _row: None
    )
    found = compare_stream(log, codec, sets, range(TRADES.partitions), on_row)
    live = {tally.feature_set for tally in found.tallies}
    tallies = list(found.tallies)
    for feature_set in sets:
        if feature_set.name not in live:
            continue
        if lake is not None:
            tallies.append(compare_lake(lake, feature_set, expected))
        if online is not None:
            tallies.append(compare_online(online, feature_set, expected))
    return ParityReport(tallies, found.unreadable)


def _open_online(home: Path) -> OnlineRead:
    # Imported here: Feast takes seconds, and a backfill needs none of it.
    from services.tools.features.online import online_reader

    return online_reader(home)


def _chosen(there: Sequence[str], asked: Sequence[str] | None, lacks: str) -> list[str]:
    absent = sorted(set(asked or ()) - set(there))
    if absent:
        raise FeaturesError(f"{lacks} {', '.join(absent)}; it has {', '.join(there) or 'none'}")
    return list(asked or there)


def _of_days(rows: Iterable[ExpectedRow], days: Days) -> Iterator[ExpectedRow]:
    return (row for row in rows if days.hold(day_of(row.grid_time_us)))


def _add(total: Filled, part: Filled) -> None:
    total.computed += part.computed
    total.written += part.written
    total.kept += part.kept
    total.files += part.files
