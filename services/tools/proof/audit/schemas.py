"""The wire as the audit reads it: framing, schema ids, and Avro by the schema files."""

import struct
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from typing import Any, Final, NamedTuple

import fastavro

from services.tools.proof.audit.avro_reader import Reading
from services.tools.proof.audit.avro_steps import Step, compile_steps
from services.tools.proof.audit.avro_writer import write_value
from services.wire.schemas import load_schemas
from services.wire.topics import TRADING

HEADER_BYTES: Final = 5
"""Magic byte 0 and a schema id of four bytes, before the Avro body."""

_SCHEMA_ID: Final = struct.Struct(">I")

type Schema = dict[str, Any]
type Fields = dict[str, Any]


class KnownSchema(NamedTuple):
    """One version of one record's schema, by the id that stands before its bytes."""

    schema_id: int
    topic: str
    record: str
    schema: Schema


class Reader:
    """How to read the records behind one schema id."""

    __slots__ = ("newest", "reader", "record", "steps", "writer", "written")

    def __init__(self, known: KnownSchema, newest: Schema, parsed: Schema) -> None:
        is_newest = known.schema == newest
        self.record = known.record
        self.written = known.schema
        """The schema as it was registered, plain."""
        self.newest = newest
        self.writer = parsed if is_newest else _parse(known.schema)
        self.reader = None if is_newest else parsed
        """None: the writer's is the newest, and nothing is resolved."""
        self.steps = compile_steps(known.schema) if is_newest else []

    def read(self, value: bytes) -> Fields | None:
        """What the newest version wrote, as a writer writes it; None: see `Reading`."""
        return None if self.reader is not None else Reading(value, HEADER_BYTES).whole(self.steps)


class Message:
    """A decoded record of an internal topic."""

    __slots__ = ("canonical", "fields", "record")

    def __init__(self, record: str, fields: Fields, canonical: bytes) -> None:
        self.record = record
        self.fields = fields
        self.canonical = canonical
        """The value as the newest version writes it: the very bytes, unless an older one did."""


class Writer:
    """How to write the records of one schema."""

    __slots__ = ("header", "steps")

    def __init__(self, header: bytes, steps: list[Step]) -> None:
        self.header = header
        self.steps = steps


class Schemas:
    """Reads and writes the messages of the trading path. Made once; it never calls out.

    Args:
        known: every version to be understood; for each record the newest schema file among them.
    """

    def __init__(self, known: Iterable[KnownSchema]) -> None:
        newest = _newest_parsed()
        self._readers: dict[str, dict[bytes, Reader]] = {}
        self._writers: dict[str, dict[str, Writer]] = {}
        for version in known:
            files = newest.get((version.topic, version.record))
            if files is None:
                continue
            plain, parsed = files
            reader = Reader(version, plain, parsed)
            schema_id = _SCHEMA_ID.pack(version.schema_id)
            self._readers.setdefault(version.topic, {})[schema_id] = reader
            if reader.reader is None:
                writer = Writer(b"\0" + schema_id, reader.steps)
                self._writers.setdefault(version.topic, {})[version.record] = writer

    def reader(self, topic: str, value: bytes) -> Reader | None:
        """How to read a framed value; None: its id is none of this topic's."""
        readers = self._readers.get(topic)
        return None if readers is None else readers.get(value[1:HEADER_BYTES])

    def decode(self, topic: str, value: bytes | None) -> Message | None:
        """An internal message; None for a stranger's junk, which the rooms pass over too."""
        if value is None or len(value) < HEADER_BYTES or value[0]:
            return None
        reader = self.reader(topic, value)
        if reader is None:
            return None
        fields = reader.read(value)
        if fields is not None:
            return Message(reader.record, fields, value)
        return self._decode_oddly(topic, value, reader)

    def _decode_oddly(self, topic: str, value: bytes, reader: Reader) -> Message | None:
        """What an older version wrote, and what is not written as a writer does, or not at all."""
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
        writer = self._writers[topic][record]
        return write_value(writer.header, writer.steps, fields)


@cache
def local_schemas() -> Schemas:
    """Where no registry is: ids are positions in the schema files."""
    files = enumerate(load_schemas(), start=1)
    return Schemas(KnownSchema(n, file.topic, file.record, file.schema) for n, file in files)


@cache
def _newest_parsed() -> dict[tuple[str, str], tuple[Schema, Schema]]:
    """Of each audited topic and record the newest schema file, plain and parsed."""
    audited = {topic.name for topic in TRADING}
    newest = {
        (file.topic, file.record): file.schema for file in load_schemas() if file.topic in audited
    }
    return {place: (schema, _parse(schema)) for place, schema in newest.items()}


def _parse(schema: Schema) -> Schema:
    parsed: Any = fastavro.parse_schema(schema)
    return dict(parsed)
