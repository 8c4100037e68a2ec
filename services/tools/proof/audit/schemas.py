"""The wire as the audit reads it: framing, schema ids, and Avro by the schema files."""

import struct
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any, Final, NamedTuple

import fastavro

from services.tools.proof.audit.avro_writer import Write, compile_writer
from services.wire.schemas import load_schemas

HEADER_BYTES: Final = 5
"""Magic byte 0 and a schema id of four bytes, before the Avro body."""

_HEADER: Final = struct.Struct(">BI")
_SCHEMA_ID: Final = struct.Struct(">I")

type Schema = dict[str, Any]
type Fields = dict[str, Any]


class KnownSchema(NamedTuple):
    """One version of one record's schema, by the id that stands before its bytes."""

    schema_id: int
    topic: str
    record: str
    schema: Schema


class Reader(NamedTuple):
    """How to read the records behind one schema id."""

    record: str
    written: Schema
    """The schema as it was registered, plain."""
    writer: Schema
    reader: Schema | None
    """None: the writer's is the newest, and nothing is resolved."""
    newest: Schema


class Message(NamedTuple):
    """A decoded record of an internal topic."""

    record: str
    fields: Fields
    canonical: bytes
    """The value as the newest version writes it: the very bytes, unless an older one wrote them."""


class Schemas:
    """Reads and writes the messages of every topic. Made once; it never calls out.

    Args:
        known: every version to be understood; for each record the newest schema file among them.
    """

    def __init__(self, known: Iterable[KnownSchema]) -> None:
        newest = _newest_parsed()
        self._readers: dict[tuple[str, bytes], Reader] = {}
        self._writers: dict[tuple[str, str], tuple[bytes, Write]] = {}
        for schema_id, topic, record, schema in known:
            files = newest.get((topic, record))
            if files is None:
                continue
            plain, parsed = files
            is_newest = schema == plain
            writer = parsed if is_newest else _parse(schema)
            self._readers[topic, _SCHEMA_ID.pack(schema_id)] = Reader(
                record, schema, writer, None if is_newest else parsed, plain
            )
            if is_newest:
                self._writers[topic, record] = (
                    _HEADER.pack(0, schema_id),
                    _writer_of(topic, record),
                )

    def reader(self, topic: str, value: bytes) -> Reader | None:
        """How to read a framed value; None: its id is none of this topic's."""
        return self._readers.get((topic, value[1:HEADER_BYTES]))

    def decode(self, topic: str, value: bytes | None) -> Message | None:
        """An internal message; None for a stranger's junk, which the rooms pass over too."""
        if value is None or len(value) < HEADER_BYTES or value[0]:
            return None
        reader = self._readers.get((topic, value[1:HEADER_BYTES]))
        if reader is None:
            return None
        body = BytesIO(value)
        body.seek(HEADER_BYTES)
        try:
            fields: Any = fastavro.schemaless_reader(body, reader.writer, reader.reader)
        except (EOFError, ValueError, IndexError, OverflowError, MemoryError, struct.error):
            return None
        if body.read(1):
            return None
        if reader.reader is not None:
            value = self.encode(topic, reader.record, fields)
        return Message(reader.record, fields, value)

    def encode(self, topic: str, record: str, fields: Fields) -> bytes:
        """The value that the newest version writes."""
        header, write = self._writers[topic, record]
        return header + write(fields)


@cache
def local_schemas() -> Schemas:
    """Where no registry is: ids are positions in the schema files."""
    files = enumerate(load_schemas(), start=1)
    return Schemas(KnownSchema(n, file.topic, file.record, file.schema) for n, file in files)


@cache
def _writer_of(topic: str, record: str) -> Write:
    return compile_writer(_newest_parsed()[topic, record][0])


@cache
def _newest_parsed() -> dict[tuple[str, str], tuple[Schema, Schema]]:
    """Of each topic and record the newest schema file, plain and parsed."""
    newest = {(file.topic, file.record): file.schema for file in load_schemas()}
    return {place: (schema, _parse(schema)) for place, schema in newest.items()}


def _parse(schema: Schema) -> Schema:
    parsed: Any = fastavro.parse_schema(schema)
    return dict(parsed)
