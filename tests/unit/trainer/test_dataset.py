"""Data sets of tables and lakes: what counts, what is left out and why, what is refused."""


import numpy as np
import pyarrow as pa

from services.trainer.dataset import DatasetPlan, dataset_of_table
from tests.support.markets import (
    CLOSING_LAG_US,
    V1,
    null_market,
)

PLAN = DatasetPlan(V1.name)
ROWS = 2_000


def changed(table: "pa.Table", column: str, cells: object) -> "pa.Table":
    """The table with another column of this name."""
    place = table.column_names.index(column)
    return table.set_column(
        place, table.schema.field(column), pa.array(cells, table.schema.field(column).type)
    )


def test_rows_stand_in_order_of_time_with_every_input_but_the_level() -> None:
    made = dataset_of_table(null_market(ROWS), PLAN)
    assert made.columns == tuple(name for name in V1.columns if name != "mid")
    assert made.inputs.shape == (len(made), len(made.columns))
    assert np.isfinite(made.inputs).all()
    order = np.lexsort((made.ticker, made.grid_time_us))
    assert np.array_equal(order, np.arange(len(made)))
    assert np.array_equal(made.created_us, made.grid_time_us + CLOSING_LAG_US)
    assert set(made.half_spread.tolist()) == {200}


def test_every_row_is_used_or_left_out_for_one_reason() -> None:
    made = dataset_of_table(null_market(ROWS), PLAN)
    assert made.rows_read == ROWS
    assert len(made) + sum(made.left_out.values()) == ROWS
    assert made.left_out["horizon_not_passed"] == 5 * 10
    assert made.left_out["null_input"] == made.nulls["return_60s"] == 5 * 60
