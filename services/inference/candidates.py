"""A model that passed all checks of its own, and how long it takes for a row."""

import time
from statistics import median
from typing import Final

import msgspec
import numpy as np

from services.models.artifact import LoadedModel

WARM_ROUNDS: Final = 3
TIMED_ROUNDS: Final = 21
_MS_PER_S: Final = 1_000


class Candidate(msgspec.Struct, frozen=True):
    """What may be taken into service, if it fits what is served here."""

    loaded: LoadedModel
    """Of the process that serves."""
    row_ms: float
    """What one row takes, the median of `TIMED_ROUNDS`."""


def warm(loaded: LoadedModel) -> None:
    """Answer a few rows, so that no request pays for what is made once."""
    _take_times(loaded, WARM_ROUNDS)


def time_row(loaded: LoadedModel) -> float:
    """The median time of one row, milliseconds, once it is warm."""
    return median(_take_times(loaded, WARM_ROUNDS + TIMED_ROUNDS)[WARM_ROUNDS:]) * _MS_PER_S


def _take_times(loaded: LoadedModel, rounds: int) -> list[float]:
    """Of single golden vectors in turn, seconds."""
    rows = np.array(loaded.golden.vectors, np.float64)
    taken_s = []
    for turn in range(rounds):
        place = turn % len(rows)
        began_s = time.perf_counter()
        loaded.predictor.probabilities(rows[place : place + 1])
        taken_s.append(time.perf_counter() - began_s)
    return taken_s
