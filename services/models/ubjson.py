"""UBJSON as XGBoost writes it, decoded with nothing believed: the part of the format that it uses.

Every length is held against the bytes that are left before anything is made of it, so a hostile
file costs no more memory than it has bytes (some 50 times, if it is all empty lists). A name that
stands twice in an object is refused, since another reader might take the other one.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

type Numbers = npt.NDArray[Any]
type Decoded = Any
"""A dict by name, a list, `Numbers`, a text, or a number: to be looked at before it is used."""

DEPTH_MAX: Final = 12
"""XGBoost's own files have 7."""

_TYPES: Final[Mapping[int, np.dtype[Any]]] = {
    ord("i"): np.dtype(">i1"),
    ord("U"): np.dtype(">u1"),
    ord("I"): np.dtype(">i2"),
    ord("l"): np.dtype(">i4"),
    ord("L"): np.dtype(">i8"),
    ord("d"): np.dtype(">f4"),
    ord("D"): np.dtype(">f8"),
}
_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END, _TEXT, _LONG, _TYPE, _COUNT = map(ord, "{}[]SL$#")
_LENGTH: Final = struct.Struct(">q")


class UbjsonError(ValueError):
    """It is not whole, or not the part of UBJSON that XGBoost writes; the message says where."""


def decode_ubjson(data: bytes) -> dict[str, Any]:
    """Objects as dicts, counted arrays as lists, typed arrays as NumPy arrays.

    Raises:
        UbjsonError: see there.
    """
    decoder = _Decoder(data)
    try:
        found = decoder.value(0)
    except (IndexError, struct.error) as error:
        raise UbjsonError(f"it ends at byte {len(data):,}, in the middle") from error
    if decoder.place != len(data):
        raise UbjsonError(f"{len(data) - decoder.place:,} bytes follow its end")
    if not isinstance(found, dict):
        raise UbjsonError("it is no object")
    return found


class _Decoder:
    """Reads on from `place`; past the end it raises IndexError or struct.error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def value(self, depth: int) -> Decoded:
        if depth > DEPTH_MAX:
            raise UbjsonError(f"deeper than {DEPTH_MAX} levels at byte {self.place:,}")
        marker = self._data[self.place]
        self.place += 1
        if marker == _ARRAY:
            return self._array(depth)
        if marker == _TEXT:
            return self._text()
        if marker == _OBJECT:
            return self._object(depth)
        if marker in _TYPES:
            return self._numbers(_TYPES[marker], 1)[0].item()
        raise UbjsonError(f"unknown marker {chr(marker)!r} at byte {self.place - 1:,}")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._data[self.place] != _OBJECT_END:
            name = self._text()
            if name in found:
                raise UbjsonError(f"the name {name[:40]!r} stands twice in an object")
            found[name] = self.value(depth + 1)
        self.place += 1
        return found

    def _array(self, depth: int) -> Decoded:
        dtype = None
        if self._data[self.place] == _TYPE:
            kind = self._data[self.place + 1]
            if kind not in _TYPES:
                raise UbjsonError(f"unknown type {chr(kind)!r} at byte {self.place + 1:,}")
            dtype = _TYPES[kind]
            self.place += 2
        if self._data[self.place] == _COUNT:
            self.place += 1
            count = self._length()
            if dtype is not None:
                return self._numbers(dtype, count)
            return [self.value(depth + 1) for _ in range(count)]
        if dtype is not None:
            raise UbjsonError(f"a typed array without a count at byte {self.place:,}")
        found = []
        while self._data[self.place] != _ARRAY_END:
            found.append(self.value(depth + 1))
        self.place += 1
        return found

    def _text(self) -> str:
        length = self._length()
        begin, self.place = self.place, self.place + length
        try:
            return self._data[begin : self.place].decode("utf-8")
        except UnicodeDecodeError as error:
            raise UbjsonError(f"text that is no UTF-8 before byte {self.place:,}") from error

    def _length(self) -> int:
        if self._data[self.place] != _LONG:
            raise UbjsonError(f"a length of another type at byte {self.place:,}")
        length: int = _LENGTH.unpack_from(self._data, self.place + 1)[0]
        self.place += 1 + _LENGTH.size
        # Each item has a byte at least: no list is begun that the file can't hold.
        if not 0 <= length <= len(self._data) - self.place:
            raise UbjsonError(f"a length of {length:,} at byte {self.place:,} passes its end")
        return length

    def _numbers(self, dtype: np.dtype[Any], count: int) -> Numbers:
        begin, self.place = self.place, self.place + count * dtype.itemsize
        if self.place > len(self._data):
            raise IndexError
        return np.frombuffer(self._data, dtype, count, begin)
