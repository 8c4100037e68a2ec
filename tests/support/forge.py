"""Forged models: a folder whose hashes are right and whose contents are not."""

import json
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from services.models.ubjson import decode_ubjson
from tests.support.model_kit import xgboost_model

type Forgery = Callable[[dict[str, Any]], object]


def put_file(folder: Path, name: str, data: bytes) -> None:
    """Put a file into a model's folder, with its right hash in the manifest."""
    (folder / name).write_bytes(data)
    digest = sha256(data).hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"].update({name: digest}))


def edit_manifest(folder: Path, forgery: Forgery) -> None:
    path = folder / "manifest.json"
    found = json.loads(path.read_bytes())
    forgery(found)
    path.write_text(json.dumps(found), encoding="utf-8")


def edit_json(folder: Path, name: str, forgery: Forgery) -> None:
    found = json.loads((folder / name).read_bytes())
    forgery(found)
    put_file(folder, name, json.dumps(found).encode())


def booster_bytes() -> bytes:
    return bytes(xgboost_model().booster.save_raw("ubj"))


def forged_booster(data: bytes, forgery: Forgery) -> bytes:
    """The file with what the forgery changes in the decoded one."""
    found = decode_ubjson(data)
    forgery(found)
    return encode_ubjson(found)


def trees_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = found["learner"]["gradient_booster"]["model"]["trees"]
    return trees


def set_node(array: str, node: int, value: float) -> Forgery:
    """Change one number of the first tree."""

    def forge(found: dict[str, Any]) -> None:
        tree = trees_of(found)[0]
        tree[array] = tree[array].copy()
        tree[array][node] = value

    return forge


def set_part(*path: str | int, value: object) -> Forgery:
    """Change one part, by its path."""

    def forge(found: dict[str, Any]) -> None:
        part: Any = found
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value

    return forge


def encode_ubjson(value: object) -> bytes:
    match value:
        case dict():
            parts = [_text(name) + encode_ubjson(part) for name, part in value.items()]
            return b"{" + b"".join(parts) + b"}"
        case np.ndarray():
            marker = {"i1": "i", "u1": "U", "i2": "I", "i4": "l", "i8": "L", "f4": "d", "f8": "D"}[
                value.dtype.str[1:]
            ]
            return b"[$" + marker.encode() + b"#" + _length(len(value)) + value.tobytes()
        case list():
            return b"[#" + _length(len(value)) + b"".join(map(encode_ubjson, value))
        case str():
            return b"S" + _text(value)
        case int():
            return b"l" + struct.pack(">i", value)
        case float():
            return b"d" + struct.pack(">f", value)
    raise TypeError(type(value))


def _text(text: str) -> bytes:
    return _length(len(text.encode())) + text.encode()


def _length(length: int) -> bytes:
    return b"L" + struct.pack(">q", length)
