"""Panels and calibrations as bytes: the same value, the same bytes, and back to the last bit."""

from typing import Any

import msgspec
import numpy as np


def encode_arrays(value: object) -> bytes:
    """Of structs and dataclasses with arrays in them."""
    return msgspec.msgpack.encode(value, enc_hook=_encoded)


def decode_arrays[T](found: bytes, kind: type[T]) -> T:
    """What was encoded.

    Raises:
        msgspec.DecodeError: the bytes are of no such value.
    """
    return msgspec.msgpack.decode(found, type=kind, dec_hook=_decoded)


def _encoded(value: object) -> object:
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        return {"dtype": little.dtype.str, "shape": value.shape, "bytes": little.tobytes()}
    raise NotImplementedError(f"{type(value).__name__} has no bytes")


def _decoded(kind: type, found: Any) -> Any:  # noqa: ANN401 - the library's own signature
    try:
        flat = np.frombuffer(found["bytes"], dtype=np.dtype(found["dtype"]))
        return flat.reshape(found["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no array of {kind}: {error}") from error
