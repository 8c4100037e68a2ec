"""Which record becomes which row, value by value, and that nothing stops it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.commands import (
    CancelAll,
    CancelOrder,
    EnterOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import Halt
from services.domain.events import (
    AccountState,
    ExecutionReport,
    OrderAccepted,
    TickerLimits,
    Trade,
)
from services.domain.ids import make_order_id
from services.domain.origin import MATCHING, ORDERS, Origin
from services.recorder.core import (
    ARCHIVE_NUMBERS,
    NOT_STORABLE,
    TABLES,
    RowMaker,
    Rows,
    Unreadable,
)
from services.runtime.ports import Record
from services.wire.codec import MALFORMED_AVRO, WRONG_MAGIC, local_codec
from tests.support.copy_rows import read_copy_row

CODEC = local_codec()
NOW_US = 1_790_000_000_123_456
EVENT_US = 1_780_000_000_000_001
ORIGIN = Origin(ORDERS, 3, 41, 2, 0, NOW_US, EVENT_US)
DEPLOYMENT_ID = 7
BY_NAME = {table.name: table for table in TABLES}

ORDER = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 3, True, 1_872_500, 100, 2)
REPORT = ExecutionReport(
    "alice", 5, "AAPL-x", "a-1", "c-2", "AAPL", 1, 2, -1, 2, 1_872_500, 100, 40, 1_872_400, 1,
    "AAPL-9-0", 60, 40, 112_350_000, -60, 160, 300_000_000, 900_000_000, 1_872_400, 35, -1,
)  # fmt: skip
TRADE = Trade(
    "AAPL-9-0", "AAPL", 1_872_400, 40, -1, "AAPL-m", "AAPL-t", "bob", "alice", 1_872_300, 7,
    1_872_500, 8,
)  # fmt: skip
STATE = AccountState(
    "alice", 6, "c-3", True, False, 10, 20, 30, (TickerLimits("AAPL", -5, 20, 30),)
)  # fmt: skip


def record(topic: str, value: bytes | None, offset: int = 12) -> Record:
    return Record(topic, 1, offset, 1_790_000_000_999, b"alice", value)


def rows_of(*records: Record) -> Rows:
    return RowMaker(CODEC, DEPLOYMENT_ID).rows(records)


def message(topic: str, payload: msgspec.Struct, origin: Origin = ORIGIN) -> Record:
    return record(topic, CODEC.encode(topic, origin, payload))


def only_row(rows: Rows, table: str) -> dict[str, Any]:
    assert rows.unreadable == []
    [row] = rows.by_table[table]
    return read_copy_row(BY_NAME[table], row)


KEY = {
    "deployment_id": DEPLOYMENT_ID, "partition": 1, "offset": 12, "source_topic": ORDERS,
    "source_partition": 3, "source_offset": 41, "source_index": 2, "sequence": 0,
    "log_time": NOW_US, "event_time": EVENT_US,
}  # fmt: skip


@pytest.mark.parametrize(
    "topic,payload,table,values",
    [
        (
            "accounts", ORDER, "orders",
            msgspec.structs.asdict(ORDER) | {"order_id": make_order_id("alice", "a-1", "AAPL")},
        ),
        (
            "accounts", CancelOrder("alice", "c-1", "AAPL-x"), "cancels",
            {
                "command": "CancelOrder", "account": "alice", "client_command_id": "c-1",
                "order_id": "AAPL-x", "ticker": None,
            },
        ),
        (
            "accounts", CancelAll("alice", "c-1", ""), "cancels",
            {
                "command": "CancelAll", "account": "alice", "client_command_id": "c-1",
                "order_id": None, "ticker": "",
            },
        ),
        (
            "accounts", ReduceOrder("alice", "c-1", "AAPL-x", 30), "amendments",
            {
                "command": "ReduceOrder", "account": "alice", "client_command_id": "c-1",
                "order_id": "AAPL-x", "quantity": 30, "price": None,
            },
        ),
        (
            "accounts", ReplaceOrder("alice", "c-1", "AAPL-x", -5, 2**62), "amendments",
            {
                "command": "ReplaceOrder", "account": "alice", "client_command_id": "c-1",
                "order_id": "AAPL-x", "quantity": 2**62, "price": -5,
            },
        ),
        ("executions", REPORT, "executions", msgspec.structs.asdict(REPORT)),
        ("executions", STATE, "account_states", msgspec.json.decode(msgspec.json.encode(STATE))),
        ("trades", TRADE, "trades", msgspec.structs.asdict(TRADE)),
    ],
)  # fmt: skip
def test_each_message_becomes_a_row_with_all_its_fields(
    topic: str, payload: msgspec.Struct, table: str, values: dict[str, Any]
) -> None:
    rows = rows_of(message(topic, payload))
    assert only_row(rows, table) == KEY | values
    assert set(rows.by_table) == {table} | ({"archive"} if topic == "accounts" else set())


def test_a_message_without_event_time_has_none_in_its_row() -> None:
    origin = msgspec.structs.replace(ORIGIN, event_time_us=0)
    assert only_row(rows_of(message("trades", TRADE, origin)), "trades")["event_time"] is None


@pytest.mark.parametrize(
    "sent",
    [
        message("accounts", ORDER),
        message("accounts", OrderAccepted("alice", "AAPL-x")),
        message("matching", EnterOrder("AAPL-x", "alice", 1, 2, 1, False, 1, 2, 0)),
        record("controls", CODEC.encode_command("controls", Halt("h-1", "AAPL"), 5)),
        record("matching", None),
        record("controls", b""),
    ],
)
def test_every_record_of_an_inbox_is_archived_byte_for_byte(sent: Record) -> None:
    [row] = rows_of(sent).by_table["archive"]
    assert read_copy_row(BY_NAME["archive"], row) == {
        "deployment_id": DEPLOYMENT_ID,
        "topic_number": ARCHIVE_NUMBERS[sent.topic],
        "partition": 1,
        "offset": 12,
        "timestamp_ms": 1_790_000_000_999,
        "key": b"alice",
        "value": sent.value,
    }


def test_events_and_controls_of_inboxes_are_not_decoded() -> None:
    """Only their framing is looked at: a body cut short goes unnoticed, and is archived."""
    whole = message("accounts", OrderAccepted("alice", "AAPL-x"))
    assert whole.value is not None
    rows = rows_of(record("accounts", whole.value[:7]))
    assert rows.unreadable == []
    assert set(rows.by_table) == {"archive"}


@pytest.mark.parametrize("topic", ["accounts", "executions", "trades", "controls", "matching"])
def test_junk_is_archived_and_reported_and_does_not_stop_the_rest(topic: str) -> None:
    good = message("trades", TRADE)
    rows = rows_of(record(topic, b"junk", 4), good)
    assert rows.unreadable == [Unreadable(topic, 1, 4, WRONG_MAGIC, rows.unreadable[0].detail)]
    [junk] = rows.by_table["archive"]
    assert read_copy_row(BY_NAME["archive"], junk)["value"] == b"junk"
    assert len(rows.by_table["trades"]) == 1


def test_a_cut_off_message_is_reported_with_its_cause() -> None:
    whole = message("executions", REPORT)
    assert whole.value is not None
    rows = rows_of(record("executions", whole.value[:-3]))
    assert [one.cause for one in rows.unreadable] == [MALFORMED_AVRO]
    assert set(rows.by_table) == {"archive"}


@pytest.mark.parametrize(
    "payload,origin",
    [
        (msgspec.structs.replace(TRADE, maker_account="bo\0b"), ORIGIN),
        (TRADE, msgspec.structs.replace(ORIGIN, time_us=-1)),
        (TRADE, msgspec.structs.replace(ORIGIN, time_us=2**62)),
        (TRADE, msgspec.structs.replace(ORIGIN, event_time_us=2**62)),
        (TRADE, msgspec.structs.replace(ORIGIN, partition=70_000)),
    ],
)
def test_what_no_column_can_hold_is_archived_instead(payload: Trade, origin: Origin) -> None:
    rows = rows_of(message("trades", payload, origin))
    assert [one.cause for one in rows.unreadable] == [NOT_STORABLE]
    assert set(rows.by_table) == {"archive"}


def test_a_null_character_inside_json_is_not_storable_either() -> None:
    state = msgspec.structs.replace(STATE, tickers=(TickerLimits("AA\0PL", 1, 2, 3),))
    assert [one.cause for one in rows_of(message("executions", state)).unreadable] == [NOT_STORABLE]


@given(st.sampled_from(sorted(ARCHIVE_NUMBERS)), st.none() | st.binary(max_size=200))
def test_any_bytes_on_any_topic_give_rows(topic: str, value: bytes | None) -> None:
    rows = rows_of(record(topic, value))
    places = [one.offset for one in rows.unreadable]
    assert places in ([], [12])
    assert len(rows.by_table["archive"]) == 1


@given(st.binary(max_size=120), st.sampled_from([("accounts", ORDER), ("executions", REPORT)]))
def test_any_body_behind_a_good_header_gives_rows(
    body: bytes, kind: tuple[str, msgspec.Struct]
) -> None:
    topic, payload = kind
    header = CODEC.encode(topic, ORIGIN, payload)[:5]
    rows = rows_of(record(topic, header + body))
    typed = sum(len(packed) for name, packed in rows.by_table.items() if name != "archive")
    assert typed + len(rows.unreadable) == 1


def test_a_command_forwarded_to_the_matcher_has_no_second_row() -> None:
    maker = RowMaker(CODEC, DEPLOYMENT_ID)
    cancel = CancelOrder("alice", "c-1", "AAPL-x")
    in_accounts = message("accounts", cancel)
    in_matching = message("matching", cancel, Origin(MATCHING, 0, 1, 0, 1, NOW_US, 0))
    rows = maker.rows([in_accounts, in_matching, in_accounts])
    assert len(rows.by_table["cancels"]) == 2
    assert len(rows.by_table["archive"]) == 3
