"""Published schema versions decode for ever, by fastavro and by Apache's own library."""

import json
from io import BytesIO
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest

from services.domain.origin import Origin
from services.wire.messages import payload_class
from services.wire.schemas import SchemaFile, load_schemas, newest_schema
from services.wire.topics import BY_NAME, TOPICS
from tests.support.golden import golden_paths, to_json

FILES = load_schemas()


def name(file: SchemaFile) -> str:
    return f"{file.subject}.v{file.version}"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_golden_bytes_decode_to_the_values_beside_them(file: SchemaFile) -> None:
    body, values = (path.read_bytes() for path in golden_paths(file))
    decoded = fastavro.schemaless_reader(BytesIO(body), fastavro.parse_schema(file.schema), None)
    assert to_json(decoded) == values.decode()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_apaches_library_reads_the_golden_bytes_alike(file: SchemaFile) -> None:
    body, values = (path.read_bytes() for path in golden_paths(file))
    schema = avro.schema.parse(json.dumps(file.schema))
    decoded = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(BytesIO(body)))
    assert to_json(decoded) == values.decode()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_golden_bytes_read_by_the_newest_schema_too(file: SchemaFile) -> None:
    newest = newest_schema(file.topic, file.record).schema
    body = golden_paths(file)[0].read_bytes()
    decoded = fastavro.schemaless_reader(
        BytesIO(body), fastavro.parse_schema(file.schema), fastavro.parse_schema(newest)
    )
    assert isinstance(decoded, dict)
    assert list(decoded) == [field["name"] for field in newest["fields"]]


def records_in(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = [schema]
    for field in schema["fields"]:
        kind = field["type"]
        inner = kind.get("items", kind) if isinstance(kind, dict) else None
        if isinstance(inner, dict) and inner.get("type") == "record":
            found += records_in(inner)
    return found


UNIT_WORDS = ("dollar", "shares", "microseconds", "count", "basis points", "bytes")


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_field_has_a_doc_and_every_amount_its_unit(file: SchemaFile) -> None:
    for record in records_in(file.schema):
        assert record["doc"]
        for field in record["fields"]:
            doc = field.get("doc", "")
            assert doc, f"{record['name']}.{field['name']} has no doc"
            whole = {"offset", "sequence", "account_sequence", "accepted_offset", "rewind_offset"}
            if field["type"] == "long" and field["name"] not in whole:
                assert any(w in doc.lower() for w in UNIT_WORDS), f"{field['name']}: {doc}"


def test_every_record_of_the_topic_table_has_a_schema_and_no_schema_is_left_over() -> None:
    listed = {(topic.name, record) for topic in TOPICS for record in topic.records}
    assert {(file.topic, file.record) for file in FILES} == listed


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_class_has_exactly_the_fields_of_its_newest_schema(file: SchemaFile) -> None:
    newest = newest_schema(file.topic, file.record).schema
    fields = [field["name"] for field in newest["fields"]]
    if BY_NAME[file.topic].has_origin:
        assert fields.pop(0) == "origin"
        origin = newest["fields"][0]["type"]
        assert tuple(f["name"] for f in origin["fields"]) == Origin.__struct_fields__
    else:
        assert fields.pop() == "event_time_us"
    assert tuple(fields) == payload_class(file.record).__struct_fields__
