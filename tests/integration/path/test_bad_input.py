"""Whatever somebody writes to `orders`, its sender gets an answer and nobody else notices."""

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from confluent_kafka import Producer

from services.domain import codes
from services.domain.commands import CancelAll, CancelOrder, ReduceOrder, ReplaceOrder
from services.domain.events import DeadLetter
from services.domain.ids import make_order_id
from services.domain.reasons import Reason
from services.tools.operate.exchange import Seen
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import MARK, TradingPath, limit_order, running_path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, "bad.") as path:
        path.open_account("alice")
        path.open_account("bob")
        path.open_account("carol", short_allowed=False)
        yield path


def dead_letter(path: TradingPath, position: tuple[int, int]) -> DeadLetter:
    def is_it(record: Seen) -> bool:
        origin = record.decoded.origin
        return (
            isinstance(record.decoded.payload, DeadLetter)
            and origin is not None
            and (origin.partition, origin.offset) == position
        )

    return cast("DeadLetter", path.wait_for(is_it, f"dead letter of {position}").decoded.payload)


def still_trades(path: TradingPath, partition: int) -> None:
    """Another client's order on the same partition goes its way."""
    order = limit_order("bob", codes.BUY, MARK - 50_000, 1)
    path.send(order, partition)
    assert path.report(order.client_order_id).exec_type == codes.EXEC_NEW


def good_bytes(path: TradingPath) -> bytes:
    return path.codec.encode_command("orders", limit_order("alice", codes.BUY, MARK, 1))


@pytest.mark.parametrize(
    "junk,cause",
    [
        ("truncated", "MALFORMED_AVRO"),
        ("wrong magic", "WRONG_MAGIC"),
        ("unknown schema id", "UNKNOWN_SCHEMA"),
        ("trailing bytes", "TRAILING_BYTES"),
        ("no value", "EMPTY_VALUE"),
        ("NaN", "INVALID_JSON"),
        ("empty string", "INVALID_ID"),
        ("long string", "INVALID_ID"),
    ],
)
def test_junk_becomes_a_dead_letter_with_its_cause(
    path: TradingPath, junk: str, cause: str
) -> None:
    good = good_bytes(path)
    value = {
        "truncated": good[:-2],
        "wrong magic": b"\x07" + good[1:],
        "unknown schema id": b"\x00\x7f\xff\xff\xff" + good[5:],
        "trailing bytes": good + b"\x00",
        "no value": None,
        "NaN": b'{"type": "PlaceOrder", "price": NaN}',
        "empty string": path.codec.encode_command("orders", CancelAll("", "c", "")),
        "long string": path.codec.encode_command("orders", CancelAll("x" * 900_000, "c", "")),
    }[junk]
    letter = dead_letter(path, path.send_raw(value, 1))
    assert letter.cause == cause
    assert letter.value_length_bytes == len(value or b"")
    still_trades(path, 1)


def test_a_string_of_ten_megabytes_that_fits_when_compressed_is_a_dead_letter(
    path: TradingPath,
) -> None:
    value = path.codec.encode_command("orders", CancelAll("x" * 10_000_000, "c", ""))
    producer = Producer(
        {
            "bootstrap.servers": path.addresses.kafka_bootstrap,
            "compression.type": "zstd",
            "message.max.bytes": 20_000_000,
        }
    )
    offsets: list[int | None] = []
    producer.produce(
        path.prefix + "orders",
        value,
        partition=1,
        on_delivery=lambda error, message: offsets.append(-1 if error else message.offset()),
    )
    assert producer.flush(30) == 0
    letter = dead_letter(path, (1, cast("int", offsets[0])))
    assert (letter.cause, letter.value_length_bytes) == ("INVALID_ID", len(value))
    assert len(letter.value_head) == 65_536
    still_trades(path, 1)


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"ticker": "NOPE"}, Reason.UNKNOWN_TICKER),
        ({"price": 0}, Reason.INVALID_PRICE),
        ({"price": -100}, Reason.INVALID_PRICE),
        ({"price": 2**62}, Reason.INVALID_PRICE),
        ({"price": MARK + 1}, Reason.OFF_TICK),
        ({"price": MARK * 3}, Reason.PRICE_OUTSIDE_COLLAR),
        ({"quantity": 0}, Reason.INVALID_QUANTITY),
        ({"quantity": -5}, Reason.INVALID_QUANTITY),
        ({"quantity": 2**62}, Reason.INVALID_QUANTITY),
        ({"quantity": 1_000_001}, Reason.ORDER_TOO_LARGE),
        ({"side": 3}, Reason.INVALID_SIDE),
        ({"order_type": 9}, Reason.INVALID_ORDER_TYPE),
        ({"time_in_force": 9}, Reason.INVALID_TIME_IN_FORCE),
        ({"order_type": codes.MARKET}, Reason.INVALID_COMBINATION),
        ({"self_trade_prevention": 9}, Reason.INVALID_SELF_TRADE_PREVENTION),
        ({"ticker": "MSFT"}, Reason.NO_MARK),
    ],
)
def test_a_wrong_value_is_rejected_by_reason(
    path: TradingPath, changes: dict[str, Any], reason: Reason
) -> None:
    order = msgspec.structs.replace(limit_order("alice", codes.BUY, MARK, 10), **changes)
    path.send(order, 2)
    report = path.report(order.client_order_id)
    assert (report.exec_type, report.order_status) == (codes.EXEC_REJECTED, codes.REJECTED)
    assert Reason(report.reason) is reason
    still_trades(path, 2)


def test_an_account_nobody_opened_is_told_so(path: TradingPath) -> None:
    order = limit_order("nobody", codes.BUY, MARK, 10)
    path.send(order)
    report = path.report(order.client_order_id)
    assert report.exec_type == codes.EXEC_COMMAND_REJECTED
    assert (Reason(report.reason), report.account_sequence) == (Reason.UNKNOWN_ACCOUNT, 0)


def test_a_short_sale_of_an_account_that_may_not_is_rejected(path: TradingPath) -> None:
    order = limit_order("carol", codes.SELL, MARK, 10)
    path.send(order)
    assert Reason(path.report(order.client_order_id).reason) is Reason.SHORT_NOT_ALLOWED


def test_a_command_on_the_wrong_partition_is_taken_all_the_same(path: TradingPath) -> None:
    order = limit_order("alice", codes.BUY, MARK - 90_000, 1)
    path.send(order, 4)
    assert path.report(order.client_order_id).exec_type == codes.EXEC_NEW


def test_orders_of_others_and_of_nobody_cannot_be_touched(path: TradingPath) -> None:
    order = limit_order("alice", codes.BUY, MARK - 80_000, 5)
    path.send(order)
    order_id = path.report(order.client_order_id, codes.EXEC_NEW).order_id
    strange = make_order_id("alice", "never", "AAPL")
    attempts: list[Any] = [
        CancelOrder("bob", "b-1", order_id),
        ReduceOrder("bob", "b-2", order_id, 1),
        ReplaceOrder("bob", "b-3", order_id, MARK, 1),
        CancelOrder("alice", "a-1", strange),
        CancelOrder("alice", "a-2", "no-such-id"),
    ]
    for attempt in attempts:
        path.send(attempt)
        report = path.report(attempt.client_command_id)
        assert report.exec_type == codes.EXEC_COMMAND_REJECTED
        assert Reason(report.reason) is Reason.UNKNOWN_ORDER
    path.send(CancelOrder("alice", "a-3", order_id))
    assert path.report("a-3").exec_type == codes.EXEC_CANCELED
    assert [report.exec_type for report in path.reports(order_id)] == [
        codes.EXEC_NEW,
        codes.EXEC_CANCELED,
    ]


def test_old_records_sent_again_change_nothing(path: TradingPath) -> None:
    order = limit_order("alice", codes.BUY, MARK - 70_000, 5)
    value = path.codec.encode_command("orders", order)
    path.send_raw(value, 0)
    first = path.report(order.client_order_id, codes.EXEC_NEW)
    path.send_raw(value, 3)
    again = path.report(order.client_order_id, codes.EXEC_ORDER_STATUS)
    assert (again.order_id, again.order_status) == (first.order_id, codes.NEW)
    assert again.remaining_quantity == 5
    path.send(msgspec.structs.replace(order, quantity=6))
    conflict = path.report(order.client_order_id, codes.EXEC_COMMAND_REJECTED)
    assert Reason(conflict.reason) is Reason.DUPLICATE_CONFLICT


def test_a_strangers_open_transaction_does_not_stop_the_partition(path: TradingPath) -> None:
    stranger = Producer(
        {
            "bootstrap.servers": path.addresses.kafka_bootstrap,
            "transactional.id": "stranger",
            "transaction.timeout.ms": 10_000,  # the longest the broker allows
        }
    )
    stranger.init_transactions(10)
    stranger.begin_transaction()
    hidden = limit_order("alice", codes.BUY, MARK - 60_000, 7)
    stranger.produce(
        path.prefix + "orders", path.codec.encode_command("orders", hidden), partition=0
    )
    stranger.flush(10)
    behind = limit_order("bob", codes.BUY, MARK - 60_000, 8)
    path.send(behind, 0)
    still_trades(path, 1)
    assert path.report(behind.client_order_id).exec_type == codes.EXEC_NEW
    assert path.reports(make_order_id("alice", hidden.client_order_id, "AAPL")) == []
