"""Avro with Confluent framing: magic byte 0, schema id (4 bytes, big endian), Avro body.

A codec is made once, at start, from the ids a registry gave (`SchemaIds`); it never calls out.
"""

import re
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final, cast

import fastavro
import fastavro.validation
import msgspec

from services.domain.origin import Origin
from services.wire.messages import Payload, payload_class
from services.wire.schemas import AvroSchema, load_schemas, newest_schema
from services.wire.topics import TOPICS

MAGIC: Final = 0
_READER: Final = re.compile(r"<[^<>]* object at 0x[0-9a-fA-F]+>")
_HEADER: Final = struct.Struct(">bI")
HEADER_BYTES: Final = _HEADER.size


class UndecodableError(Exception):
    """Bytes that are no message of their topic. A value for dead letters, never a crash.

    `cause` is one of the closed list below; `detail` is one line for people.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


EMPTY_VALUE: Final = "EMPTY_VALUE"
WRONG_MAGIC: Final = "WRONG_MAGIC"
UNKNOWN_SCHEMA: Final = "UNKNOWN_SCHEMA"
MALFORMED_AVRO: Final = "MALFORMED_AVRO"
TRAILING_BYTES: Final = "TRAILING_BYTES"


class RegisteredSchema(msgspec.Struct, frozen=True):
    """One schema version as a registry knows it."""

    schema_id: int
    topic: str
    record: str
    schema: AvroSchema


class Decoded[T](msgspec.Struct, frozen=True, gc=False):
    """A decoded message: its provenance (None on client topics), itself, its event time."""

    origin: Origin | None
    payload: T
    event_time_us: int


class _Reader(msgspec.Struct, frozen=True):
    topic: str
    cls: type[Payload]
    writer: AvroSchema
    reader: AvroSchema | None
    """None when the writer's schema is the one this code knows: no resolution needed."""
    nested: bool
    in_order: bool
    """The schema's own fields are the class's, in the same order, and nothing is resolved."""


class _Writer(msgspec.Struct, frozen=True):
    header: bytes
    schema: AvroSchema
    to_dict: Callable[[Payload], dict[str, Any]]


class Codec:
    """Encodes and decodes the messages of every topic.

    Args:
        registered: every schema version to be understood. The newest schema file of each record
            must be among them for that record to be encoded.
    """

    def __init__(self, registered: tuple[RegisteredSchema, ...]) -> None:
        self._readers: dict[int, list[_Reader]] = {}
        self._writers: dict[tuple[str, type[Payload]], _Writer] = {}
        newest = {
            (topic.name, record): newest_schema(topic.name, record).schema
            for topic in TOPICS
            for record in topic.records
        }
        parsed = {key: _parse(schema) for key, schema in newest.items()}
        for entry in registered:
            key = (entry.topic, entry.record)
            if key not in newest:
                continue
            known = entry.schema == newest[key]
            cls = payload_class(entry.record)
            nested = _has_nested(cls)
            in_order = known and _own_fields(entry.schema) == cls.__struct_fields__
            writer = parsed[key] if known else _parse(entry.schema)
            reader = None if known else parsed[key]
            self._readers.setdefault(entry.schema_id, []).append(
                _Reader(entry.topic, cls, writer, reader, nested, in_order)
            )
            if known:
                header = _HEADER.pack(MAGIC, entry.schema_id)
                to_dict = _nested_to_dict if nested else msgspec.structs.asdict
                self._writers[entry.topic, cls] = _Writer(header, parsed[key], to_dict)

    def encode(self, topic: str, origin: Origin, payload: Payload) -> bytes:
        """Encode an internal message (a topic whose records carry an origin)."""
        writer = self._writers[topic, type(payload)]
        record = writer.to_dict(payload)
        record["origin"] = msgspec.structs.asdict(origin)
        out = BytesIO()
        out.write(writer.header)
        fastavro.schemaless_writer(out, writer.schema, record)
        return out.getvalue()

    def encode_command(self, topic: str, payload: Payload, event_time_us: int = 0) -> bytes:
        """Encode a client's command or an operator's control."""
        writer = self._writers[topic, type(payload)]
        record = writer.to_dict(payload)
        record["event_time_us"] = event_time_us
        out = BytesIO()
        out.write(writer.header)
        fastavro.schemaless_writer(out, writer.schema, record)
        return out.getvalue()

    def decode(self, topic: str, value: bytes | None) -> Decoded[Any]:
        """Decode a record's value.

        Raises:
            UndecodableError: it is no message of this topic; the cause says why.
        """
        reader = self._reader_of(topic, value)
        return _to_decoded(reader, _read(reader, cast("bytes", value), reader.reader))

    def decode_foreign(self, topic: str, value: bytes | None) -> Decoded[Any]:
        """Decode what anybody may have written: as `decode`, and refuse what no writer writes.

        The library is lenient: it cuts numbers of more than 64 bits off, takes any byte for a
        boolean, and an `int` of more than 32 bits for an int. A stranger's quantity of 2^70 shares
        must not become 64, so the bytes have to be those that the value encodes to.

        Raises:
            UndecodableError: it is no message of this topic; the cause says why.
        """
        reader = self._reader_of(topic, value)
        assert value is not None
        written = _read(reader, value, None)
        if not fastavro.validation.validate(written, reader.writer, raise_errors=False):
            raise UndecodableError(MALFORMED_AVRO, "a number is beyond the bits of its type")
        # Arrays may be written in blocks of any size, so their bytes prove nothing.
        if not reader.nested:
            again = BytesIO()
            fastavro.schemaless_writer(again, reader.writer, written)
            if again.getvalue() != value[HEADER_BYTES:]:
                raise UndecodableError(MALFORMED_AVRO, "not how Avro writes these values")
        record = written if reader.reader is None else _read(reader, value, reader.reader)
        return _to_decoded(reader, record)

    def writer_of(self, topic: str, value: bytes | None) -> tuple[type[Payload], AvroSchema]:
        """The message class of a record and the schema it was written with, by its framing alone.

        Raises:
            UndecodableError: it is not framed as a message of this topic.
        """
        reader = self._reader_of(topic, value)
        return reader.cls, reader.writer

    def _reader_of(self, topic: str, value: bytes | None) -> _Reader:
        if not value:
            raise UndecodableError(EMPTY_VALUE, "the record has no value")
        if len(value) < HEADER_BYTES or value[0] != MAGIC:
            raise UndecodableError(
                WRONG_MAGIC, f"first byte {value[0]}, {len(value)} bytes; want 0 and a schema id"
            )
        schema_id = _HEADER.unpack_from(value)[1]
        for reader in self._readers.get(schema_id, ()):
            if reader.topic == topic:
                return reader
        raise UndecodableError(UNKNOWN_SCHEMA, f"schema id {schema_id} is none of {topic}")


def local_schemas() -> tuple[RegisteredSchema, ...]:
    """Every schema without a registry: ids are positions in the schema files."""
    files = enumerate(load_schemas(), start=1)
    return tuple(RegisteredSchema(i, f.topic, f.record, f.schema) for i, f in files)


def local_codec() -> Codec:
    """A codec without a registry, for tests and replays."""
    return Codec(local_schemas())


def _parse(schema: AvroSchema) -> AvroSchema:
    return cast("AvroSchema", fastavro.parse_schema(schema))


def _read(reader: _Reader, value: bytes, schema: AvroSchema | None) -> dict[str, Any]:
    """The fields, as the writer's schema has them or resolved to another one."""
    body = BytesIO(value)
    body.seek(HEADER_BYTES)
    try:
        record = cast("dict[str, Any]", fastavro.schemaless_reader(body, reader.writer, schema))
    except (
        EOFError,
        ValueError,
        IndexError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        raise UndecodableError(MALFORMED_AVRO, _one_line(error)) from error
    if body.read(1):
        raise UndecodableError(TRAILING_BYTES, f"{len(body.getbuffer())} bytes hold more")
    return record


def _to_decoded(reader: _Reader, record: dict[str, Any]) -> Decoded[Any]:
    event_time_us = cast("int", record.pop("event_time_us", 0))
    fields = record.pop("origin", None)
    origin = None if fields is None else Origin(**fields)
    return Decoded(origin, _to_payload(reader, record), event_time_us)


def _own_fields(schema: AvroSchema) -> tuple[str, ...]:
    names = (field["name"] for field in schema["fields"])
    return tuple(name for name in names if name not in {"origin", "event_time_us"})


def _to_payload(reader: _Reader, record: dict[str, Any]) -> Payload:
    if reader.nested:
        return msgspec.convert(record, reader.cls)
    if reader.in_order:
        # A fifth of decoding an execution report would go into matching names.
        return reader.cls(*record.values())
    return reader.cls(**record)


def _has_nested(cls: type[Payload]) -> bool:
    return any(field.type not in (int, str, bool, bytes) for field in msgspec.structs.fields(cls))


def _nested_to_dict(payload: Payload) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(payload, builtin_types=(bytes,)))


def _one_line(error: BaseException) -> str:
    """The library's words, without the address of its reader: a replay must say the same."""
    text = _READER.sub("the bytes", " ".join(str(error).split())) or type(error).__name__
    return text[:200]
