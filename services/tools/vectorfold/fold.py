"""The rows of a whole column of trades: vectorised where that is exact, else by the fold."""

import numpy as np

from services.featuresets.definitions import FeatureSet
from services.featuresets.grid import SECOND_US, GridRow
from services.featuresets.ticks import Tick
from services.tools.vectorfold.columns import Column, RowColumns, TradeColumns
from services.tools.vectorfold.measures import MAKERS, Measures, TooLargeError


def fold_columns(feature_set: FeatureSet[Tick], trades: TradeColumns) -> RowColumns:
    """What a new fold gives for these trades of one ticker, in order.

    A later part of a ticker's history begins at the rewind offset of the last row known.

    Raises:
        AssertionError: the columns differ in length, or an offset or a time falls.
    """
    trades.check()
    make = MAKERS.get(feature_set.name)
    if make is None or len(trades.price) == 0:
        return fold_steps(feature_set, trades)
    try:
        measures = Measures(trades)
        features = make(measures)
    except TooLargeError:
        return fold_steps(feature_set, trades)
    grid = measures.grid
    anchor = grid.before(feature_set.longest_window_s)
    ends = trades.offset[grid.ends]
    return RowColumns(
        grid.row_second * SECOND_US,
        np.where(anchor >= 0, ends[anchor], trades.offset[0]),
        grid.starts[grid.last + 1],
        features,
    )


def fold_steps(feature_set: FeatureSet[Tick], trades: TradeColumns) -> RowColumns:
    """The same by the fold itself, trade after trade: the reference, and without bounds."""
    fold = feature_set.new_fold()
    rows: list[GridRow] = []
    closing: list[int] = []
    for place, tick in enumerate(trades.ticks()):
        closed = fold.step(tick)
        rows += closed
        closing += [place] * len(closed)
    return RowColumns(
        np.array([row.grid_time_us for row in rows], dtype=np.int64),
        np.array([row.rewind_offset for row in rows], dtype=np.int64),
        np.array(closing, dtype=np.int64),
        tuple(
            Column(
                np.array([row.values[place] or 0 for row in rows], dtype=np.int64),
                np.array([row.values[place] is not None for row in rows], dtype=np.bool_),
            )
            for place in range(len(feature_set.features))
        ),
    )
