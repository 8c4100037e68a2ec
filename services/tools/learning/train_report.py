"""Trainings and scorings as people read them."""

import sys
from collections import Counter
from typing import Final

from services.models.artifact import CARD_PAGE
from services.models.classes import CLASS_NAMES
from services.models.manifest import Estimate, Metrics
from services.tools.learning.train_run import TrainReport
from services.tools.operate.present import print_table
from services.trainer.score import Scored

_METRICS: Final = ("macro_f1", "mcc", "log_loss", "ece", "pnl_per_row")


def print_training(done: TrainReport) -> None:
    """The figures beside every baseline's, the verdict, and where the model is."""
    print_table(
        ("predictor", "macro-F1", "MCC", "log-loss", "ECE", "PnL a row, 1/20000 $", "margin"),
        [
            (f"this model ({done.model})", *_cells(done.metrics), ""),
            *((c.name, *_cells(c.metrics), _cell(c.macro_f1_margin)) for c in done.baselines),
        ],
    )
    sys.stdout.write(
        f"\n{done.test_rows:,} test rows of {done.rows:,}; in brackets 95 % intervals; margin: this"
        " model's macro-F1 less that one's\n"
    )
    _print_champion(done)
    for check in done.checks:
        if check.outcome != "passed":
            sys.stdout.write(f"leak check {check.name}: {check.outcome}: {check.detail}\n")
    word = "BEATS" if done.beats_baseline else "DOES NOT BEAT"
    sys.stdout.write(f"It {word} its best baseline: {done.why}\n")
    sys.stdout.write(f"model {done.model_sha256}\ncard {done.folder}/{CARD_PAGE}\n")
    if done.repeated:
        sys.stdout.write(f"The same model file as {done.repeated} says.\n")
    else:
        sys.stdout.write(f"{done.name} version {done.version}, registered\n")
    if done.promoted:
        sys.stdout.write("It is the champion.\n")
    elif done.not_promoted_because:
        sys.stdout.write(f"NOT PROMOTED: {done.not_promoted_because}\n")


def print_scored(scored: Scored, name: str, version: int) -> None:
    """How often the model says what, by ticker."""
    tickers = scored.table.column("ticker").to_pylist()
    said = Counter(zip(tickers, scored.table.column("class").to_pylist(), strict=True))
    print_table(
        ("ticker", *CLASS_NAMES),
        [
            (ticker, *(f"{said[ticker, one]:,}" for one in CLASS_NAMES))
            for ticker in sorted(set(tickers))
        ],
    )
    sys.stdout.write(f"{scored.table.num_rows:,} rows scored by {name} version {version}")
    if scored.null_input:
        sys.stdout.write(f"; {scored.null_input:,} with a null among the inputs were not")
    sys.stdout.write("\n")


def _print_champion(done: TrainReport) -> None:
    found = done.champion
    if found is not None and found.fresh is not None:
        own = found.fresh.own.macro_f1
        sys.stdout.write(
            f"beside the champion, on {found.fresh.rows:,} of the test rows, which are new to it:"
            f" macro-F1 {_cell(own)}, the champion's {_cell(found.metrics.macro_f1)}, margin"
            f" {_cell(found.macro_f1_margin)}\n"
        )
    elif done.champion_not_compared:
        sys.stdout.write(
            f"not compared with the champion row by row: {done.champion_not_compared}\n"
        )


def _cells(metrics: Metrics) -> list[str]:
    found = [getattr(metrics, name) for name in _METRICS]
    return [
        "" if one is None else _cell(one, ".1f" if name == "pnl_per_row" else ".4f")
        for name, one in zip(_METRICS, found, strict=True)
    ]


def _cell(found: Estimate, figures: str = ".4f") -> str:
    return f"{found.value:{figures}} [{found.low:{figures}}, {found.high:{figures}}]"
