"""The lake that `outcry bench training` trains on, and what it prints."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from services.lake.places import Lake
from services.tools.bench.training import TrainingFigures, training_table
from services.tools.bench.training_lake import make_lake
from services.tools.bench.tries import Spread
from services.trainer.dataset import DatasetPlan, load_dataset
from services.trainer.leakage import check_leaks
from services.trainer.splits import walk_forward


def test_the_lake_has_as_many_rows_as_asked_and_passes_every_leak_check(tmp_path: Path) -> None:
    assert make_lake(tmp_path, 3_000, 2, seed=3) == 3_000
    dataset = load_dataset(Lake(tmp_path), DatasetPlan("microstructure_v1"))
    assert dataset.rows_read == 3_000
    checks = check_leaks(dataset, walk_forward(dataset), Lake(tmp_path))
    assert [check.outcome for check in checks] == ["passed"] * 4


@pytest.mark.parametrize("rounds", [0, 120])
def test_figures_are_shown_with_their_spread(rounds: int) -> None:
    spread = Spread(2.0, 1.0, 3.0)
    figures = TrainingFigures(
        1_000, 900, 5, "xgboost", 7, 1, 3, (0.5, 0.6), rounds, spread, spread, spread,
        {"final fit": spread}, 80, spread, spread,
    )  # fmt: skip
    page = StringIO()
    Console(file=page, width=120).print(training_table(figures))
    shown = page.getvalue()
    assert "2.0 s [1.0, 3.0]" in shown
    assert "training of xgboost on 900 of 1,000 rows" in shown
