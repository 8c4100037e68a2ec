"""The audit's own Avro beside a library's, on every schema there is."""

from contextlib import suppress
from io import BytesIO
from typing import Any, Final

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tools.proof.audit.avro_reader import Reading
from services.tools.proof.audit.avro_steps import compile_steps
from services.tools.proof.audit.avro_writer import write_value
from services.tools.proof.audit.strict_avro import StrictAvroError, read_record
from services.wire.schemas import load_schemas
from services.wire.topics import TRADING

SCHEMAS: Final = [
    (file.schema, fastavro.parse_schema(file.schema))
    for file in load_schemas()
    if file.topic in {topic.name for topic in TRADING}
]
HEADER: Final = b"\0\0\0\0\7"
_PLAIN: Final[dict[str, st.SearchStrategy[Any]]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-130, 130),
    "string": st.text(max_size=8),
    "bytes": st.binary(max_size=8),
    "boolean": st.booleans(),
}


def values(kind: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: ANN401 - JSON
    """Values of a type."""
    if isinstance(kind, str):
        return _PLAIN[kind] if kind in _PLAIN else values(named[kind], named)
    if kind["type"] == "array":
        return st.lists(values(kind["items"], named), max_size=3)
    named[kind["name"]] = named[f"{kind.get('namespace', '')}.{kind['name']}"] = kind
    return st.fixed_dictionaries({f["name"]: values(f["type"], named) for f in kind["fields"]})


@given(st.data())
def test_it_writes_what_a_library_writes_and_reads_it_back(data: st.DataObject) -> None:
    plain, parsed = data.draw(st.sampled_from(SCHEMAS))
    fields = data.draw(values(plain, {}))
    out = BytesIO()
    fastavro.schemaless_writer(out, parsed, fields, strict=True)
    steps = compile_steps(plain)
    value = write_value(HEADER, steps, fields)
    assert value == HEADER + out.getvalue()
    assert Reading(value, len(HEADER)).whole(steps) == fields
    assert Reading(value + b"\0", len(HEADER)).whole(steps) is None


@given(st.data())
def test_what_it_reads_a_strict_reader_and_a_library_read_alike(data: st.DataObject) -> None:
    """Bytes with a few of them changed: it may refuse them, it may not read something else."""
    plain, parsed = data.draw(st.sampled_from(SCHEMAS))
    body = bytearray(write_value(b"", compile_steps(plain), data.draw(values(plain, {}))))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    fields = Reading(bytes(body), 0).whole(compile_steps(plain))
    strictly: object = None
    with suppress(StrictAvroError):
        strictly = read_record(plain, bytes(body))
    assert fields == strictly or (fields is None and "array" in str(plain))
    if fields is not None:
        assert fastavro.schemaless_reader(BytesIO(bytes(body)), parsed, None) == fields


ONE_LONG: Final = compile_steps(
    {"name": "One", "fields": [{"name": "n", "type": "long"}, {"name": "b", "type": "boolean"}]}
)


@pytest.mark.parametrize(
    "body, found",
    [
        (b"\x02\x01", {"n": 1, "b": True}),
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", {"n": 2**63 - 1, "b": False}),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", {"n": -(2**63), "b": False}),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00", None),
        (b"\x82\x00\x01", None),
        (b"\x82\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x01", None),
        (b"\x02\x02", None),
        (b"\x02", None),
        (b"", None),
    ],
    ids=["one", "most", "least", "65 bits", "padded", "11 bytes", "boolean 2", "cut", "empty"],
)
def test_numbers_at_the_edge_and_beyond(body: bytes, found: dict[str, Any] | None) -> None:
    assert Reading(body, 0).whole(ONE_LONG) == found


def test_a_type_that_no_message_has_is_refused() -> None:
    schema = {"name": "One", "fields": [{"name": "x", "type": ["null", "long"]}]}
    with pytest.raises(ValueError, match="x is a"):
        compile_steps(schema)
