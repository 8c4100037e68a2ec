"""What changed from one book of a ticker to a later one, level by level."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from services.domain.events import BookDepth, Level


class Changes(msgspec.Struct, frozen=True, gc=False):
    """Levels by price, as they are now; one without shares is gone from the depth shown."""

    bids: list[Level]
    asks: list[Level]


def find_changes(before: BookDepth, after: BookDepth) -> Changes | None:
    """What to change in `before` to have the levels of `after`.

    None: better tell the whole book. More levels changed than it has, or one of the two has a side
    that can't be told level by level, which is a stranger's.
    """
    if not (_is_sound(before) and _is_sound(after)):
        return None
    changes = Changes(
        _changed_levels(before.bids, after.bids), _changed_levels(before.asks, after.asks)
    )
    if len(changes.bids) + len(changes.asks) > len(after.bids) + len(after.asks):
        return None
    return changes


def _changed_levels(before: Sequence[Level], after: Sequence[Level]) -> list[Level]:
    gone = {level.price: level for level in before}
    changed = [level for level in after if gone.pop(level.price, None) != level]
    return changed + [Level(price, 0, 0) for price in gone]


def _is_sound(book: BookDepth) -> bool:
    """Whether each side has every price once, the best first, and shares at each."""
    return (
        all(better.price > worse.price for better, worse in pairwise(book.bids))
        and all(better.price < worse.price for better, worse in pairwise(book.asks))
        and all(level.quantity > 0 for side in (book.bids, book.asks) for level in side)
    )
