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

_TYPES: Final[Mapping[bytes, np.dtype[Any]]] = {
    b"i": np.dtype(">i1"),
    b"U": np.dtype(">u1"),
    b"I": np.dtype(">i2"),
    b"l": np.dtype(">i4"),
    b"L": np.dtype(">i8"),
    b"d": np.dtype(">f4"),
    b"D": np.dtype(">f8"),
}
_LENGTH: Final = struct.Struct(">q")


class UbjsonError(ValueError):
    """It is not whole, or not the part of UBJSON that XGBoost writes; the message says where."""


def decode_ubjson(data: bytes) -> dict[str, Any]:
    """Objects as dicts, counted arrays as lists, typed arrays as NumPy arrays.

    Raises:
        UbjsonError: see there.
    """
    decoder = _Decoder(data)
    found = decoder.value(0)
    if decoder.place != len(data):
        raise UbjsonError(f"{len(data) - decoder.place:,} bytes follow its end")
    if not isinstance(found, dict):
        raise UbjsonError("it is no object")
    return found


class _Decoder:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def value(self, depth: int) -> Decoded:
        if depth > DEPTH_MAX:
            raise UbjsonError(f"deeper than {DEPTH_MAX} levels at byte {self.place:,}")
        marker = self._take(1)
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._text()
        if marker in _TYPES:
            return self._numbers(marker, 1)[0].item()
        raise UbjsonError(f"unknown marker {marker!r} at byte {self.place - 1:,}")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._peek() != b"}":
            name = self._text()
            if name in found:
                raise UbjsonError(f"the name {name[:40]!r} stands twice in an object")
            found[name] = self.value(depth + 1)
        self.place += 1
        return found

    def _array(self, depth: int) -> Decoded:
        kind = b""
        if self._peek() == b"$":
            self.place += 1
            kind = self._take(1)
            if kind not in _TYPES:
                raise UbjsonError(f"unknown type {kind!r} at byte {self.place - 1:,}")
        if self._peek() == b"#":
            self.place += 1
            count = self._length()
            if kind:
                return self._numbers(kind, count)
            return [self.value(depth + 1) for _ in range(count)]
        if kind:
            raise UbjsonError(f"a typed array without a count at byte {self.place:,}")
        found = []
        while self._peek() != b"]":
            found.append(self.value(depth + 1))
        self.place += 1
        return found

    def _text(self) -> str:
        try:
            return self._take(self._length()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UbjsonError(f"text that is no UTF-8 before byte {self.place:,}") from error

    def _length(self) -> int:
        if self._take(1) != b"L":
            raise UbjsonError(f"a length of another type at byte {self.place - 1:,}")
        length: int = _LENGTH.unpack(self._take(_LENGTH.size))[0]
        # Each item has a byte at least: no list is begun that the file can't hold.
        if not 0 <= length <= len(self._data) - self.place:
            raise UbjsonError(f"a length of {length:,} at byte {self.place:,} passes its end")
        return length

    def _numbers(self, kind: bytes, count: int) -> Numbers:
        dtype = _TYPES[kind]
        return np.frombuffer(self._take(count * dtype.itemsize), dtype)

    def _peek(self) -> bytes:
        return self._data[self.place : self.place + 1]

    def _take(self, count: int) -> bytes:
        taken = self._data[self.place : self.place + count]
        if len(taken) != count:
            raise UbjsonError(f"it ends at byte {len(self._data):,}, in the middle")
        self.place += count
        return taken
