"""Training's matrix and serving's vectors are one: same numbers, same refusals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.models.vector import Matrix, VectorError, VectorFault, make_matrix, make_vector

COLUMNS = ("c", "a", "b")
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.none()
GOOD_NUMBERS = st.floats(-1e38, 1e38)
TABLE_COLUMNS = st.permutations(["a", "b", "c"]) | st.lists(
    st.sampled_from(["a", "b", "c", "d"]), unique=True
)


def table_of(names: Sequence[str], rows: Sequence[Sequence[float | None]]) -> "pa.Table":
    return pa.table(
        {name: pa.array([row[i] for row in rows], pa.float64()) for i, name in enumerate(names)}
    )


def vector_of(values: Mapping[str, object]) -> list[float] | VectorFault:
    try:
        return make_vector(COLUMNS, values)
    except VectorError as error:
        return error.reason


def matrix_of(table: "pa.Table") -> Matrix | VectorFault:
    try:
        return make_matrix(COLUMNS, table)
    except VectorError as error:
        return error.reason


@given(data=st.data(), numbers=st.sampled_from([NUMBERS, GOOD_NUMBERS]), names=TABLE_COLUMNS)
def test_matrix_and_vectors_are_equal_or_both_refuse(
    data: st.DataObject, numbers: st.SearchStrategy[float | None], names: list[str]
) -> None:
    row = st.tuples(*(numbers for _ in names))
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    vectors = [vector_of(dict(zip(names, values, strict=True))) for values in rows]
    matrix = matrix_of(table_of(names, rows))
    if isinstance(matrix, VectorFault):
        faults = [vector for vector in vectors if isinstance(vector, VectorFault)]
        assert matrix == min(faults, key=list(VectorFault).index)
    else:
        assert matrix.tolist() == vectors
        assert matrix.tobytes() == np.array(vectors, np.float64).tobytes()


@given(
    values=st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]),
        NUMBERS | st.integers() | st.booleans() | st.text() | st.binary() | st.lists(st.floats()),
    )
)
def test_whatever_is_given_comes_out_as_finite_floats_or_not_at_all(
    values: dict[str, object],
) -> None:
    vector = vector_of(values)
    if isinstance(vector, VectorFault):
        return
    assert set(values) == set(COLUMNS)
    assert vector == [float(values[name]) for name in COLUMNS]  # type: ignore[arg-type]
    assert np.isfinite(np.array(vector, np.float32)).all()
