"""The ways that the benchmark of features compares make the same rows, and a wrong one shows."""

from collections.abc import Mapping

import numpy as np
import pytest

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.tools.bench.feature_worker import WAYS, make_rows
from services.tools.bench.features import (
    FeatureFigures,
    WayFigures,
    compare_rows,
    features_table,
    run_features_bench,
)
from services.tools.vectorfold.columns import TradeColumns
from services.tools.vectorfold.made_trades import make_trades

type Rows = Mapping[str, np.ndarray]


def _flow() -> tuple[np.ndarray, TradeColumns]:
    """Two tickers; silences of a minute to some more than five stand in each."""
    tickers = []
    for seed in (1, 2):
        trades = make_trades(seed, 1_500, 300_000)
        silent = np.cumsum(np.where(np.arange(1_500) % 400 == 399, 150_000_000, 0))
        tickers.append(trades._replace(time_us=trades.time_us + silent))
    columns = (np.concatenate(parts) for parts in zip(*tickers, strict=True))
    return np.repeat([0, 1], 1_500), TradeColumns(*columns)


@pytest.fixture(scope="module")
def reference() -> Rows:
    return make_rows("fold", *_flow())


@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_way_makes_the_rows_of_the_fold(way: str, reference: Rows) -> None:
    equal, near, other = compare_rows(reference, make_rows(way, *_flow()))
    assert other == 0
    assert equal > 50 * near
    assert equal + near == len(reference["at"]) * len(MICROSTRUCTURE_V1.features)


def test_a_wrong_value_and_a_missing_one_are_counted(reference: Rows) -> None:
    wrong = {name: column.copy() for name, column in reference.items()}
    wrong["spread"][5] += 0.01
    wrong["mid"][7] = np.nan
    wrong["return_1s"][900] += 1e-9
    _, near, other = compare_rows(reference, wrong)
    assert (near, other) == (1, 2)


def test_rows_at_other_times_are_not_compared(reference: Rows) -> None:
    moved = dict(reference) | {"at": reference["at"] + 1}
    with pytest.raises(RuntimeError, match="other grid times"):
        compare_rows(reference, moved)


@pytest.mark.long
def test_the_benchmark_tells_what_each_way_took_and_how_its_values_compare() -> None:
    told: list[str] = []
    figures = run_features_bench(2_000, 2, 200, 3, 1, told.append)
    assert [way.way for way in figures.ways] == list(WAYS)
    assert all(way.cpu_us_per_trade > 0 and way.other == 0 for way in figures.ways)
    assert len(told) == len(WAYS)


def test_the_table_has_a_line_for_each_way() -> None:
    way = WayFigures("pandas", 1e6, 9e5, 2e6, 1.0, 0.5, 100, 1_690, 10, 0)
    figures = FeatureFigures(7, 1_000, 2, 100, 3, (1.0, 1.5), [way])
    assert features_table(figures).row_count == 1
