"""Two readers of what strangers write: ingest, and the audit's own, byte for byte of one mind."""

import json
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.core import ingest
from services.runtime.ports import Record
from services.tools.proof.audit.ingest import derive_commands
from services.tools.proof.audit.schemas import local_schemas
from services.wire.codec import local_codec
from services.wire.schemas import load_schemas
from tests.support.planted import flip

CODEC = local_codec()
SCHEMAS = local_schemas()
FILES = [
    (number, file) for number, file in enumerate(load_schemas(), start=1)
    if file.topic in ("orders", "controls")
]  # fmt: skip
TIME_MS = 1_790_000_000_000

TEXTS = st.one_of(
    st.sampled_from(["alice", "AAPL", "", "a b", "x" * 64, "x" * 65, "TICKER-TOO-LONG", "né"]),
    st.text(max_size=20),
)
NUMBERS = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**31 - 1, -(2**31), 100, 10_000]), st.integers(-99, 10**6)
)


def both(topic: str, value: bytes | None) -> tuple[list[Any], list[Any]]:
    """What ingest writes, and what the audit wants written: place, key, bytes."""
    said = ingest(CODEC, topic, 2, 77, TIME_MS * 1_000, value)
    written = [
        (m.topic, m.partition, m.key, CODEC.encode(m.topic, m.origin, m.payload)) for m in said
    ]
    derived = derive_commands(SCHEMAS, Record(topic, 2, 77, TIME_MS, None, value))
    wanted = [(d.topic, d.partition, d.key, SCHEMAS.encode(d.topic, d.record, d.fields))
              for d in derived]  # fmt: skip
    return written, wanted


@st.composite
def values_of(draw: st.DrawFn, kind: Any) -> Any:  # noqa: ANN401 - JSON
    if kind == "string":
        return draw(TEXTS)
    if kind in ("int", "long"):
        return draw(NUMBERS)
    if kind == "boolean":
        return draw(st.booleans())
    if kind["type"] == "array":
        return [draw(values_of(kind["items"])) for _ in range(draw(st.integers(0, 5)))]
    return {field["name"]: draw(values_of(field["type"])) for field in kind["fields"]}


@st.composite
def framed(draw: st.DrawFn) -> tuple[str, bytes]:
    """A record's bytes, whole or with something changed, cut off or added."""
    number, file = draw(st.sampled_from(FILES))
    out = BytesIO()
    fastavro.schemaless_writer(out, file.schema, draw(values_of(file.schema)))
    value = b"\0" + number.to_bytes(4) + out.getvalue()
    for _ in range(draw(st.integers(0, 2))):
        if value and draw(st.booleans()):
            at = draw(st.integers(0, len(value) - 1))
            value = flip(value, at, draw(st.integers(0, 7)))
        elif draw(st.booleans()):
            value = value[: draw(st.integers(0, len(value)))]
        else:
            value += draw(st.binary(max_size=12))
    return file.topic, value


@settings(max_examples=600, deadline=None)
@given(framed())
def test_avro_that_strangers_write_is_read_alike(drawn: tuple[str, bytes]) -> None:
    written, wanted = both(*drawn)
    assert wanted == written


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["orders", "controls"]), st.one_of(st.none(), st.binary(max_size=60)))
def test_any_bytes_are_read_alike(topic: str, value: bytes | None) -> None:
    written, wanted = both(topic, value)
    assert wanted == written


FIELDS = {
    "type": st.sampled_from(["PlaceOrder", "CancelOrder", "ReplaceOrder", "CancelAll", "Riot", 7]),
    "account": TEXTS,
    "client_order_id": TEXTS,
    "client_command_id": TEXTS,
    "order_id": TEXTS,
    "ticker": TEXTS,
    "side": st.sampled_from(["BUY", "SELL", "buy", None]),
    "order_type": st.sampled_from(["LIMIT", "MARKET", 2]),
    "time_in_force": st.sampled_from(["GTC", "IOC", "FOK", ""]),
    "price": st.one_of(
        st.sampled_from(["1.25", "-0.5", "1.23456", "1e3", "", "999999999999.9999", "٣"]), NUMBERS
    ),
    "quantity": st.one_of(NUMBERS, st.floats(), st.sampled_from([2**63, -(2**63), "9", True])),
    "post_only": st.sampled_from([True, False, 1]),
    "self_trade_prevention": st.sampled_from(["NONE", "CANCEL_RESTING", 0]),
    "event_time_us": st.one_of(NUMBERS, st.just(2**62)),
    "colour": st.just("red"),
}


@settings(max_examples=400, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=FIELDS),
    st.sampled_from(["", "cut", "flip", "bom", "tail"]),
    st.integers(0, 400),
)
def test_json_that_strangers_write_is_read_alike(
    document: dict[str, object], change: str, at: int
) -> None:
    value = json.dumps(document, ensure_ascii=at % 2 == 0).encode("utf-8", "surrogatepass")
    if change == "cut":
        value = value[: at % len(value)]
    elif change == "flip":
        value = flip(value, at % len(value), at % 7)
    elif change == "tail":
        value += b" x"
    written, wanted = both("orders", value)
    assert wanted == written


def test_a_whole_order_in_json_is_a_command_for_both() -> None:
    order = {
        "type": "PlaceOrder", "account": "alice", "client_order_id": "a-1", "ticker": "AAPL",
        "side": "BUY", "order_type": "LIMIT", "time_in_force": "GTC", "price": "187.25",
        "quantity": 100,
    }  # fmt: skip
    written, wanted = both("orders", json.dumps(order).encode())
    assert wanted == written
    assert wanted[0][0] == "accounts"


def test_what_only_json_libraries_disagree_on_is_a_dead_letter_for_both() -> None:
    for text in ('{"quantity": 1e400}', '{"account": "\\ud800"}', '{"a": NaN}', '{"a": 01}',
                 '{"a": "\\udc00\\ud800"}', "{" * 5_000, '{"a": ' + "[" * 5_000,
                 '{"type": "CancelAll", "event_time_us": ' + "9" * 5_000 + "}"):  # fmt: skip
        written, wanted = both("orders", text.encode())
        assert wanted == written
        assert [place for place, *_ in wanted] == ["orders.dlq"]
