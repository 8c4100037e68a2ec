"""Any record becomes messages or a dead letter, the same every time."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.commands import CancelAll, CancelOrder, PlaceOrder
from services.domain.controls import Deposit, Halt, OpenAccount, SetMark
from services.domain.events import DeadLetter
from services.domain.genesis import default_genesis
from services.domain.origin import CONTROLS, ORDERS, Origin
from services.ingest.core import ingest
from services.wire.codec import local_codec
from services.wire.messages import Message
from services.wire.partition import account_partition

CODEC = local_codec()
NOW_US = 1_790_000_000_000_000
ORDER = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, False, 1_872_500, 100, 0)


def of_orders(value: bytes | None) -> list[Message]:
    return ingest(CODEC, "orders", 3, 41, NOW_US, value)


def of_control(control: msgspec.Struct) -> list[Message]:
    value = CODEC.encode_command("controls", control, 8)
    return ingest(CODEC, "controls", 0, 7, NOW_US, value)


def letter(messages: list[Message]) -> DeadLetter:
    assert [message.topic for message in messages] == ["orders.dlq"]
    assert isinstance(messages[0].payload, DeadLetter)
    return messages[0].payload


def test_a_command_goes_to_its_accounts_partition_with_its_times() -> None:
    [message] = of_orders(CODEC.encode_command("orders", ORDER, 5))
    assert (message.topic, message.key) == ("accounts", "alice")
    assert message.partition == account_partition("alice", 4)
    assert message.origin == Origin(ORDERS, 3, 41, 0, 0, NOW_US, 5)
    assert message.payload == ORDER


def test_json_and_avro_give_the_same_messages() -> None:
    text = {
        "type": "PlaceOrder", "account": "alice", "client_order_id": "a-1", "ticker": "AAPL",
        "side": "BUY", "order_type": "LIMIT", "time_in_force": "GTC", "price": "187.25",
        "quantity": 100, "event_time_us": 5,
    }  # fmt: skip
    assert of_orders(json.dumps(text).encode()) == of_orders(
        CODEC.encode_command("orders", ORDER, 5)
    )


def test_values_that_are_merely_wrong_go_on_to_risk() -> None:
    wrong = PlaceOrder("nobody", "x", "NOPE", 9, 9, 9, True, -(2**60), 2**62, 9)
    [message] = of_orders(CODEC.encode_command("orders", wrong))
    assert message.payload == wrong


@pytest.mark.parametrize(
    "value,cause",
    [
        (None, "EMPTY_VALUE"),
        (b"hello", "WRONG_MAGIC"),
        (b"\x00\x00\x0f\x00\x00rest", "UNKNOWN_SCHEMA"),
        (CODEC.encode_command("orders", ORDER)[:-3], "MALFORMED_AVRO"),
        (CODEC.encode_command("orders", ORDER) + b"!", "TRAILING_BYTES"),
        (b'{"type": "PlaceOrder", "price": NaN}', "INVALID_JSON"),
        (CODEC.encode_command("orders", msgspec.structs.replace(ORDER, account="")), "INVALID_ID"),
        (
            CODEC.encode_command("orders", msgspec.structs.replace(ORDER, account="x" * 10**7)),
            "INVALID_ID",
        ),
        (
            CODEC.encode_command("orders", msgspec.structs.replace(ORDER, ticker="A\n")),
            "INVALID_ID",
        ),
        (CODEC.encode_command("orders", CancelOrder("alice", "c", "A" * 65)), "INVALID_ID"),
        (CODEC.encode_command("orders", ORDER, -1), "INVALID_EVENT_TIME"),
        (CODEC.encode_command("orders", ORDER, 2**60), "INVALID_EVENT_TIME"),
    ],
)
def test_what_cannot_be_used_is_a_dead_letter_with_its_cause(
    value: bytes | None, cause: str
) -> None:
    found = letter(of_orders(value))
    assert found.cause == cause
    assert found.value_length_bytes == len(value or b"")
    assert found.value_head == (value or b"")[:65_536]
    assert len(found.detail) <= 200
    assert CODEC.encode("orders.dlq", of_orders(value)[0].origin, found)


def test_json_is_for_orders_only() -> None:
    messages = ingest(CODEC, "controls", 0, 1, NOW_US, b'{"type": "Halt"}')
    assert letter(messages).cause == "WRONG_MAGIC"


def test_a_genesis_reaches_every_fold() -> None:
    messages = of_control(default_genesis())
    places = [(message.topic, message.partition) for message in messages]
    assert places == [("accounts", p) for p in range(4)] + [("matching", p) for p in range(5)]
    assert [message.origin.index for message in messages] == list(range(9))
    assert {message.origin.topic for message in messages} == {CONTROLS}


def test_a_genesis_that_contradicts_itself_is_a_dead_letter() -> None:
    broken = msgspec.structs.replace(default_genesis(), account_partitions=3)
    found = letter(of_control(broken))
    assert (found.cause, "account_partitions" in found.detail) == ("INVALID_GENESIS", True)


@pytest.mark.parametrize(
    "control,places",
    [
        (SetMark("c", "AAPL", 5), [("accounts", p) for p in range(4)]),
        (Halt("c", "AAPL"), [("matching", p) for p in range(5)]),
        (Deposit("c", "bob", "AAPL", 5), [("accounts", account_partition("bob", 4))]),
        (
            OpenAccount("c", "bob", 1, 1, 1, False),
            [("accounts", account_partition("bob", 4))],
        ),
    ],
)
def test_controls_go_where_they_are_acted_on(
    control: msgspec.Struct, places: list[tuple[str, int]]
) -> None:
    assert [(m.topic, m.partition) for m in of_control(control)] == places
    assert {m.origin.event_time_us for m in of_control(control)} == {8}


def test_cancel_all_of_every_ticker_needs_no_ticker() -> None:
    [message] = of_orders(CODEC.encode_command("orders", CancelAll("alice", "c", "")))
    assert message.topic == "accounts"


@given(st.binary(max_size=300))
def test_no_bytes_stop_ingest(value: bytes) -> None:
    messages = of_orders(value)
    assert messages
    assert messages == of_orders(value)


def test_a_dead_letter_says_the_same_in_every_process() -> None:
    """A library names what it reads from by its address: that would differ in each replay."""
    control = OpenAccount("o-1", "alice", 1, 2, 3, short_allowed=True)
    for topic, command in (("orders", ORDER), ("controls", control)):
        value = CODEC.encode_command(topic, command)
        for end in range(5, len(value) - 1):
            said = letter(ingest(CODEC, topic, 0, 7, NOW_US, value[:end]))
            assert "0x" not in said.detail
    cut = letter(ingest(CODEC, "controls", 0, 7, NOW_US, value[:-2]))
    assert cut.detail == "cannot read boolean from the bytes"
