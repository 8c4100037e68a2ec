"""Nothing but exactly the model's columns, each with a finite number, becomes a vector."""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest

from services.featuresets import SETS
from services.models.vector import (
    VALUE_MAX,
    VectorError,
    VectorFault,
    inputs_of,
    make_matrix,
    make_vector,
)

COLUMNS = ("spread", "return_1s", "queue_imbalance")
GOOD: Mapping[str, object] = {"return_1s": -0.5, "queue_imbalance": 1, "spread": 0.01}


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_values_come_in_the_order_of_the_columns_whatever_theirs_is() -> None:
    assert make_vector(COLUMNS, GOOD) == [0.01, -0.5, 1.0]
    assert make_vector(COLUMNS, dict(sorted(GOOD.items()))) == [0.01, -0.5, 1.0]
    assert all(type(number) is float for number in make_vector(COLUMNS, GOOD))


@pytest.mark.parametrize(
    "values,reason,columns",
    [
        (without("spread"), VectorFault.MISSING, ("spread",)),
        ({}, VectorFault.MISSING, COLUMNS),
        ({**GOOD, "mid": 100.0}, VectorFault.EXTRA, ("mid",)),
        # A renamed feature is a missing one and an extra one; the missing one is told.
        ({**without("spread"), "Spread": 0.01}, VectorFault.MISSING, ("spread",)),
        ({**GOOD, "spread": None}, VectorFault.NULL, ("spread",)),
        ({**GOOD, "spread": "0.01"}, VectorFault.NOT_A_NUMBER, ("spread",)),
        ({**GOOD, "spread": True}, VectorFault.NOT_A_NUMBER, ("spread",)),
        ({**GOOD, "spread": [0.01]}, VectorFault.NOT_A_NUMBER, ("spread",)),
        ({**GOOD, "spread": 1j}, VectorFault.NOT_A_NUMBER, ("spread",)),
        ({**GOOD, "spread": math.nan}, VectorFault.NAN, ("spread",)),
        ({**GOOD, "spread": math.inf}, VectorFault.INFINITE, ("spread",)),
        ({**GOOD, "spread": -math.inf}, VectorFault.INFINITE, ("spread",)),
        ({**GOOD, "spread": 1e39}, VectorFault.INFINITE, ("spread",)),
        ({**GOOD, "spread": 10**400}, VectorFault.INFINITE, ("spread",)),
        ({**GOOD, "spread": None, "return_1s": None}, VectorFault.NULL, ("spread", "return_1s")),
        ({**GOOD, "spread": math.nan, "return_1s": None}, VectorFault.NULL, ("return_1s",)),
    ],
)
def test_what_is_no_vector_is_refused_with_its_reason_and_names(
    values: Mapping[str, object], reason: VectorFault, columns: tuple[str, ...]
) -> None:
    with pytest.raises(VectorError) as refused:
        make_vector(COLUMNS, values)
    assert (refused.value.reason, refused.value.columns) == (reason, columns)
    assert reason in str(refused.value)


def test_a_message_stays_short_and_printable_whatever_the_names_are() -> None:
    values = {**GOOD, **{f"\x1b[31m{'x' * 10_000}{place}": 1.0 for place in range(1_000)}}
    with pytest.raises(VectorError, match="and 992 more") as refused:
        make_vector(COLUMNS, values)
    assert len(str(refused.value)) < 1_000
    assert str(refused.value).isprintable()
    assert len(refused.value.columns) == 1_000


def test_the_largest_number_that_a_tree_can_hold_passes() -> None:
    assert make_vector(("a",), {"a": -VALUE_MAX}) == [-VALUE_MAX]
    assert np.float32(VALUE_MAX) < np.inf


def test_the_mid_is_no_input_and_every_other_column_is() -> None:
    for feature_set in SETS.values():
        assert set(feature_set.columns) - set(inputs_of(feature_set)) <= {"mid"}
    v1 = SETS["microstructure_v1"]
    assert inputs_of(v1) == tuple(name for name in v1.columns if name != "mid")


@pytest.mark.parametrize(
    "columns,reason,names",
    [
        ({"a": [1.0]}, VectorFault.MISSING, ("b",)),
        ({"a": [1.0], "b": [1.0], "c": [1.0]}, VectorFault.EXTRA, ("c",)),
        ({"a": [1.0, None], "b": [1.0, 2.0]}, VectorFault.NULL, ("a",)),
        ({"a": ["1"], "b": [1.0]}, VectorFault.NOT_A_NUMBER, ("a",)),
        ({"a": [True], "b": [1.0]}, VectorFault.NOT_A_NUMBER, ("a",)),
        ({"a": [1.0, 2.0], "b": [1.0, math.nan]}, VectorFault.NAN, ("b",)),
        ({"a": [1.0, -math.inf], "b": [1e39, 0.0]}, VectorFault.INFINITE, ("a", "b")),
    ],
)
def test_a_table_that_is_no_matrix_is_refused_with_the_same_reasons(
    columns: dict[str, list[object]], reason: VectorFault, names: tuple[str, ...]
) -> None:
    with pytest.raises(VectorError) as refused:
        make_matrix(("a", "b"), pa.table(columns))
    assert (refused.value.reason, refused.value.columns) == (reason, names)


def test_a_table_with_a_column_twice_is_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1.0])] * 3, names=["a", "b", "a"])
    with pytest.raises(VectorError) as refused:
        make_matrix(("a", "b"), table)
    assert (refused.value.reason, refused.value.columns) == (VectorFault.EXTRA, ("a",))


def test_a_table_without_rows_is_a_matrix_without_rows() -> None:
    table = pa.table({"a": pa.array([], pa.float64()), "b": pa.array([], pa.float64())})
    assert make_matrix(("b", "a"), table).shape == (0, 2)
