"""What must hold for every fold of features, as functions that name the first break of it."""

from collections.abc import Sequence
from typing import Any

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import GridRow
from services.featuresets.ticks import Tick
from tests.support.plain_features import plain_rows


def folded(feature_set: FeatureSet[Any], inputs: Sequence[Any]) -> list[GridRow]:
    """All rows of one ticker, from a new fold."""
    fold = feature_set.new_fold()
    return [row for given in inputs for row in fold.step(given)]


def difference_to_plain(feature_set: FeatureSet[Any], ticks: Sequence[Tick]) -> str | None:
    """Where the fold's rows and the slow ones part first; None: nowhere."""
    ours = [(row.grid_time_us, row.rewind_offset, row.values) for row in folded(feature_set, ticks)]
    theirs = plain_rows(feature_set.name, ticks)
    for own, other in zip(ours, theirs, strict=False):
        if own[:2] != other[:2]:
            return f"the row at {own[:2]} is the one at {other[:2]} by the plain reference"
        for column, value, plain in zip(feature_set.columns, own[2], other[2], strict=True):
            if value != plain:
                return f"{column} at {own[0]} is {value}, plainly {plain}"
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, plainly {len(theirs)}"
    return None


def difference_after_rewind(feature_set: FeatureSet[Any], ticks: Sequence[Tick]) -> str | None:
    """Where a fold that begins at a row's rewind offset is not the fold that saw everything."""
    whole = feature_set.new_fold()
    for place, tick in enumerate(ticks):
        closed: dict[int, list[GridRow]] = {}
        for row in whole.step(tick):
            closed.setdefault(row.rewind_offset, []).append(row)
        for rewind_offset, expected in closed.items():
            again = feature_set.new_fold()
            rows: list[GridRow] = []
            for past in ticks[: place + 1]:
                if past.offset >= rewind_offset:
                    rows += again.step(past)
            if again.state() != whole.state():
                return f"another state after the rewind to {rewind_offset}"
            if lost := [row for row in expected if row not in rows]:
                return f"another row after the rewind to {rewind_offset}: {lost[0]}"
    return None
