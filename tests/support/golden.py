"""Golden bytes: one encoded example per published schema version, which must decode for ever.

`python -m tests.support.golden` writes the examples that are missing; it never rewrites one.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Final, cast

import fastavro

from services.wire.schemas import AvroSchema, SchemaFile, load_schemas, schema_directory

GOLDEN: Final = schema_directory() / "golden"
_LONG_EXAMPLE: Final = 1_790_000_000_123_456


def golden_paths(file: SchemaFile) -> tuple[Path, Path]:
    """The example's Avro body (no framing: ids differ between registries) and its values."""
    stem = GOLDEN / file.topic / f"{file.record}.v{file.version}"
    return stem.with_name(stem.name + ".bin"), stem.with_name(stem.name + ".json")


type _Schema = AvroSchema | str | list[str]


def example(schema: _Schema, named: dict[str, Any], place: int) -> object:
    """A value of this schema that differs from field to field, so that a swap shows."""
    if isinstance(schema, str) and schema in named:
        return example(named[schema], named, place)
    if isinstance(schema, list):  # A union: each of its branches must be seen somewhere.
        return example(schema[place % len(schema)], named, place)
    match schema if isinstance(schema, str) else schema["type"]:
        case "record":
            record = cast("dict[str, Any]", schema)
            named[f"{record.get('namespace', '')}.{record['name']}"] = record
            return {
                field["name"]: example(field["type"], named, place * 7 + i)
                for i, field in enumerate(record["fields"], start=1)
            }
        case "array":
            items = cast("dict[str, Any]", schema)["items"]
            return [example(items, named, place * 3 + i) for i in (1, 2)]
        case "null":
            return None
        case "string":
            return f"text-{place}-é"
        case "bytes":
            return bytes([0, 255, place % 256])
        case "boolean":
            return place % 2 == 0
        case "int":
            return -place if place % 2 else place
        case "long":
            return _LONG_EXAMPLE + place
        case "double":
            return -place / 8 if place % 2 else place / 8
        case other:
            msg = f"no example for {other}"
            raise AssertionError(msg)


def to_json(value: object) -> str:
    """Values as JSON text; bytes in hexadecimal."""
    return json.dumps(value, indent=1, ensure_ascii=False, default=bytes.hex) + "\n"


def write_missing() -> list[Path]:
    """Write the examples that no file holds yet."""
    written = []
    for file in load_schemas():
        body_path, values_path = golden_paths(file)
        if body_path.exists():
            continue
        values = example(file.schema, {}, 1)
        body = BytesIO()
        fastavro.schemaless_writer(body, fastavro.parse_schema(file.schema), values)
        body_path.parent.mkdir(parents=True, exist_ok=True)
        body_path.write_bytes(body.getvalue())
        values_path.write_text(to_json(values), encoding="utf-8")
        written.append(body_path)
    return written


if __name__ == "__main__":
    for path in write_missing():
        print(path)  # noqa: T201 - a command's output
