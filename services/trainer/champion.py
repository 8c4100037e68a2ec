"""The new model beside the champion, on test rows that neither had seen.

A champion was fitted on all rows up to some time; scored on those it looks better than it is, and
nothing honest would ever take its place. So both are compared on the test rows that begin a gap
after the champion's last row: its last label is over by then, and no window looks back. Where
those are too few for an interval there is no comparison row by row, and `rules.beats_champion`
goes by the two models' own walk-forward figures.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np

from services.models.artifact import LoadedModel
from services.models.errors import ModelRefusedError
from services.models.manifest import Comparison, Fresh, LabelRule
from services.models.registry import Registry
from services.scoring.intervals import BLOCKS_MIN, blocks_of, resample
from services.scoring.metrics import classes_of
from services.trainer.dataset import Dataset
from services.trainer.evaluate import (
    Evaluation,
    comparison_in,
    metrics_in,
    predicted_of,
    states_probabilities,
)

_MODEL: Final = "model"
_CHAMPION: Final = "champion"


class Beside(NamedTuple):
    """The champion on rows that it had not seen, or why there is no such comparison."""

    compared: Comparison | None
    why_not: str
    """Empty: it was compared, or there is no champion."""


NOBODY: Final = Beside(None, "")


def champion_to_compare(registry: Registry, tell: Callable[[str], None]) -> LoadedModel | None:
    """The model that serves now; None: none does, or it can't be read, which is told.

    Raises:
        OperatingError: the registry is away.
    """
    version = registry.alias()
    if version is None:
        return None
    try:
        return registry.load(version)
    except ModelRefusedError as error:
        tell(f"the champion is not compared: {error}")
        return None


def beside_champion(
    dataset: Dataset, found: Evaluation, champion: LoadedModel | None, seed: int
) -> Beside:
    """Compare what the folds' models and the champion say of the rows that are new to both.

    Args:
        dataset: that was evaluated.
        found: the evaluation.
        champion: the model that serves now; None: none does.
        seed: of the resamples.
    """
    if champion is None:
        return NOBODY
    known = champion.manifest
    rule = LabelRule(dataset.plan.horizon_s, dataset.plan.threshold)
    if (known.columns, known.fingerprint, known.label) != (
        dataset.columns, dataset.fingerprint, rule,
    ):  # fmt: skip
        return Beside(None, "the champion has other inputs or other labels")
    since_us = known.data.last_grid_us + dataset.gap_us
    fresh = np.flatnonzero(found.truth.time_us >= since_us)
    truth = found.truth.at(fresh)
    seconds, block_s = len(np.unique(truth.time_us)), dataset.gap_us // 1_000_000
    if seconds < BLOCKS_MIN * block_s:
        return Beside(
            None,
            f"the champion was trained on all test rows but {seconds:,} distinct seconds of the"
            f" last, and an interval needs {BLOCKS_MIN * block_s:,}",
        )
    said = champion.predictor.probabilities(dataset.inputs[found.rows[fresh]])
    blocks = blocks_of(seconds, block_s)
    own, theirs = (
        predicted_of(name, [(stated, classes_of(stated))], truth, blocks, states=states)
        for name, stated, states in (
            (_MODEL, found.model.probabilities[fresh], found.model.states_probabilities),
            (_CHAMPION, said, states_probabilities(champion.predictor)),
        )
    )
    drawn = resample([(one.name, one.sums) for one in (own, theirs)], blocks, seed)
    compared = msgspec.structs.replace(
        comparison_in(drawn, _MODEL, theirs),
        model_sha256=known.model_sha256,
        fresh=Fresh(int(truth.time_us[0]), len(fresh), metrics_in(drawn, own)),
    )
    return Beside(compared, "")
