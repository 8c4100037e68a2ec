"""Who took, where a file does not tell: the tick rule, one for a stream and for a backfill."""

import numpy as np
from numpy.typing import NDArray

from services.domain.codes import BUY

type Ints = NDArray[np.int64]


class TickRule:
    """Of one ticker's trades of one day, in order: up is a buy, down a sell, the same as before.

    The first is a buy. A side that was told counts for the one after it. A day's sides depend on
    no other day, so any days may be streamed, and any backfilled.
    """

    def __init__(self) -> None:
        self._price = 0
        self._side = BUY

    def sides(self, price: Ints, told: Ints) -> Ints:
        """Of the next trades; may be called again for those after them.

        Args:
            price: above 0.
            told: 1 buy, -1 sell, 0 not told.
        """
        if len(price) == 0:
            return told
        before = np.concatenate(([self._price or price[0]], price[:-1]))
        own = np.where(told != 0, told, np.sign(price - before))
        # Each takes the last one that is known: its own, or one before it.
        known = np.maximum.accumulate(np.where(own != 0, np.arange(len(own)), -1))
        sides: Ints = np.where(known >= 0, own[known], self._side)
        self._price, self._side = int(price[-1]), int(sides[-1])
        return sides
