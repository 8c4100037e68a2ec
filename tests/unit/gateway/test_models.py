"""One spelling at every door: what REST takes is what JSON in `orders` says, and ingest lets by."""

from typing import Any

import pytest

from services.domain.commands import ClientCommand
from services.door.bodies import parse_object
from services.door.problems import ProblemError
from services.gateway.bodies import check
from services.gateway.documents import EXAMPLES
from services.gateway.problems import KINDS
from services.gateway.request_models import (
    EVENT_TIME_MAX_US,
    CancelAllRequest,
    CancelOrderRequest,
    PlaceOrderRequest,
    ReduceOrderRequest,
    ReplaceOrderRequest,
)
from services.ingest.core import EVENT_TIME_MAX_US as INGEST_EVENT_TIME_MAX_US
from services.ingest.core import ingest
from services.wire.json_commands import parse_command
from services.wire.topics import ORDERS, ORDERS_DLQ
from tests.support.gateway_memory import CODEC, ORDER

FOLLOW_UP = {"client_command_id": "c-1"}


def place(document: dict[str, Any]) -> ClientCommand:
    return check(PlaceOrderRequest, document).command("alice", document["client_order_id"])


def follow_up(model: Any, document: dict[str, Any]) -> ClientCommand:  # noqa: ANN401
    command: ClientCommand = check(model, document).command(
        "alice", document["client_command_id"], "AAPL-1"
    )
    return command


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"side": "SELL", "order_type": "MARKET", "time_in_force": "IOC", "price": "1"},
        {"time_in_force": "FOK", "price": "0.0001", "quantity": 1},
        {"post_only": True, "price": "100000.00", "quantity": 1_000_000_000},
        {"self_trade_prevention": "CANCEL_INCOMING", "event_time_us": 1},
        {"self_trade_prevention": "NONE", "event_time_us": EVENT_TIME_MAX_US},
        {"self_trade_prevention": "CANCEL_RESTING", "client_order_id": "x" * 64},
    ],
)
def test_an_order_means_the_same_at_both_doors(changes: dict[str, Any]) -> None:
    document = ORDER | changes
    command, event_time_us = parse_command({"type": "PlaceOrder", "account": "alice", **document})
    assert place(document) == command
    assert check(PlaceOrderRequest, document).event_time_us == event_time_us


@pytest.mark.parametrize(
    "kind,model,fields",
    [
        ("CancelOrder", CancelOrderRequest, {}),
        ("ReduceOrder", ReduceOrderRequest, {"quantity": 40}),
        ("ReplaceOrder", ReplaceOrderRequest, {"quantity": 40, "price": "187.3"}),
    ],
)
def test_a_follow_up_means_the_same_at_both_doors(
    kind: str,
    model: Any,  # noqa: ANN401
    fields: dict[str, Any],
) -> None:
    document = FOLLOW_UP | fields
    spelled = {"type": kind, "account": "alice", "order_id": "AAPL-1", **document}
    assert follow_up(model, document) == parse_command(spelled)[0]


@pytest.mark.parametrize("fields", [{}, {"ticker": "TSLA"}])
def test_cancel_all_means_the_same_at_both_doors(fields: dict[str, Any]) -> None:
    spelled = {"type": "CancelAll", "account": "alice", **FOLLOW_UP, **fields}
    command = check(CancelAllRequest, FOLLOW_UP | fields).command("alice", "c-1")
    assert command == parse_command(spelled)[0]


@pytest.mark.parametrize(
    "name", ["ticker", "side", "order_type", "time_in_force", "quantity", "price"]
)
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    document = {key: value for key, value in ORDER.items() if key != name}
    with pytest.raises(ProblemError) as raised:
        place(document)
    assert raised.value.reason == "MISSING_FIELD"
    assert raised.value.faults[0].pointer == f"#/{name}"


BAD: list[tuple[str, Any, str]] = [
    ("price", float("nan"), "INVALID_PRICE"),
    ("price", float("inf"), "INVALID_PRICE"),
    ("price", 187.25, "INVALID_PRICE"),
    ("price", 187, "INVALID_PRICE"),
    ("price", True, "INVALID_PRICE"),
    ("price", "NaN", "INVALID_PRICE"),
    ("price", "1e3", "INVALID_PRICE"),
    ("price", "187.25001", "INVALID_PRICE"),
    ("price", "0", "INVALID_PRICE"),
    ("price", "-187.25", "INVALID_PRICE"),
    ("price", "100000.01", "INVALID_PRICE"),
    ("price", " 1", "INVALID_PRICE"),
    ("price", "\u0661", "INVALID_PRICE"),
    ("price", "", "INVALID_PRICE"),
    ("quantity", 0, "INVALID_QUANTITY"),
    ("quantity", -1, "INVALID_QUANTITY"),
    ("quantity", 1.0, "INVALID_QUANTITY"),
    ("quantity", "1", "INVALID_QUANTITY"),
    ("quantity", True, "INVALID_QUANTITY"),
    ("quantity", None, "INVALID_QUANTITY"),
    ("quantity", 1_000_000_001, "INVALID_QUANTITY"),
    ("quantity", 2**80, "INVALID_QUANTITY"),
    ("side", "buy", "INVALID_SIDE"),
    ("side", 1, "INVALID_SIDE"),
    ("order_type", "STOP", "INVALID_ORDER_TYPE"),
    ("time_in_force", "DAY", "INVALID_TIME_IN_FORCE"),
    ("self_trade_prevention", "MAYBE", "INVALID_SELF_TRADE_PREVENTION"),
    ("post_only", 1, "INVALID_FIELD"),
    ("post_only", "true", "INVALID_FIELD"),
    ("ticker", "", "INVALID_FIELD"),
    ("ticker", "A" * 13, "INVALID_FIELD"),
    ("ticker", "AA PL", "INVALID_FIELD"),
    ("ticker", ["AAPL"], "INVALID_FIELD"),
    ("client_order_id", "", "INVALID_FIELD"),
    ("client_order_id", "x" * 65, "INVALID_FIELD"),
    ("client_order_id", "a b", "INVALID_FIELD"),
    ("client_order_id", "a\0", "INVALID_FIELD"),
    ("client_order_id", "é", "INVALID_FIELD"),
    ("client_order_id", "\ud800", "INVALID_FIELD"),
    ("client_order_id", 7, "INVALID_FIELD"),
    ("event_time_us", -1, "INVALID_FIELD"),
    ("event_time_us", EVENT_TIME_MAX_US + 1, "INVALID_FIELD"),
    ("account", "bob", "UNKNOWN_FIELD"),
    ("type", "PlaceOrder", "UNKNOWN_FIELD"),
    ("limit", "1", "UNKNOWN_FIELD"),
    ("x" * 10_000, "1", "UNKNOWN_FIELD"),
    ("\u202e\n", "1", "UNKNOWN_FIELD"),
    ("\ud800", "1", "INVALID_FIELD"),
]


@pytest.mark.parametrize("name,value,reason", BAD)
def test_a_bad_value_is_refused_by_the_name_of_its_field(
    name: str, value: object, reason: str
) -> None:
    with pytest.raises(ProblemError) as raised:
        place(ORDER | {name: value})
    (fault,) = raised.value.faults
    assert raised.value.reason == fault.reason == reason
    assert bytes(raised.value.response().body).decode()
    if name in PlaceOrderRequest.model_fields:
        assert fault.pointer == f"#/{name}"


def test_every_fault_of_a_request_is_told_at_once() -> None:
    with pytest.raises(ProblemError) as raised:
        place(ORDER | {"side": "X", "quantity": 0, "price": 1.5})
    assert [fault.pointer for fault in raised.value.faults] == ["#/side", "#/price", "#/quantity"]


def test_a_name_in_a_pointer_is_escaped() -> None:
    with pytest.raises(ProblemError) as raised:
        place(ORDER | {"a/b~c": 1})
    assert raised.value.faults[0].pointer == "#/a~1b~0c"


def test_what_the_gateway_lets_by_ingest_lets_by() -> None:
    """Else a 202 could end in the dead letters, where its sender never looks."""
    assert EVENT_TIME_MAX_US == INGEST_EVENT_TIME_MAX_US
    extremes = {
        "client_order_id": "~" * 64, "ticker": "!" * 12, "quantity": 1_000_000_000,
        "price": "100000", "event_time_us": EVENT_TIME_MAX_US,
    }  # fmt: skip
    value = CODEC.encode_command(ORDERS.name, place(ORDER | extremes), EVENT_TIME_MAX_US)
    messages = ingest(CODEC, ORDERS.name, 0, 0, 1, value)
    assert messages
    assert ORDERS_DLQ.name not in [message.topic for message in messages]


@pytest.mark.parametrize("model", EXAMPLES)
def test_every_example_in_openapi_is_accepted(model: Any) -> None:  # noqa: ANN401
    for example in EXAMPLES[model].values():
        assert check(model, dict(example)).model_dump(exclude_unset=True) == example


JUNK = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"1",
    b"null",
    b"\xff\xfe",
    b'{"a": 1, "a": 2}',
    b'{"a": {"b": 1, "b": 2}}',
    b"[" * 16_000,
    b'{"quantity": ' + b"9" * 5_000 + b"}",
    b'{"a": 01}',
    b"{'a': 1}",
    b'{"a": "\n"}',
]


@pytest.mark.parametrize("body", JUNK, ids=[repr(body[:20]) for body in JUNK])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ProblemError) as raised:
        parse_object(body)
    assert raised.value.reason == "INVALID_JSON"
    assert raised.value.status_code == KINDS["INVALID_JSON"].status == 400
