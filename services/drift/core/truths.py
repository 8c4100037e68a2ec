"""What came after each statement: a label by the lake's row at exactly one horizon later."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Bools, Ints
from services.drift.core.predicted import Statements
from services.drift.core.windows import SECOND_US
from services.models.manifest import LabelRule
from services.scoring.labels import REASONS, label_rows

JOINED: Final = ("judged", "no_row", "null_input", *REASONS[1:])
"""What became of a statement. `no_row`: the lake has none at its ticker and time; `null_input`: it
has, and an input is not defined there, so nobody should have said anything."""

_NO_ROW: Final = JOINED.index("no_row")
_NULL_INPUT: Final = JOINED.index("null_input")


@dataclass(frozen=True)
class Market:
    """The lake's rows of one feature set, one a ticker and second, in any order."""

    tickers: tuple[str, ...]
    ticker: Ints
    """Place in `tickers`."""
    grid_time_us: Ints
    mid: Ints
    """1/20000 dollar; anything where there is none."""
    has_mid: Bools
    half_spread: Ints
    """1/20000 dollar."""
    is_defined: Bools
    """Every input of the model has a value."""

    @property
    def newest_us(self) -> int | None:
        """How far event time has come; None: there are no rows."""
        return int(self.grid_time_us.max()) if len(self.grid_time_us) else None


@dataclass(frozen=True)
class Joined:
    """Of each statement, in the same order."""

    reason: Ints
    """Place in JOINED."""
    row: Ints
    """Of the market; anything without a row. So is what follows, of what was not judged."""
    label: Ints
    move: Ints
    half_spread: Ints


def joined(statements: Statements, market: Market, rule: LabelRule) -> Joined:
    """Statements with their labels.

    A horizon that has not passed in event time gives no label, since there is no row at its end.
    """
    labels = label_rows(
        market.ticker.astype(np.int16),
        market.grid_time_us,
        market.mid,
        market.has_mid,
        rule.horizon_s,
        rule.threshold,
    )
    row, is_there = _places(statements, market)
    if len(market.ticker) == 0:
        nothing = np.zeros(len(statements), dtype=np.int64)
        return Joined(nothing + _NO_ROW, nothing, nothing, nothing, nothing)
    # The reasons of labels follow those of the join, but for the first of both.
    reason = labels.reason[row].astype(np.int64)
    reason = np.where(reason > 0, reason + _NULL_INPUT, 0)
    reason = np.where(market.is_defined[row], reason, _NULL_INPUT)
    reason = np.where(is_there, reason, _NO_ROW)
    return Joined(
        reason,
        row,
        labels.label[row].astype(np.int64),
        labels.move[row],
        market.half_spread[row],
    )


def _places(statements: Statements, market: Market) -> tuple[Ints, Bools]:
    """The market's row of each statement, and whether there is one."""
    place_of = {name: place for place, name in enumerate(market.tickers)}
    place = np.array([place_of.get(name, -1) for name in statements.tickers], dtype=np.int64)
    ticker = place[statements.ticker] if len(place) else statements.ticker
    times = np.concatenate([market.grid_time_us, statements.grid_time_us]) // SECOND_US
    if len(market.ticker) == 0 or len(times) == 0:
        nothing = np.zeros(len(statements), dtype=np.int64)
        return nothing, nothing > 0
    first = times.min()
    span = times.max() - first + 1
    key = market.ticker * span + (market.grid_time_us // SECOND_US - first)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    assert np.all(ordered[1:] != ordered[:-1]), "two rows of one ticker and second"
    wanted = ticker * span + (statements.grid_time_us // SECOND_US - first)
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    found: Ints = order[at]
    return found, (ordered[at] == wanted) & (ticker >= 0)
