"""The grid of event time: which points a trade closes, and the row at each of them.

A point is a whole second g. Its row knows every trade before g and none at or after it, so it is
final as soon as a trade at or after g arrives: that trade closes it. A ticker's first point is the
first whole second after its first trade.

Nobody closes points in silence, and a trade after a silence closes at most `SILENCE_MAX_S` + 1:
those up to `SILENCE_MAX_S` after the trade before it, and the last one, at or before itself.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Final

import msgspec

SECOND_US: Final = 1_000_000
SILENCE_MAX_S: Final = 120


class GridRow(msgspec.Struct, frozen=True, gc=False):
    """The values of one feature set for one ticker as known at a grid time."""

    grid_time_us: int
    rewind_offset: int
    """A new fold that begins with this input comes to the same state at this row."""
    values: tuple[int | None, ...]
    """In the order of the set's features; None: not defined here."""


def closed_seconds(previous_s: int, closing_s: int) -> Iterable[int]:
    """The points, in seconds, that a trade in second `closing_s` closes.

    `previous_s` is the second of the trade before it. Two trades of one second close nothing.
    """
    last_s = previous_s + SILENCE_MAX_S
    if closing_s <= last_s:
        return range(previous_s + 1, closing_s + 1)
    return chain(range(previous_s + 1, last_s + 1), (closing_s,))
