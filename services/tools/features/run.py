"""A backfill, or a comparison, of one deployment: its log, its lake, its online store."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.featuresets import SETS, TRADE_SETS
from services.featuresets.definitions import FeatureSet
from services.lake.places import Lake, day_of
from services.runtime.ports import LogReader, TopicPartition
from services.tools.features.backfill import DayRows, Days, Filled, day_columns, day_rows, fill
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import ExpectedRow, LogTrades, bars_from_lake, expected_rows
from services.tools.features.lake_trades import days_to_read, fold_days, read_days
from services.tools.features.parity import compare_stream, first_grid_time_us
from services.tools.features.progress import Progress, WatchedLog, no_progress
from services.tools.features.report import ParityReport
from services.tools.features.served_parity import compare_served
from services.tools.features.stores import Expected, OnlineRead, compare_lake, compare_online
from services.tools.operate.connect import load_codec, open_log, read_deployment
from services.wire.codec import Codec
from services.wire.topics import FEATURES, PREDICTIONS, TRADES

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
    lake: Lake,
    name: str,
    days: Days,
    tickers: Sequence[str] | None,
    *,
    replace: bool,
    progress: Progress = no_progress,
) -> Filled:
    """Rows from the lake's own trades or daily bars.

    Raises:
        FeaturesError: the lake has nothing to compute from, or other rows are there.
        LakeError: a file is damaged.
    """
    feature_set = known_set(name)
    dataset, make = (
        ("trades", _rows_of_trades)
        if feature_set.source == "trades"
        else ("bars/1d", _rows_of_bars)
    )
    chosen = _chosen(lake.tickers(dataset), tickers, f"the lake has no {dataset} of")
    if not chosen:
        on_log = ", or take those on the log (--source kafka)" if dataset == "trades" else ""
        raise FeaturesError(
            f"the lake has no {dataset}: ingest some (`outcry history ingest`){on_log}"
        )
    rows = (some for some in make(lake, feature_set, chosen, days, progress) if days.hold(some.day))
    return fill(lake, feature_set, rows, replace=replace)


def _rows_of_trades(
    lake: Lake,
    feature_set: FeatureSet[Any],
    tickers: Sequence[str],
    days: Days,
    progress: Progress,
) -> Iterator[DayRows]:
    plans = [days_to_read(lake, t, feature_set.longest_window_s, days) for t in tickers]
    done, total = 0, sum(chosen.trades for chosen in plans)
    for chosen in plans:
        progress(done, total)
        for folded in fold_days(feature_set, read_days(lake, chosen)):
            yield from day_columns(feature_set, chosen.ticker, folded.rows, folded.trades)
            done += folded.fresh
            progress(done, total)
    progress(total, total)


def _rows_of_bars(
    lake: Lake,
    feature_set: FeatureSet[Any],
    tickers: Sequence[str],
    _days: Days,
    progress: Progress,
) -> Iterator[DayRows]:
    for place, ticker in enumerate(tickers):
        progress(place, len(tickers))
        yield from day_rows(feature_set, expected_rows(feature_set, bars_from_lake(lake, ticker)))
    progress(len(tickers), len(tickers))


def backfill_from_log(
    lake: Lake,
    name: str,
    days: Days,
    tickers: Sequence[str] | None,
    *,
    replace: bool,
    progress: Progress = no_progress,
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
    with open_log(deployment) as log:
        codec = load_codec(deployment)
        watched = WatchedLog(log, progress, [TRADES.name])
        return fill_before_stream(lake, watched, codec, feature_set, days, tickers, replace=replace)


def fill_before_stream(
    lake: Lake,
    log: LogReader,
    codec: Codec,
    feature_set: FeatureSet[Any],
    days: Days,
    tickers: Sequence[str] | None = None,
    *,
    replace: bool = False,
) -> Filled:
    """Rows that follow from the log's trades and stand before the set's first one on `features`.

    Raises:
        FeaturesError: other rows are there.
        RetriableError: the broker does not answer.
        HistoryLostError: retention took trades while they were read.
    """
    unprovable = 0

    def before_stream() -> Iterator[ExpectedRow]:
        nonlocal unprovable
        for partition in range(TRADES.partitions):
            trades = LogTrades(log, codec, partition)
            first_us = first_grid_time_us(log, codec, feature_set.name, partition)
            for found in trades.rows([feature_set]):
                row = found.row
                if first_us is not None and row.grid_time_us >= first_us:
                    break
                if days.hold(day_of(row.grid_time_us)) and (not tickers or row.ticker in tickers):
                    unprovable += not found.is_provable
                    if found.is_provable:
                        yield row

    filled = fill(lake, feature_set, day_rows(feature_set, before_stream()), replace=replace)
    filled.unprovable = unprovable
    return filled


def parity_of_deployment(
    home: Path,
    names: Sequence[str] | None,
    *,
    with_stores: bool,
    with_served: bool,
    timeout_s: float,
    progress: Progress = no_progress,
) -> ParityReport:
    """Compare what follows from the trades of now until nothing of it is on its way any more.

    Or until the time is up. What comes in the meantime is not looked at, so that a busy market
    does not keep it from ending. What was served is looked at once, in the end.

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
    lake = Lake(home) if with_stores else None
    deadline_s = time.monotonic() + timeout_s
    with open_log(deployment) as log:
        codec = load_codec(deployment)
        ends: dict[int, int] = {}
        while True:
            watched = WatchedLog(log, progress, [TRADES.name, FEATURES.name])
            report = compare_once(watched, codec, sets, lake, online, ends)
            is_behind = any(tally.behind for tally in report.tallies)
            if not is_behind or time.monotonic() >= deadline_s:
                break
            ends = report.ends
            time.sleep(_LOOK_AGAIN_S)
        if not with_served:
            return report
        watched = WatchedLog(log, progress, [TRADES.name, PREDICTIONS.name])
        return report.with_served(compare_served(watched, codec, sets))


def compare_once(
    log: LogReader,
    codec: Codec,
    sets: Sequence[FeatureSet[Any]],
    lake: Lake | None,
    online: OnlineRead | None,
    ends: Mapping[int, int] | None = None,
) -> ParityReport:
    """The stream, and then the stores that are given, of each set that is on the log.

    `ends` says how far to look at the trades of each partition; otherwise to where they end now.
    """
    expected = Expected()
    on_row: Callable[[FeatureSet[Any], ExpectedRow], None] = (
        expected.note if lake or online else lambda _set, _row: None
    )
    to_look_at = {p: (ends or {}).get(p) for p in range(TRADES.partitions)}
    found = compare_stream(log, codec, sets, to_look_at, on_row)
    tallies = list(found.tallies)
    for feature_set in sets:
        judged = found.judged.get(feature_set.name)
        if judged is None:
            continue
        if lake is not None:
            tallies.append(compare_lake(lake, feature_set, expected, judged))
        if online is not None:
            tally = compare_online(
                online, feature_set, expected,
                # Asked after the store was read: a row that came before then is known.
                is_still=lambda: found.ends == {p: _end(log, p) for p in found.ends},
            )  # fmt: skip
            tallies.append(tally)
    return ParityReport(tallies, found.unreadable, ends=found.ends)


def _end(log: LogReader, partition: int) -> int:
    return log.bounds(TopicPartition(TRADES.name, partition))[1]


def _open_online(home: Path) -> OnlineRead:
    # Imported here: Feast takes seconds, and a backfill needs none of it.
    from services.tools.features.online import online_reader

    return online_reader(home)


def _chosen(there: Sequence[str], asked: Sequence[str] | None, lacks: str) -> list[str]:
    absent = sorted(set(asked or ()) - set(there))
    if absent:
        raise FeaturesError(f"{lacks} {', '.join(absent)}; it has {', '.join(there) or 'none'}")
    return list(asked or there)
