"""Which inputs a model lives on: how much worse it gets when one of them is shuffled.

Asked of the model of the last fold on rows of its test, so an input that is only learnt by heart
has none. Inputs that say the same share theirs: shuffling one leaves the other.
"""

from typing import Final

import msgspec
import numpy as np

from services.models.predictors import Predictor
from services.scoring.arrays import Ints
from services.trainer.dataset import Dataset
from services.trainer.fit import log_loss

ROWS_MAX: Final = 20_000
SHUFFLES: Final = 3


class Importance(msgspec.Struct, frozen=True):
    """Of one input."""

    column: str
    log_loss_rise: float
    """Mean over the shuffles."""


def importance(dataset: Dataset, predictor: Predictor, rows: Ints, seed: int) -> list[Importance]:
    """Of every input, the greatest first."""
    rows = rows[:: -(-len(rows) // ROWS_MAX)]
    label = dataset.label[rows]
    inputs = dataset.inputs[rows].copy()
    before = log_loss(label, predictor.probabilities(inputs))
    chance = np.random.default_rng(seed)
    found = []
    for place, column in enumerate(dataset.columns):
        kept = inputs[:, place].copy()
        rises = []
        for _ in range(SHUFFLES):
            inputs[:, place] = chance.permutation(kept)
            rises.append(log_loss(label, predictor.probabilities(inputs)) - before)
        inputs[:, place] = kept
        found.append(Importance(column, float(np.mean(rises))))
    return sorted(found, key=lambda one: -one.log_loss_rise)
