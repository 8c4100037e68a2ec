"""Framing, round trips, junk, and reading versions that this code does not write."""

import struct
from copy import deepcopy
from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.commands import CancelOrder, PlaceOrder
from services.domain.events import BookDepth, DeadLetter, Level
from services.domain.genesis import default_genesis
from services.domain.origin import NOWHERE, Origin
from services.domain.predictions import MODE_NAMES, REQUESTED, STREAMED, Prediction
from services.wire import codec as wire
from services.wire.codec import Codec, RegisteredSchema, UndecodableError, local_codec
from services.wire.schemas import load_schemas, newest_schema

CODEC = local_codec()
ORIGIN = Origin(2, 3, 10**12, 1, 77, 1_790_000_000_000_000, 5)
ORDER = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, False, 1_872_500, 100, 0)
MESSAGES: list[tuple[str, msgspec.Struct]] = [
    ("accounts", ORDER),
    ("accounts", default_genesis()),
    ("book", BookDepth("AAPL", 0, 5, (Level(4, 3, 2), Level(3, 3, 1)), ())),
    (
        "predictions",
        Prediction(
            "r-1",
            1,
            "AAPL",
            5,
            4,
            "microstructure_v1",
            "f0",
            "direction_10s",
            3,
            "ab",
            False,
            True,
            2,
            (0.1, 0.2, 0.7),
            (-1.5, 0.1 + 0.2),
        ),
    ),
    ("orders.dlq", DeadLetter("WRONG_MAGIC", "x", 3, "00", b"\x00\xff\x01")),
]


@pytest.mark.parametrize("topic,payload", MESSAGES)
def test_what_is_encoded_is_decoded(topic: str, payload: msgspec.Struct) -> None:
    decoded = CODEC.decode(topic, CODEC.encode(topic, ORIGIN, payload))
    assert (decoded.origin, decoded.payload, decoded.event_time_us) == (ORIGIN, payload, 0)


def test_a_command_carries_its_event_time_and_no_origin() -> None:
    decoded = CODEC.decode("orders", CODEC.encode_command("orders", ORDER, 42))
    assert (decoded.origin, decoded.payload, decoded.event_time_us) == (None, ORDER, 42)


def test_a_prediction_of_no_record_says_so_in_its_origin() -> None:
    _, prediction = MESSAGES[-2]
    nowhere = Origin(NOWHERE, -1, -1, 0, 0, 5, 4)
    assert CODEC.decode("predictions", CODEC.encode("predictions", nowhere, prediction)).origin == (
        nowhere
    )
    assert set(MODE_NAMES) == {REQUESTED, STREAMED}


def test_the_frame_is_confluents() -> None:
    value = CODEC.encode_command("orders", ORDER)
    magic, schema_id = struct.unpack(">bI", value[:5])
    files = load_schemas()
    assert magic == 0
    assert (files[schema_id - 1].topic, files[schema_id - 1].record) == ("orders", "PlaceOrder")
    schema = fastavro.parse_schema(files[schema_id - 1].schema)
    body = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
    assert body == {**msgspec.structs.asdict(ORDER), "event_time_us": 0}


GOOD = CODEC.encode_command("orders", ORDER)


@pytest.mark.parametrize(
    "value,cause",
    [
        (None, wire.EMPTY_VALUE),
        (b"", wire.EMPTY_VALUE),
        (b"\x00", wire.WRONG_MAGIC),
        (b"\x00\x00\x00\x00", wire.WRONG_MAGIC),
        (b"\x01" + GOOD[1:], wire.WRONG_MAGIC),
        (b"\x00\x7f\xff\xff\xff" + GOOD[5:], wire.UNKNOWN_SCHEMA),
        (CODEC.encode("accounts", ORIGIN, ORDER), wire.UNKNOWN_SCHEMA),
        (GOOD[:5], wire.MALFORMED_AVRO),
        (GOOD[:-1], wire.MALFORMED_AVRO),
        (GOOD[:5] + b"\xff" * 40, wire.MALFORMED_AVRO),
        (GOOD[:5] + b"\x02\xff" + GOOD[5:], wire.MALFORMED_AVRO),
        (GOOD + b"\x00", wire.TRAILING_BYTES),
    ],
)
def test_junk_is_a_named_cause(value: bytes | None, cause: str) -> None:
    with pytest.raises(UndecodableError) as caught:
        CODEC.decode("orders", value)
    assert caught.value.cause == cause
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) <= 200


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise_anything_else(body: bytes) -> None:
    for head in (b"", GOOD[:5]):
        try:
            decoded = CODEC.decode("orders", head + body)
        except UndecodableError:
            continue
        assert isinstance(decoded.payload, msgspec.Struct)


@given(st.data())
def test_a_flipped_byte_decodes_to_a_message_or_a_cause(data: st.DataObject) -> None:
    place = data.draw(st.integers(5, len(GOOD) - 1))
    value = bytearray(GOOD)
    value[place] ^= data.draw(st.integers(1, 255))
    try:
        decoded = CODEC.decode("orders", bytes(value))
    except UndecodableError:
        return
    assert isinstance(decoded.payload, PlaceOrder)


def varint(value: int) -> bytes:
    """Zigzag, of any length: longer than Avro's 64 bits if the value is."""
    rest = value * 2 if value >= 0 else -value * 2 - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def with_field(name: str, encoded: bytes) -> bytes:
    """The good order, one of its fields written by hand."""
    parts = []
    for field in newest_schema("orders", "PlaceOrder").schema["fields"]:
        if field["name"] == name:
            parts.append(encoded)
            continue
        one = BytesIO()
        known = {**msgspec.structs.asdict(ORDER), "event_time_us": 0}
        fastavro.schemaless_writer(one, {"type": field["type"]}, known[field["name"]])
        parts.append(one.getvalue())
    return GOOD[:5] + b"".join(parts)


def test_writing_a_field_by_hand_gives_the_same_bytes() -> None:
    assert with_field("quantity", varint(ORDER.quantity)) == GOOD
    assert CODEC.decode_foreign("orders", GOOD).payload == ORDER


@pytest.mark.parametrize(
    "field,encoded",
    [
        ("quantity", varint(2**70)),
        ("quantity", varint(-(2**200))),
        ("quantity", varint(2**63)),
        ("quantity", b"\x88\x80\x00"),
        ("side", varint(2**40)),
        ("side", varint(2**31)),
        ("time_in_force", varint(-(2**70))),
        ("post_only", b"\x02"),
    ],
)
def test_a_number_that_no_writer_writes_is_malformed(field: str, encoded: bytes) -> None:
    with pytest.raises(UndecodableError) as caught:
        CODEC.decode_foreign("orders", with_field(field, encoded))
    assert caught.value.cause == wire.MALFORMED_AVRO


@given(st.binary(max_size=60))
def test_what_a_stranger_wrote_is_what_it_encodes_to_or_a_cause(body: bytes) -> None:
    try:
        decoded = CODEC.decode_foreign("orders", GOOD[:5] + body)
    except UndecodableError:
        return
    again = CODEC.encode_command("orders", decoded.payload, decoded.event_time_us)
    assert again == GOOD[:5] + body


def with_optional_field(schema: dict[str, Any]) -> dict[str, Any]:
    newer = deepcopy(schema)
    newer["fields"].append({"name": "note", "doc": "One line.", "type": "string", "default": ""})
    return newer


def test_a_newer_writers_extra_field_is_read_over() -> None:
    schema = newest_schema("orders", "CancelOrder").schema
    newer = with_optional_field(schema)
    codec = Codec(
        (
            RegisteredSchema(1, "orders", "CancelOrder", schema),
            RegisteredSchema(2, "orders", "CancelOrder", newer),
        )
    )
    cancel = CancelOrder("alice", "c-1", "AAPL-1")
    body = BytesIO(b"")
    record = {**msgspec.structs.asdict(cancel), "event_time_us": 9, "note": "why"}
    fastavro.schemaless_writer(body, fastavro.parse_schema(newer), record)
    new = codec.decode("orders", struct.pack(">bI", 0, 2) + body.getvalue())
    old = codec.decode("orders", codec.encode_command("orders", cancel, 9))
    assert new == old
    assert codec.decode_foreign("orders", struct.pack(">bI", 0, 2) + body.getvalue()) == old
    assert new.payload == cancel


def test_a_newer_reader_fills_the_field_an_older_writer_lacks() -> None:
    schema = newest_schema("orders", "CancelOrder").schema
    body = BytesIO(CODEC.encode_command("orders", CancelOrder("alice", "c-1", "AAPL-1"))[5:])
    read = fastavro.schemaless_reader(
        body, fastavro.parse_schema(schema), fastavro.parse_schema(with_optional_field(schema))
    )
    assert isinstance(read, dict)
    assert read["note"] == ""
    assert read["order_id"] == "AAPL-1"
