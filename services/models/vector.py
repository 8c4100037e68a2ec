"""The one way from features by name to numbers in a model's order.

Serving makes each vector with `make_vector`, training its matrix with `make_matrix`. Both refuse
the same things, and a property test holds them equal. Nothing is filled in, ever: a value that is
not there is an error that names it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from services.featuresets.definitions import FeatureSet

if TYPE_CHECKING:
    import pyarrow as pa

type Matrix = npt.NDArray[np.float64]
"""Rows of vectors, or of probabilities."""

NOT_INPUTS: Final = frozenset({"mid"})
"""Levels: labels need them, and as an input they only tell which day it is."""
VALUE_MAX: Final = 3.4028234663852886e38
"""The largest 32-bit float. XGBoost computes with those, and a larger number is infinite to it."""

_NAMES_SHOWN: Final = 8
_NAME_LETTERS_SHOWN: Final = 40


class VectorFault(StrEnum):
    """What is wrong with values: a closed list, in the order in which it is looked for."""

    MISSING = "missing"
    """A column of the model is not given."""
    EXTRA = "extra"
    """A name is given that the model does not know: renamed, or of another feature set."""
    NULL = "null"
    """Given, and undefined at this time."""
    NOT_A_NUMBER = "not_a_number"
    """Text, a truth value or anything else that is no real number."""
    NAN = "nan"
    INFINITE = "infinite"
    """Or beyond `VALUE_MAX`."""


class VectorError(ValueError):
    """Values that make no vector. Whoever was asked tells it; it is no failure of the service."""

    def __init__(self, reason: VectorFault, columns: Sequence[str]) -> None:
        self.reason = reason
        self.columns = tuple(columns)
        """All that have this fault; of names that the caller made up, as they came."""
        shown = ", ".join(repr(name[:_NAME_LETTERS_SHOWN]) for name in columns[:_NAMES_SHOWN])
        more = f" and {len(columns) - _NAMES_SHOWN:,} more" if len(columns) > _NAMES_SHOWN else ""
        super().__init__(f"features are {reason}: {shown}{more}")


def inputs_of(feature_set: FeatureSet[Any]) -> tuple[str, ...]:
    """The columns of a set that are inputs of a model, in order."""
    return tuple(name for name in feature_set.columns if name not in NOT_INPUTS)


def make_vector(columns: Sequence[str], values: Mapping[str, object]) -> list[float]:
    """The values in the order of the columns.

    Raises:
        VectorError: they are not exactly these columns, each with a finite number.
    """
    if len(values) == len(columns):
        try:
            vector = [values[name] for name in columns]
        except KeyError:
            _refuse(columns, values)
        # The usual case, decided in one pass; `abs(nan) <= x` is false.
        if all(type(value) is float and abs(value) <= VALUE_MAX for value in vector):
            return vector  # type: ignore[return-value]  # the line above said so
    return _careful_vector(columns, values)


def _careful_vector(columns: Sequence[str], values: Mapping[str, object]) -> list[float]:
    faults: dict[VectorFault, list[str]] = {}
    vector: list[float] = []
    for name in columns:
        number = _number(values.get(name)) if name in values else VectorFault.MISSING
        if isinstance(number, VectorFault):
            faults.setdefault(number, []).append(name)
        else:
            vector.append(number)
    known = frozenset(columns)
    if extra := [name for name in values if name not in known]:
        faults[VectorFault.EXTRA] = extra
    for fault in VectorFault:
        if fault in faults:
            raise VectorError(fault, faults[fault])
    return vector


def _number(value: object) -> float | VectorFault:
    """As a float, or what is wrong with it."""
    if value is None:
        return VectorFault.NULL
    if isinstance(value, bool) or not isinstance(value, float | int):
        return VectorFault.NOT_A_NUMBER
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return VectorFault.INFINITE
    if math.isnan(number):
        return VectorFault.NAN
    return number if abs(number) <= VALUE_MAX else VectorFault.INFINITE


def _refuse(columns: Sequence[str], values: Mapping[str, object]) -> NoReturn:
    _careful_vector(columns, values)
    raise AssertionError("a vector with a missing column passed")


def make_matrix(columns: Sequence[str], table: "pa.Table") -> Matrix:
    """The rows of an Arrow table whose columns are these, in any order: one vector a row.

    Leave rows with a null out before, and count them.

    Raises:
        VectorError: as `make_vector` would for one of the rows; names the columns.
    """
    names: list[str] = table.column_names
    _refuse_names(VectorFault.MISSING, [name for name in columns if name not in names])
    known = frozenset(columns)
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    _refuse_names(VectorFault.EXTRA, [name for name in names if name not in known] + twice)
    given = {name: table.column(name) for name in columns}
    _refuse_names(VectorFault.NULL, [n for n, column in given.items() if column.null_count])
    _refuse_names(VectorFault.NOT_A_NUMBER, [n for n, c in given.items() if not _is_numeric(c)])
    matrix = np.empty((table.num_rows, len(columns)), np.float64)
    for place, column in enumerate(given.values()):
        matrix[:, place] = column.to_numpy()
    _refuse_columns(VectorFault.NAN, columns, np.isnan(matrix).any(axis=0))
    _refuse_columns(VectorFault.INFINITE, columns, (np.abs(matrix) > VALUE_MAX).any(axis=0))
    return matrix


def _is_numeric(column: "pa.ChunkedArray") -> bool:
    return str(column.type) in {
        "double", "float", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
    }  # fmt: skip


def _refuse_columns(
    fault: VectorFault, columns: Sequence[str], at_fault: Iterable[np.bool_]
) -> None:
    _refuse_names(fault, [name for name, bad in zip(columns, at_fault, strict=True) if bad])


def _refuse_names(fault: VectorFault, names: Sequence[str]) -> None:
    if names:
        raise VectorError(fault, names)
