"""What a model must beat: predictors that take no training, or next to none.

majority    always the class that was most frequent in training; states the classes' frequencies
last_move   the way of the last trade price over the shortest window goes on
imbalance   the heavier side of the book's top wins
chance      classes drawn at random with training's frequencies. No rule that knows nothing has a
            greater macro-F1, which is 1/3; majority's is lower, so it alone would be too easy
logistic    see `fit`; it is a baseline of every other model, and states probabilities

The rules say a class and state no probabilities, so they have no log-loss and no calibration.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from services.models.classes import CLASSES
from services.models.predictors import (
    ConstantForm,
    ConstantPredictor,
    Predictor,
    RuleForm,
    RulePredictor,
)
from services.scoring.arrays import Floats, Ints
from services.scoring.errors import UnfitColumnsError
from services.scoring.metrics import Integers

MAJORITY: Final = "majority"
LAST_MOVE: Final = "last_move"
IMBALANCE: Final = "imbalance"
CHANCE: Final = "chance"

_DOWN, _FLAT, _UP = (tuple(row) for row in np.eye(CLASSES).tolist())


def frequencies(label: Integers) -> Floats:
    """The share of each class."""
    return np.bincount(label, minlength=CLASSES) / len(label)


def majority(columns: Sequence[str], label: Integers) -> Predictor:
    """States the frequencies of these labels."""
    answer = tuple(float(share) for share in frequencies(label))
    return ConstantPredictor(ConstantForm(len(columns), answer))


def last_move(columns: Sequence[str], _label: Integers) -> Predictor:
    """The sign of the return over the shortest window.

    Raises:
        UnfitColumnsError: the set has no return.
    """
    windows = {
        int(seconds): place
        for place, name in enumerate(columns)
        if name.startswith("return_") and (seconds := name[7:-1]).isdecimal() and name[-1] == "s"
    }
    if not windows:
        raise UnfitColumnsError(
            f"no column of {', '.join(columns)} is a return: take another --model"
        )
    return _sign_of(columns, windows[min(windows)])


def imbalance(columns: Sequence[str], _label: Integers) -> Predictor:
    """The sign of the queues' imbalance at the top of the book.

    Raises:
        UnfitColumnsError: the set has none.
    """
    if "queue_imbalance" not in columns:
        raise UnfitColumnsError(f"no queue_imbalance in {', '.join(columns)}: take another --model")
    return _sign_of(columns, columns.index("queue_imbalance"))


PLAIN: Final[Mapping[str, Callable[[Sequence[str], Integers], Predictor]]] = MappingProxyType(
    {MAJORITY: majority, LAST_MOVE: last_move, IMBALANCE: imbalance}
)
"""Made of the columns' names and training's labels."""


def drawn_classes(label: Integers, rows: int, seed: int) -> Ints:
    """So many classes by chance, with the frequencies of these labels."""
    chance = np.random.default_rng(seed)
    return chance.choice(CLASSES, size=rows, p=frequencies(label)).astype(np.int64)


def _sign_of(columns: Sequence[str], column: int) -> Predictor:
    return RulePredictor(RuleForm(len(columns), column, below=_DOWN, at=_FLAT, above=_UP))
