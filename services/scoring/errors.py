"""Why there is no figure. A person has to act: the message says how.

ScoringError
├── TooLittleDataError there are no rows, too few of them, or labels of one class
└── UnfitColumnsError  a baseline looks at a feature that the set does not have
"""

from services.runtime.errors import FatalError


class ScoringError(FatalError):
    """One line: the cause and the next step."""


class TooLittleDataError(ScoringError):
    """There are not enough rows for what was asked for."""


class UnfitColumnsError(ScoringError):
    """The set has not what a baseline looks at."""
