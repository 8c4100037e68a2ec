"""The card of a model: what it is, what it is made of, how good beside what, where not to trust it.

Every figure comes from the manifest or from the evaluation; none is typed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.models.artifact import CARD, CARD_PAGE
from services.models.classes import CLASS_NAMES
from services.models.manifest import Estimate, Metrics, ModelManifest
from services.models.rules import Verdict
from services.scoring.arrays import Ints
from services.scoring.metrics import calibration_of, confusion_of
from services.trainer.blocks import (
    Block,
    Figure,
    Heading,
    Items,
    Paragraph,
    Table,
    to_html,
    to_markdown,
)
from services.trainer.champion import Beside
from services.trainer.dataset import Dataset
from services.trainer.evaluate import Evaluation, Slice, by_ticker, by_time
from services.trainer.importance import Importance
from services.trainer.leakage import LeakCheck
from services.trainer.plots import (
    plot_calibration,
    plot_confusion,
    plot_importance,
    plot_metric,
)

_COLUMNS: Final = {
    "macro_f1": "macro-F1",
    "mcc": "MCC",
    "log_loss": "log-loss",
    "ece": "calibration error",
    "pnl_per_row": "PnL a row, 1/20000 $",
}
_SPAN: Final = "trades: log offsets, or places in ingested history"
_FIGURES: Final = {"pnl_per_row": ".1f"}


@dataclass(frozen=True)
class Told:
    """All that a card speaks of."""

    dataset: Dataset
    manifest: ModelManifest
    evaluation: Evaluation
    verdict: Verdict
    checks: Sequence[LeakCheck]
    importance: Sequence[Importance]
    """Empty: the model weighs no inputs."""
    beside: Beside


def card_of(told: Told) -> dict[str, bytes]:
    """The card's files by name: Markdown, the pictures beside it, and a page that needs neither."""
    blocks: list[Block] = [
        *_head(told),
        *_data(told),
        *_scores(told),
        *_champion(told),
        *_probabilities(told),
        *_inputs(told.importance),
        *_slices(told),
        *_limits(told),
    ]
    pictures = {block.file: block.data for block in blocks if isinstance(block, Figure)}
    return {CARD: to_markdown(blocks).encode(), CARD_PAGE: to_html(blocks).encode(), **pictures}


def _head(told: Told) -> list[Block]:
    manifest = told.manifest
    threshold = manifest.label.threshold
    flat = f"up to {threshold}/20000 dollar" if threshold else "of nothing"
    verdict = "beats" if told.verdict.holds else "does not beat"
    return [
        Heading(1, f"{manifest.name}: {manifest.parameters['model']} on {manifest.feature_set}"),
        Paragraph(f"It {verdict} its best baseline: {told.verdict.why}."),
        Paragraph(
            f"Says whether the mid of a ticker {manifest.label.horizon_s} s after a feature row is"
            f" down, flat (a move {flat}) or up, with a probability of each."
        ),
        Table(
            ("what", "value"),
            [
                ("kind", manifest.kind),
                ("feature set", f"{manifest.feature_set}, `{manifest.fingerprint}`"),
                ("data set", f"`{manifest.data.sha256}`"),
                ("seed", str(manifest.seed)),
                ("parameters", ", ".join(f"{k} {v}" for k, v in manifest.parameters.items())),
                ("rounds of trees", _rounds(manifest)),
                ("code", f"`{manifest.code_version}`"),
                ("libraries", ", ".join(f"{k} {v}" for k, v in manifest.libraries.items())),
            ],
        ),
        Paragraph(
            "`outcry train --from-manifest manifest.json` trains it again and compares the hash of"
            " the model's file."
        ),
    ]


def _data(told: Told) -> list[Block]:
    dataset, data = told.dataset, told.manifest.data
    rows = []
    for code, ticker in enumerate(dataset.tickers):
        of_ticker = dataset.label[dataset.ticker == code]
        if len(of_ticker):
            offsets = data.offsets[ticker]
            shares = _shares(np.bincount(of_ticker, minlength=len(CLASS_NAMES)))
            span = f"{offsets.first:,} to {offsets.last:,}"
            rows.append((ticker, f"{len(of_ticker):,}", *shares, span))
    left_out = ", ".join(f"{n:,} {reason}" for reason, n in dataset.left_out.items() if n)
    return [
        Heading(2, "Data"),
        Paragraph(
            f"{data.rows:,} rows from {_time(data.first_grid_us)} to {_time(data.last_grid_us)}"
            f" (UTC); left out: {left_out or 'none'}. Walk-forward over {data.folds} folds, with"
            f" gaps of {data.gap_s} s between train, validation and test."
        ),
        Table(
            ("ticker", "rows", *CLASS_NAMES, _SPAN),
            rows,
        ),
        Table(
            ("leak check", "outcome", "finding"),
            [(check.name, check.outcome, check.detail) for check in told.checks],
        ),
    ]


def _scores(told: Told) -> list[Block]:
    found = told.evaluation
    name = f"this model ({found.model.name})"
    everyone = [(name, found.metrics), *((c.name, c.metrics) for c in found.baselines)]
    picture = plot_metric([(n, m.macro_f1) for n, m in everyone], "Macro-F1 with 95 % intervals")
    return [
        Heading(2, "Metrics"),
        Paragraph(
            f"Of the {len(found.rows):,} pooled test rows, which no fold's model had seen; in"
            " brackets 95 % intervals of a bootstrap of blocks of time. A dash: it states no"
            " probabilities. Profit is of a share each time the model says up or down, held for the"
            " horizon, after half the spread at the entry; no fees, no impact, no exit cost."
        ),
        Table(("predictor", *_COLUMNS.values()), [_metrics_row(n, m) for n, m in everyone]),
        Table(
            ("this model's macro-F1 less that of", "difference"),
            [(c.name, _estimate(c.macro_f1_margin, ".4f")) for c in found.baselines],
        ),
        Figure("macro_f1.png", "Macro-F1 of the model and of every baseline", picture),
    ]


def _champion(told: Told) -> list[Block]:
    """Nothing where nobody served."""
    compared, why_not = told.beside
    if compared is None or compared.fresh is None:
        return [] if not why_not else [
            Heading(2, "Beside the champion"),
            Paragraph(
                f"Not compared row by row: {why_not}. What counts is the two models' own"
                " walk-forward figures."
            ),
        ]  # fmt: skip
    fresh, name = compared.fresh, f"this model ({told.evaluation.model.name})"
    return [
        Heading(2, "Beside the champion"),
        Paragraph(
            f"Of the {fresh.rows:,} test rows from {_time(fresh.first_grid_us)} (UTC) on, which"
            " neither the folds' models nor the champion had been trained on. This model's"
            f" macro-F1 less the champion's: {_estimate(compared.macro_f1_margin, '.4f')}."
        ),
        Table(
            ("predictor", *_COLUMNS.values()),
            [_metrics_row(name, fresh.own), _metrics_row("champion", compared.metrics)],
        ),
    ]


def _probabilities(told: Told) -> list[Block]:
    sums = told.evaluation.model.sums.sum(axis=0)
    confusion, bins = confusion_of(sums), calibration_of(sums)
    blocks: list[Block] = [
        Heading(2, "Confusion"),
        Table(
            ("came \\ said", *CLASS_NAMES),
            [
                (name, *(f"{int(n):,}" for n in row))
                for name, row in zip(CLASS_NAMES, confusion, strict=True)
            ],
        ),
        Figure("confusion.png", "Confusion of classes", plot_confusion(confusion)),
        Heading(2, "Calibration"),
    ]
    if not told.evaluation.model.states_probabilities:
        return [*blocks, Paragraph("A rule says a class and no probability.")]
    return [
        *blocks,
        Table(
            ("rows", "mean confidence", "share right"),
            [(f"{b.rows:,}", f"{b.confidence:.3f}", f"{b.right:.3f}") for b in bins],
        ),
        Figure("calibration.png", "Share right by confidence", plot_calibration(bins)),
    ]


def _inputs(found: Sequence[Importance]) -> list[Block]:
    if not found:
        return [Heading(2, "Importance"), Paragraph("It weighs no inputs.")]
    return [
        Heading(2, "Importance"),
        Paragraph(
            "How much the log-loss of the last fold's test rises when one input is shuffled. Inputs"
            " that say the same share what they say."
        ),
        Table(
            ("input", "rise of the log-loss"),
            [(f"`{one.column}`", f"{one.log_loss_rise:+.5f}") for one in found],
        ),
        Figure("importance.png", "Importance of inputs", plot_importance(found)),
    ]


def _slices(told: Told) -> list[Block]:
    best = told.evaluation.best_baseline.name
    return [
        Heading(2, "By ticker"),
        _slice_table("ticker", best, by_ticker(told.dataset, told.evaluation)),
        Heading(2, "By time"),
        Paragraph(
            "Parts of the test rows with as many rows each, named for when they begin (UTC)."
        ),
        _slice_table("from", best, by_time(told.evaluation)),
    ]


def _limits(told: Told) -> list[Block]:
    manifest = told.manifest
    unchecked = [check.name for check in told.checks if check.outcome == "not checkable"]
    tickers = ", ".join(sorted(manifest.data.offsets))
    limits = [
        f"It knows {tickers}, on the days named above. Another ticker or tick is not measured.",
        "The figures are of the folds' models. The one that serves has more rows and no test.",
        "Features see the book at trades alone, and grow old in silence.",
        "A row with a null among the inputs is not scored, and nothing is filled in.",
        "The profit is no backtest: one share, no queue, no fees, no impact, the exit at the mid.",
        "Intervals say how sure the figures are for days like these. They say nothing of others.",
    ]
    if not told.verdict.holds:
        limits.insert(0, "It does not beat its best baseline: it is no use but as a comparison.")
    if unchecked:
        limits.append(f"Not everything could be checked for leaks: {', '.join(unchecked)}.")
    return [Heading(2, "Limits of use"), Items(limits)]


def _metrics_row(name: str, metrics: Metrics) -> tuple[str, ...]:
    cells = [
        "–" if found is None else _estimate(found, _FIGURES.get(metric, ".4f"))
        for metric in _COLUMNS
        for found in (getattr(metrics, metric),)
    ]
    return (name, *cells)


def _slice_table(what: str, best: str, slices: Sequence[Slice]) -> Table:
    return Table(
        (what, "rows", *_COLUMNS.values(), f"macro-F1 of {best}"),
        [
            (
                part.name,
                f"{part.rows:,}",
                *(
                    format(getattr(part.scores, metric), _FIGURES.get(metric, ".4f"))
                    for metric in _COLUMNS
                ),
                f"{part.baseline_macro_f1:.4f}",
            )
            for part in slices
        ],
    )


def _estimate(found: Estimate, figures: str) -> str:
    return f"{found.value:{figures}} [{found.low:{figures}}, {found.high:{figures}}]"


def _rounds(manifest: ModelManifest) -> str:
    return "none" if manifest.best_iteration is None else str(manifest.best_iteration + 1)


def _shares(counts: Ints) -> list[str]:
    return [f"{count / counts.sum():.1%}" for count in counts]


def _time(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us').astype('datetime64[s]')}".replace("T", " ")
