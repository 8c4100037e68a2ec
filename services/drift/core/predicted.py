"""What models said in a window, each said once: the log holds repetitions, roles and other models.

One statement is one version of the model at one second of one ticker, however it came about: a
request, the stream and a second writing of either say the same. Where they don't, the model is not
what it was, and none of them counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.windows import SECOND_US, Window
from services.models.classes import CLASSES

SUM_OFF_MAX: Final = 1e-5
"""Probabilities are 32-bit floats: how far their sum may be from 1."""


@dataclass(frozen=True)
class Predictions:
    """As the log has them: columns of one length, in any order."""

    tickers: tuple[str, ...]
    models: tuple[str, ...]
    shas: tuple[str, ...]
    """Of the models' files."""
    ticker: Ints
    """Place in `tickers`; likewise `model` and `sha`."""
    model: Ints
    sha: Ints
    grid_time_us: Ints
    version: Ints
    is_shadow: Bools
    said: Ints
    probabilities: Floats
    """[rows, 3]; anything but three finite numbers stands as NaN."""
    served_at_us: Ints
    undecodable: int = 0
    """Records of the topic that are no predictions."""
    is_cut: bool = False
    """The log may have lost records of the window: it begins later."""

    def __len__(self) -> int:
        """How many there are, repetitions and all."""
        return len(self.ticker)


@dataclass(frozen=True)
class Statements:
    """Of one model's name in one window, one a ticker, second and version."""

    tickers: tuple[str, ...]
    shas: tuple[str, ...]
    ticker: Ints
    grid_time_us: Ints
    version: Ints
    sha: Ints
    is_served: Bools
    """It stood in an answer, or came of the stream as the champion's; else a shadow said it."""
    said: Ints
    probabilities: Floats
    counts: Mapping[str, int]
    """What became of the records: see `once`."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ticker)


def once(predictions: Predictions, model: str, window: Window) -> Statements:
    """Each statement of this model in the window once.

    Counted: `undecodable`; `other_model` (another name); `outside` (another time); `damaged` (no
    three probabilities that add up to 1, a class that is not their greatest, a time off the grid);
    `repeated` (said again, the same); `conflicting` (statements left out since they differ).
    """
    given = predictions
    known = np.array([name == model for name in given.models], dtype=np.bool_)
    is_own = known[given.model] if len(known) else np.zeros(len(given), dtype=np.bool_)
    inside = (given.grid_time_us >= window.begin_us) & (given.grid_time_us < window.end_us)
    damaged = _damaged(given)
    rows = np.flatnonzero(is_own & inside & ~damaged)
    # A served statement stands before a shadow's, so that the first of a group tells its role.
    order = np.lexsort(
        (
            given.served_at_us[rows],
            given.is_shadow[rows],
            given.version[rows],
            given.grid_time_us[rows],
            given.ticker[rows],
        )
    )
    rows = rows[order]
    first, group = _groups(given.ticker[rows], given.grid_time_us[rows], given.version[rows])
    leader = rows[first]
    of_row = leader[group]
    differs = (given.probabilities[rows] != given.probabilities[of_row]).any(axis=1)
    differs |= (given.sha[rows] != given.sha[of_row]) | (given.said[rows] != given.said[of_row])
    conflicting = np.zeros(len(first), dtype=np.bool_)
    conflicting[group[differs]] = True
    kept = leader[~conflicting]
    of_kept = int(np.count_nonzero(~conflicting[group]))
    counts: dict[str, int] = {
        "undecodable": given.undecodable,
        "other_model": int(np.count_nonzero(~is_own)),
        "outside": int(np.count_nonzero(is_own & ~inside)),
        "damaged": int(np.count_nonzero(is_own & inside & damaged)),
        "repeated": of_kept - len(kept),
        "conflicting": int(np.count_nonzero(conflicting)),
    }
    return Statements(
        given.tickers,
        given.shas,
        given.ticker[kept],
        given.grid_time_us[kept],
        given.version[kept],
        given.sha[kept],
        ~given.is_shadow[kept],
        given.said[kept],
        given.probabilities[kept],
        counts,
    )


def _damaged(given: Predictions) -> Bools:
    """Rows that no model says."""
    known = np.where(np.isfinite(given.probabilities), given.probabilities, -1.0)
    is_sound: Bools = (known >= 0).all(axis=1) & (np.abs(known.sum(axis=1) - 1) <= SUM_OFF_MAX)
    # Of equal ones the first: so inference says it, and so scores take it.
    is_sound &= given.said == np.argmax(known, axis=1)
    is_sound &= given.grid_time_us % SECOND_US == 0
    assert given.probabilities.shape == (len(given), CLASSES), "three probabilities a row"
    return ~is_sound


def _groups(*keys: Ints) -> tuple[Ints, Ints]:
    """Of sorted rows: where each group of equal keys begins, and the group of each row."""
    begins = np.zeros(len(keys[0]), dtype=np.bool_)
    begins[:1] = True
    for key in keys:
        begins[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(begins), np.cumsum(begins) - 1
