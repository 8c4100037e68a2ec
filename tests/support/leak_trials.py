"""Data sets of which it is known whether they leak: what every leak check must say of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import GridRow
from services.featuresets.microstructure_v1 import MicrostructureV1Fold
from services.featuresets.ticks import Tick
from services.lake.places import Lake
from services.tools.vectorfold.columns import TradeColumns, trade_columns
from services.trainer import leakage, stumps
from services.trainer.dataset import Dataset, DatasetPlan, dataset_of_table
from services.trainer.leakage import LeakCheck
from services.trainer.splits import Fold, walk_forward
from tests.support.drawn_ticks import seeded_ticks
from tests.support.made_datasets import SECOND_US, changed
from tests.support.markets import (
    TICKERS,
    V1,
    autocorrelated_market,
    leaky_market,
    market_of_trades,
    null_market,
    planted_signal_market,
    put_trades,
)

PLAN: Final = DatasetPlan(V1.name)
TRADES: Final = 2_500
ROWS: Final = 20_000
SAMPLE: Final = 100


class Trial(NamedTuple):
    """One data set, one check, and what it must say."""

    name: str
    outcome: str
    run: Callable[[], LeakCheck]


def wrong_verdicts(trials: Sequence[Trial]) -> Iterator[str]:
    """The trials whose check says something else."""
    for trial in trials:
        check = trial.run()
        if check.outcome != trial.outcome:
            yield f"{trial.name}: {check.outcome} ({check.detail})"


# --- gaps ----------------------------------------------------------------------------------------


def gap_trials() -> list[Trial]:
    made = of_table(null_market(ROWS, tickers=TICKERS[:2]))
    honest = walk_forward(made)
    purged = walk_forward(made, gap_us=11 * SECOND_US)
    turned = [replace(honest[0], train=honest[0].test, test=honest[0].train)]

    def run(folds: Sequence[Fold]) -> Callable[[], LeakCheck]:
        return lambda: leakage.check_gaps(made, folds)

    return [
        Trial("folds with gaps", "passed", run(honest)),
        Trial("no gap", "failed", run(walk_forward(made, gap_us=0))),
        Trial("purge without embargo", "failed", run(purged)),
        Trial("a gap a second short", "failed", run(walk_forward(made, gap_us=69 * SECOND_US))),
        Trial("a test before its training", "failed", run(turned)),
        Trial("a test twice", "failed", run([honest[0], honest[0]])),
        Trial("no folds", "not checkable", run([])),
    ]


# --- truncation ----------------------------------------------------------------------------------


class KnowsItsClosing(MicrostructureV1Fold):
    """A fold with a bug: the trade that closes a row has already moved the signed volume."""

    def step(self, tick: Tick) -> list[GridRow]:
        """As it should be, and then not."""
        rows = super().step(tick)
        place = V1.columns.index("signed_volume_60s")
        return [
            msgspec.structs.replace(
                row,
                values=tuple(
                    value + tick.side * tick.quantity if n == place and value is not None else value
                    for n, value in enumerate(row.values)
                ),
            )
            for row in rows
        ]


def truncation_trials(home: Path) -> list[Trial]:
    """Of rows that follow from trades, in lakes under a folder."""
    trades = _trades()
    lake = Lake(home / "both")
    for ticker, of_ticker in trades.items():
        put_trades(lake, ticker, of_ticker)
    one = Lake(home / "one")
    put_trades(one, "AAPL", trades["AAPL"])
    late = Lake(home / "late")
    for ticker, of_ticker in trades.items():
        put_trades(late, ticker, TradeColumns(*(c[len(c) // 2 :] for c in of_ticker)))
    table = market_of_trades(trades)
    honest = of_table(table)
    volume = honest.inputs.copy()
    volume[:, honest.columns.index("signed_volume_60s")] += 1
    leaking: FeatureSet[Any] = msgspec.structs.replace(V1, new_fold=KnowsItsClosing)
    leaked = of_table(_folded(trades, leaking))

    def run(
        made: Dataset, of: Lake | None, feature_set: FeatureSet[Any] = V1
    ) -> Callable[[], LeakCheck]:
        return lambda: leakage.check_truncation(made, of, feature_set, SAMPLE)

    return [
        Trial("rows of these trades", "passed", run(honest, lake)),
        Trial("trades of one ticker alone", "passed", run(honest, one)),
        Trial("trades from the middle on", "passed", run(honest, late)),
        Trial("another value", "failed", run(replace(honest, inputs=volume), lake)),
        Trial("another mid", "failed", run(replace(honest, mid=honest.mid + 2), lake)),
        Trial(
            "another closing trade",
            "failed",
            run(replace(honest, created_us=honest.created_us + 1), lake),
        ),
        Trial("a fold that knows what closes it", "failed", run(leaked, lake, leaking)),
        Trial("rows of that fold by the right one", "failed", run(leaked, lake)),
        Trial("no trades", "not checkable", run(honest, Lake(home / "none"))),
        Trial("no lake", "not checkable", run(honest, None)),
    ]


@cache
def _trades() -> dict[str, TradeColumns]:
    """With trades on the grid itself, silences and empty sides."""
    return {t: trade_columns(seeded_ticks(n, TRADES)) for n, t in enumerate(TICKERS[:2])}


def _folded(trades: dict[str, TradeColumns], feature_set: FeatureSet[Any]) -> "pa.Table":
    """As `market_of_trades`, by the fold itself."""
    table = market_of_trades(trades)
    place = feature_set.columns.index("signed_volume_60s")
    cells = [
        feature_set.features[place].real(row.values[place])
        for of_ticker in trades.values()
        for fold in (feature_set.new_fold(),)
        for tick in of_ticker.ticks()
        for row in fold.step(tick)
    ]
    return changed(table, "signed_volume_60s", cells)


# --- single columns ------------------------------------------------------------------------------


def column_trials() -> list[Trial]:
    classes = (1.0, 2.0, 0.0)  # Of down, flat, up: neither rising nor falling.
    null = of_table(null_market(ROWS))
    mixed = null.inputs.copy()
    mixed[:, 3] = np.array(classes)[null.label]
    one_leaks = pa.concat_tables(
        [null_market(ROWS, tickers=TICKERS[:4]), leaky_market(ROWS // 4, tickers=TICKERS[4:])]
    )

    def run(made: Dataset) -> Callable[[], LeakCheck]:
        return lambda: leakage.check_columns(
            stumps.column_accuracy(made, walk_forward(made)), len(made)
        )

    return [
        Trial("nothing to learn", "passed", run(null)),
        Trial("a signal", "passed", run(of_table(planted_signal_market(ROWS, strength=0.6)))),
        Trial("slow columns", "passed", run(of_table(autocorrelated_market(ROWS)))),
        Trial("the move that is to come", "failed", run(of_table(leaky_market(ROWS)))),
        Trial("with some noise", "failed", run(of_table(leaky_market(ROWS, noise=0.3)))),
        Trial("in one of five tickers", "failed", run(of_table(one_leaks))),
        Trial("the class in disguise", "failed", run(replace(null, inputs=mixed))),
        Trial("no folds", "not checkable", lambda: leakage.check_columns({}, 0)),
    ]


# --- timestamps ----------------------------------------------------------------------------------


def timestamp_trials() -> list[Trial]:
    made = of_table(null_market(2_000))
    newest_us = int(made.grid_time_us.max())
    early = made.created_us.copy()
    early[7] = made.grid_time_us[7] - 1

    def run(of: Dataset) -> Callable[[], LeakCheck]:
        return lambda: leakage.check_timestamps(of)

    def until(last_us: int) -> DatasetPlan:
        return msgspec.structs.replace(PLAN, last_us=last_us)

    return [
        Trial("closed a little later", "passed", run(made)),
        Trial(
            "closed by a trade on the grid",
            "passed",
            run(replace(made, created_us=made.grid_time_us)),
        ),
        Trial("closed before its time", "failed", run(replace(made, created_us=early))),
        Trial(
            "labels up to the last time",
            "passed",
            run(replace(made, plan=until(newest_us + 10 * SECOND_US))),
        ),
        Trial(
            "a label after the last time",
            "failed",
            run(replace(made, plan=until(newest_us + 10 * SECOND_US - 1))),
        ),
        Trial(
            "a horizon of nothing",
            "failed",
            run(replace(made, plan=msgspec.structs.replace(PLAN, horizon_s=0))),
        ),
    ]


def of_table(table: "pa.Table") -> Dataset:
    """Under the plan of all trials."""
    return dataset_of_table(table, PLAN)


def all_trials(home: Path) -> dict[str, list[Trial]]:
    """By check."""
    return {
        "gaps": gap_trials(),
        "truncation": truncation_trials(home),
        "single_column": column_trials(),
        "timestamps": timestamp_trials(),
    }
