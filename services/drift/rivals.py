"""Plain rules on the rows that a model was served with: what it must stay ahead of.

`last_move` and `imbalance` follow from a row alone. `majority` states the shares of the classes in
training: a manifest does not have them, so whoever calls reckons them from the training's rows, or
goes without. `chance` and `logistic` are not here: one is drawn, and of the other no numbers are
kept.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from services.drift.core.arrays import Bools, Floats
from services.drift.core.performance import Rival
from services.drift.core.truths import Market
from services.models.classes import CLASSES
from services.models.manifest import ModelManifest
from services.models.predictors import ConstantForm, ConstantPredictor, Predictor
from services.scoring.baselines import IMBALANCE, LAST_MOVE, MAJORITY, PLAIN, frequencies
from services.scoring.errors import TooLittleDataError, UnfitColumnsError
from services.scoring.labels import REASONS, label_rows

_LABELLED: Final = REASONS.index("labelled")
_OF_A_ROW: Final = (LAST_MOVE, IMBALANCE)


def rivals_of(
    columns: Sequence[str], inputs: Floats, shares: Sequence[float] | None
) -> dict[str, Rival]:
    """What each plain rule says at each row.

    Args:
        columns: the model's inputs, in order.
        inputs: [rows, columns] of the market; NaN where one is not defined, and what is said of
            such a row counts nowhere.
        shares: of the classes in training; None: they can't be had, and there is no `majority`.
    """
    made: dict[str, Predictor] = {}
    if shares is not None:
        made[MAJORITY] = ConstantPredictor(ConstantForm(len(columns), tuple(shares)))
    nothing = np.zeros(0, dtype=np.int64)
    for name in _OF_A_ROW:
        try:
            made[name] = PLAIN[name](columns, nothing)
        except UnfitColumnsError:  # The set has not what this rule looks at.
            continue
    is_defined = defined(inputs)
    return {
        name: Rival(_said(predictor, inputs, is_defined), name == MAJORITY)
        for name, predictor in made.items()
    }


def defined(inputs: Floats) -> Bools:
    """The rows of which every input has a value."""
    is_defined: Bools = np.isfinite(inputs).all(axis=1)
    return is_defined


def training_shares(training: Market, manifest: ModelManifest) -> tuple[float, ...]:
    """The shares of the classes among the rows that a model was trained on, by its label rule.

    Args:
        training: the lake's rows from the manifest's first grid time to its last: nothing later is
            looked at, for a label either, as in training.
        manifest: of the model.

    Raises:
        TooLittleDataError: none of them has a label.
    """
    times = training.grid_time_us
    plan = manifest.data
    inside = (times >= plan.first_grid_us) & (times <= plan.last_grid_us)
    rule = manifest.label
    found = label_rows(
        training.ticker[inside].astype(np.int16),
        times[inside],
        training.mid[inside],
        training.has_mid[inside],
        rule.horizon_s,
        rule.threshold,
    )
    labels = found.label[(found.reason == _LABELLED) & training.is_defined[inside]]
    if len(labels) == 0:
        raise TooLittleDataError(
            f"the lake has no labelled rows of the training of {manifest.name} any more: there is"
            " no majority to hold it against"
        )
    return tuple(frequencies(labels).tolist())


def _said(predictor: Predictor, inputs: Floats, is_defined: Bools) -> Floats:
    said = np.full((len(inputs), CLASSES), 1 / CLASSES)
    said[is_defined] = predictor.probabilities(np.ascontiguousarray(inputs[is_defined]))
    return said
