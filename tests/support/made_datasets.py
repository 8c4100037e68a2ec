"""Data sets put together for a test: bare ones at given times, and modules with a planted bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getsource
from types import ModuleType

import numpy as np
import pyarrow as pa

from services.scoring.arrays import Ints
from services.trainer.dataset import Dataset, DatasetPlan

SECOND_US = 1_000_000


def bare_dataset(grid_time_us: Ints, plan: DatasetPlan, longest_window_s: int) -> Dataset:
    """Rows at these times, of one ticker, that say nothing."""
    count = len(grid_time_us)
    zeros = np.zeros(count, dtype=np.int64)
    return Dataset(
        plan, "", ("nothing",), longest_window_s, ("AAPL",), zeros.astype(np.int16),
        grid_time_us, grid_time_us, zeros, np.zeros((count, 1)), zeros.astype(np.int8),
        zeros, zeros, zeros, {}, {}, count, 0, 0, "",
    )  # fmt: skip


def changed(table: "pa.Table", column: str, cells: object) -> "pa.Table":
    """The table with other cells in a column."""
    place = table.column_names.index(column)
    field = table.schema.field(column)
    return table.set_column(place, field, pa.array(cells).cast(field.type))


@contextmanager
def planted_bug(module: ModuleType, was: str, planted: str) -> Iterator[None]:
    """The module's code with one piece of text in the place of another, and back."""
    source = getsource(module)
    assert source.count(was) == 1, f"{module.__name__} has {was!r} {source.count(was)} times"
    kept = dict(vars(module))
    try:
        exec(  # noqa: S102 - the planted text stands in a test
            compile(source.replace(was, planted), module.__name__, "exec"), vars(module)
        )
        yield
    finally:
        vars(module).clear()
        vars(module).update(kept)
