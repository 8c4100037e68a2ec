"""Commands typed by people: one spelling, and an answer that names the field at fault."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.commands import CancelAll, PlaceOrder, ReplaceOrder
from services.wire.json_commands import InvalidCommandError, parse_command_bytes

PLACE: dict[str, Any] = {
    "type": "PlaceOrder",
    "account": "alice",
    "client_order_id": "a-1",
    "ticker": "AAPL",
    "side": "BUY",
    "order_type": "LIMIT",
    "time_in_force": "GTC",
    "price": "187.25",
    "quantity": 100,
}


def parse(**changes: object) -> object:
    document = {k: v for k, v in {**PLACE, **changes}.items() if v is not ...}
    return parse_command_bytes(json.dumps(document).encode())[0]


def test_an_order_in_json_is_the_order_in_avro() -> None:
    expected = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, False, 1_872_500, 100, 0)
    assert parse() == expected


def test_other_commands_are_read_too() -> None:
    replace = {
        "type": "ReplaceOrder", "account": "alice", "client_command_id": "c", "order_id": "AAPL-1",
        "price": "0.0001", "quantity": 5, "event_time_us": 7,
    }  # fmt: skip
    assert parse_command_bytes(json.dumps(replace).encode()) == (
        ReplaceOrder("alice", "c", "AAPL-1", 1, 5),
        7,
    )
    everything = b'{"type": "CancelAll", "account": "alice", "client_command_id": "c"}'
    assert parse_command_bytes(everything)[0] == CancelAll("alice", "c", "")


@pytest.mark.parametrize(
    "changes,field",
    [
        ({"type": "Order"}, "type"),
        ({"type": ...}, "type"),
        ({"colour": "red"}, "colour"),
        ({"account": ...}, "account"),
        ({"account": 7}, "account"),
        ({"account": None}, "account"),
        ({"side": "buy"}, "side"),
        ({"side": 1}, "side"),
        ({"price": 187.25}, "price"),
        ({"price": "NaN"}, "price"),
        ({"price": "1e5"}, "price"),
        ({"price": "1.00001"}, "price"),
        ({"price": "Infinity"}, "price"),
        ({"price": "9" * 40}, "price"),
        ({"price": "\u0661"}, "price"),
        ({"quantity": 1.0}, "quantity"),
        ({"quantity": "100"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 2**63}, "quantity"),
        ({"post_only": "yes"}, "post_only"),
        ({"self_trade_prevention": "MAYBE"}, "self_trade_prevention"),
        ({"event_time_us": "now"}, "event_time_us"),
    ],
)
def test_the_field_at_fault_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        parse(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[1]", b"nul", b"[" * 100_000, b'{"type":NaN}', b"\xff{}", b'"{}"']
)
def test_what_is_no_object_is_no_command(value: bytes) -> None:
    with pytest.raises(InvalidCommandError):
        parse_command_bytes(value)


@given(st.dictionaries(st.sampled_from([*PLACE, "zzz"]), st.one_of(st.none(), st.integers(),
       st.floats(), st.text(max_size=9), st.lists(st.integers(), max_size=2))))  # fmt: skip
def test_any_document_is_a_command_or_an_error(document: dict[str, object]) -> None:
    text = json.dumps({**PLACE, **document}).encode()
    try:
        command, _ = parse_command_bytes(text)
    except InvalidCommandError:
        return
    assert isinstance(command, PlaceOrder)
