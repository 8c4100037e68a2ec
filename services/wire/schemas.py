"""The Avro schema files: `schemas/<topic>/<Record>.v<N>.avsc`, one record a file.

In a checkout they are at the repository's root; an installed wheel carries them inside this
package. A published version is never edited; a new one is a new file.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec

type AvroSchema = dict[str, Any]

_PACKAGED: Final = Path(__file__).parent / "schemas"
_CHECKOUT: Final = Path(__file__).parents[2] / "schemas"


class SchemaFile(msgspec.Struct, frozen=True):
    """One version of one record's schema on one topic."""

    topic: str
    record: str
    version: int
    schema: AvroSchema

    @property
    def subject(self) -> str:
        """The registry's subject: `<topic>-<Record>`."""
        return f"{self.topic}-{self.record}"


def schema_directory() -> Path:
    """Where the schema files are."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@cache
def load_schemas() -> tuple[SchemaFile, ...]:
    """All schema files, in order of topic, record and version."""
    found = []
    for path in schema_directory().glob("*/*.avsc"):
        record, _, version = path.name.removesuffix(".avsc").rpartition(".v")
        schema = cast("AvroSchema", json.loads(path.read_text(encoding="utf-8")))
        found.append(SchemaFile(path.parent.name, record, int(version), schema))
    return tuple(sorted(found, key=lambda file: (file.topic, file.record, file.version)))


def newest_schema(topic: str, record: str) -> SchemaFile:
    """The version this code writes."""
    return [f for f in load_schemas() if f.topic == topic and f.record == record][-1]
