"""Why there is no data set, or no training on it. A person has to act: the message says how.

TrainerError
├── PlanError          what was asked for can't be: horizon, threshold, tickers, feature set
├── DamagedRowsError   rows that no fold gives: two of one time that differ, NaN, infinities
├── LeakError          a leak check failed: nothing may be trained on this
└── NotTheSameError    a repeated run does not come out as its manifest says
"""

from services.runtime.errors import FatalError


class TrainerError(FatalError):
    """One line: the cause and the next step."""


class PlanError(TrainerError):
    """What was asked for can't be."""


class DamagedRowsError(TrainerError):
    """The lake holds rows that no fold gives."""


class LeakError(TrainerError):
    """A leak check failed."""


class NotTheSameError(TrainerError):
    """A repeated run does not come out as its manifest says."""
