"""How well each column by itself tells the label: the plainest model there is, on held-out rows.

A column is cut into bins with about as many training rows each; a bin says the class that is most
over-represented in it. So any dependence on one column shows, also one that rises and falls again.
Each ticker is looked at by itself, too: a leak in one of many would drown among the others.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from services.models.classes import CLASSES
from services.scoring.arrays import Classes, Floats, Ints
from services.trainer.dataset import Dataset
from services.trainer.splits import Fold

BINS: Final = 64
ROWS_MAX: Final = 100_000
"""A segment, evenly thinned, of what is fitted or tested."""
TICKER_CLASS_ROWS_MIN: Final = 200
"""A ticker is looked at by itself if so many test rows have each of the classes that it has."""
TICKERS_MAX: Final = 50
"""By themselves: those with the most rows."""


def column_accuracy(dataset: Dataset, folds: Sequence[Fold]) -> Mapping[str, float]:
    """Balanced accuracy of each column, over the tests of all folds; empty without a fold.

    It is the best one of all tickers together and of each ticker by itself.
    """
    everything = [(fold.train, fold.test) for fold in folds if len(fold.test)]
    if not everything:
        return {}
    groups = [[(_thin(train), _thin(test)) for train, test in everything]]
    groups += _by_ticker(dataset, everything)
    return {
        name: max(
            _balanced_accuracy(dataset.inputs[:, place], dataset.label, group) for group in groups
        )
        for place, name in enumerate(dataset.columns)
    }


def _by_ticker(
    dataset: Dataset, everything: Sequence[tuple[Ints, Ints]]
) -> list[list[tuple[Ints, Ints]]]:
    groups = []
    counts = np.bincount(dataset.ticker, minlength=len(dataset.tickers))
    for ticker in np.argsort(-counts, kind="stable")[:TICKERS_MAX]:
        own = [
            (_thin(train[dataset.ticker[train] == ticker]), test[dataset.ticker[test] == ticker])
            for train, test in everything
        ]
        tested = np.concatenate([dataset.label[test] for _, test in own])
        by_class = np.bincount(tested, minlength=CLASSES)
        if np.count_nonzero(by_class) > 1 and by_class[by_class > 0].min() >= TICKER_CLASS_ROWS_MIN:
            groups.append([(train, _thin(test)) for train, test in own if len(train)])
    return groups


def _balanced_accuracy(
    column: Floats, label: Classes, segments: Sequence[tuple[Ints, Ints]]
) -> float:
    """Mean over the classes that are there of the share that is told right; 0 without a row."""
    right = np.zeros(CLASSES)
    all_of_class = np.zeros(CLASSES)
    for train, test in segments:
        told = _fit_and_tell(column[train], label[train], column[test])
        all_of_class += np.bincount(label[test], minlength=CLASSES)
        right += np.bincount(label[test][told == label[test]], minlength=CLASSES)
    there = all_of_class > 0
    return float(np.mean(right[there] / all_of_class[there])) if there.any() else 0.0


def _fit_and_tell(column: Floats, label: Classes, tested: Floats) -> Ints:
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(column, inner, method="inverted_cdf"))
    bins = np.searchsorted(edges, column, side="right")
    counts = np.bincount(bins * CLASSES + label, minlength=(len(edges) + 1) * CLASSES).reshape(
        -1, CLASSES
    )
    # Classes weigh the same, however many rows they have.
    weight = counts / np.maximum(counts.sum(axis=0), 1)
    told: Ints = np.argmax(weight, axis=1)
    return told[np.searchsorted(edges, tested, side="right")]


def _thin(rows: Ints) -> Ints:
    return rows[:: max(1, -(-len(rows) // ROWS_MAX))]
