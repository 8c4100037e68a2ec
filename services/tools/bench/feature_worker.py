"""One way of making the features, in a process of its own: `python -m ... WAY TRADES ROWS`.

Makes them once to warm up and once by the clock, leaves the second's rows in a file, and prints
the processor time (all threads) and the time on the wall.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

import numpy as np

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.tools.bench.feature_flow import load_trades
from services.tools.vectorfold.columns import RowColumns, TradeColumns
from services.tools.vectorfold.fold import fold_columns, fold_steps

type Way = tuple[Callable[[np.ndarray, TradeColumns], Any], Callable[[Any], Any]]
"""How the input is laid out before the clock starts, and what is timed."""


def _split(ticker: np.ndarray, trades: TradeColumns) -> list[TradeColumns]:
    return [
        TradeColumns(*(column[ticker == number] for column in trades))
        for number in np.unique(ticker)
    ]


def _fold_columns(tickers: list[TradeColumns]) -> list[RowColumns]:
    return [fold_columns(MICROSTRUCTURE_V1, trades) for trades in tickers]


def _fold_steps(tickers: list[TradeColumns]) -> list[RowColumns]:
    return [fold_steps(MICROSTRUCTURE_V1, trades) for trades in tickers]


def _backfill() -> Way:
    from services.tools.bench.feature_backfill import LakeOfRows, LakeOfTrades

    return LakeOfTrades, LakeOfRows


def _pandas() -> Way:
    from services.tools.bench.feature_frames import pandas_features, pandas_frame

    return pandas_frame, pandas_features


def _polars() -> Way:
    from services.tools.bench.feature_frames import polars_features, polars_frame

    return polars_frame, polars_features


def _duckdb() -> Way:
    from services.tools.bench.feature_sql import duckdb_features, duckdb_trades

    return duckdb_trades, duckdb_features


WAYS: Final[Mapping[str, Callable[[], Way]]] = {
    "columns": lambda: (_split, _fold_columns),
    "fold": lambda: (_split, _fold_steps),
    "backfill": _backfill,
    "pandas": _pandas,
    "polars": _polars,
    "duckdb": _duckdb,
}


def make_rows(way: str, ticker: np.ndarray, trades: TradeColumns) -> Mapping[str, np.ndarray]:
    """The rows of one way as columns of floats (NaN: not defined), by ticker and grid second."""
    prepare, make = WAYS[way]()
    return as_floats(make(prepare(ticker, trades)))


def as_floats(made: Any) -> Mapping[str, np.ndarray]:  # noqa: ANN401 (three libraries' tables)
    """Any way's rows, in one order."""
    if isinstance(made, list):
        rows = {
            "ticker": np.repeat(np.arange(len(made)), [len(one.closing) for one in made]),
            "at": np.concatenate([one.grid_time_us // 1_000_000 for one in made]),
        }
        reals = [one.reals(MICROSTRUCTURE_V1) for one in made]
        rows |= {
            name: np.concatenate(parts)
            for name, parts in zip(MICROSTRUCTURE_V1.columns, zip(*reals, strict=True), strict=True)
        }
    else:
        names = ("ticker", "at", *MICROSTRUCTURE_V1.columns)
        rows = {name: made[name].to_numpy() for name in names}
    order = np.lexsort((rows["at"], rows["ticker"]))
    return {name: column[order].astype(np.float64) for name, column in rows.items()}


def main() -> None:
    way, given, result = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    prepare, make = WAYS[way]()
    prepared = prepare(*load_trades(given))
    make(prepared)
    wall, cpu = perf_counter(), process_time()
    made = make(prepared)
    cpu_s, wall_s = process_time() - cpu, perf_counter() - wall
    np.savez(result, allow_pickle=False, **as_floats(made))
    sys.stdout.write(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s}) + "\n")


if __name__ == "__main__":
    main()
