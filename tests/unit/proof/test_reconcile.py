"""A reconciliation of an exchange in memory: whole as it is, and with each kind of loss planted."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from services.domain import codes
from services.domain.commands import CancelAll, CancelOrder, PlaceOrder, ReduceOrder, ReplaceOrder
from services.domain.controls import Deposit, Halt, KillSwitch, SetLimits
from services.domain.ids import make_order_id
from services.runtime.memory import MemoryReader
from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.proof.reconcile import Reconciliation, reconcile
from services.wire import topics
from services.wire.messages import Payload
from tests.support.memory_exchange import MARK, MemoryExchange, MemoryRows


def order(account: str, number: int, side: int, price: int, **changes: object) -> PlaceOrder:
    fields: dict[str, object] = {
        "account": account,
        "client_order_id": f"{account}-{number}",
        "ticker": "AAPL",
        "side": side,
        "order_type": codes.LIMIT,
        "time_in_force": codes.GTC,
        "post_only": False,
        "price": price,
        "quantity": 100,
        "self_trade_prevention": codes.CANCEL_RESTING,
    }
    return PlaceOrder(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def order_id(account: str, number: int) -> str:
    return make_order_id(account, f"{account}-{number}", "AAPL")


@pytest.fixture
def exchange() -> MemoryExchange:
    """A little of everything that can happen, and quiet again."""
    exchange = MemoryExchange()
    exchange.begin(accounts=("ann", "bob"))
    commands: Sequence[Payload] = (
        order("ann", 1, codes.SELL, MARK),
        order("ann", 2, codes.SELL, MARK + 100, quantity=300),
        order("bob", 1, codes.BUY, MARK, quantity=50),
        order("bob", 2, codes.BUY, MARK + 100, quantity=100, time_in_force=codes.IOC),
        order("bob", 3, codes.BUY, MARK - 100),
        order("bob", 3, codes.BUY, MARK - 100),  # sent again
        order("bob", 3, codes.BUY, MARK - 200),  # the same id, another order
        order("bob", 4, codes.BUY, MARK - 50),  # off tick
        order("bob", 5, codes.BUY, MARK, ticker="NONE"),
        order("bob", 6, codes.BUY, 0, order_type=codes.MARKET, time_in_force=codes.IOC),
        order("eve", 1, codes.BUY, MARK),  # nobody opened this account
        ReduceOrder("ann", "reduce-1", order_id("ann", 2), 250),
        ReplaceOrder("bob", "replace-1", order_id("bob", 3), MARK - 300, 80),
        CancelOrder("bob", "cancel-1", order_id("bob", 3)),
        CancelOrder("bob", "cancel-2", order_id("bob", 3)),
        CancelOrder("bob", "cancel-3", "AAPL-unknown"),
        CancelAll("bob", "all-1", ""),
    )
    for command in commands:
        exchange.publish(topics.ORDERS.name, 0, "AAPL", command)
        exchange.run()
    for junk in (b"", b"\x00\x00", b"{}", b"nonsense"):
        exchange.publish_raw(topics.ORDERS.name, 3, junk)
    exchange.publish_raw(topics.CONTROLS.name, 0, b"nonsense")
    for control in (
        Deposit("deposit-1", "ann", "MSFT", 500),
        SetLimits("limits-1", "ann", "", 1_000, -1, -1, -1),
        Halt("halt-1", "TSLA"),
        KillSwitch("kill-1", "ann", engaged=True),
    ):
        exchange.publish(topics.CONTROLS.name, 0, "", control)
    exchange.run()
    return exchange


class HoledReader:
    """A log in which records that `is_lost` says so are not there."""

    def __init__(self, inner: MemoryReader, is_lost: Callable[[Record], bool]) -> None:
        self._inner = inner
        self._is_lost = is_lost

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return self._inner.bounds(partition)

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        for records in self._inner.read(partition, start, end):
            yield [record for record in records if not self._is_lost(record)]

    def topic_id(self, topic: str) -> str:
        return self._inner.topic_id(topic)

    def close(self) -> None:
        self._inner.close()


def reconciled(
    exchange: MemoryExchange, log: LogReader | None = None, rows: MemoryRows | None = None
) -> Reconciliation:
    return reconcile(log or exchange.reader, exchange.codec, rows or MemoryRows(exchange))


def without(exchange: MemoryExchange, topic: str, number: int = 0) -> LogReader:
    """The log without one record of a topic."""
    lost = exchange.records(topic)[number]
    return HoledReader(exchange.reader, lambda record: record == lost)


def broken(found: Reconciliation) -> set[str]:
    return {check.name for check in found.checks if not check.holds}


def test_an_exchange_that_lost_nothing_is_whole(exchange: MemoryExchange) -> None:
    found = reconciled(exchange)
    assert found.is_whole, [check for check in found.checks if not check.holds]
    assert all(check.counted for check in found.checks)
    figures = found.figures
    assert figures["records published"] == 21
    assert figures["commands"] == 17
    assert figures["dead letters"] == 5
    assert figures["trades"] == len(exchange.records("trades")) == 4
    fates = [figures[f"orders {fate}"] for fate in ("filled", "canceled", "rejected", "open")]
    assert fates == [4, 2, 2, 0]


def test_an_empty_exchange_is_whole() -> None:
    assert reconciled(MemoryExchange()).is_whole


def test_work_that_is_not_done_yet_counts_as_lost(exchange: MemoryExchange) -> None:
    published = exchange.publish("orders", 2, "AAPL", order("bob", 9, codes.BUY, MARK))
    found = reconciled(exchange)
    assert broken(found) == {"commands"}
    assert found.checks[0].examples == [f"{published} caused 0 messages and owes 1"]


@pytest.mark.parametrize(
    "topic,number,complaints",
    [
        ("orders.dlq", 0, {"commands"}),
        ("orders", 0, {"commands"}),
        ("accounts", 12, {"commands", "decisions", "recorded", "archived"}),
        ("matching", -1, {"matches", "archived", "sequences"}),
        ("executions", 5, {"sequences", "recorded"}),
        ("trades", 0, {"fills", "recorded", "sequences"}),
    ],
)
def test_a_record_missing_from_the_log_is_found(
    exchange: MemoryExchange, topic: str, number: int, complaints: set[str]
) -> None:
    found = reconciled(exchange, without(exchange, topic, number))
    assert complaints & broken(found)
    assert not found.is_whole


@pytest.mark.parametrize(
    "table",
    [
        "orders", "cancels", "amendments", "executions", "account_states", "trades",
        "archive of controls", "archive of accounts", "archive of matching",
    ],
)  # fmt: skip
def test_a_missing_row_is_found_and_named(exchange: MemoryExchange, table: str) -> None:
    rows = MemoryRows(exchange)
    place = next(place for place in sorted(rows.kept) if place[0] == table)
    offset = rows.kept[place].pop()
    found = reconciled(exchange, rows=rows)
    check = next(check for check in found.checks if not check.holds)
    assert broken(found) == {"archived" if table.startswith("archive") else "recorded"}
    assert check.faults == 1
    assert f"-{place[1]}@{offset} has no row" in check.examples[0]


def test_a_row_of_no_record_is_found(exchange: MemoryExchange) -> None:
    rows = MemoryRows(exchange)
    offsets = rows.kept["trades", 0]
    offsets[:] = sorted([*offsets, offsets[0] + 1])
    found = reconciled(exchange, rows=rows)
    assert broken(found) == {"recorded"}


def test_a_dead_letter_written_twice_is_found(exchange: MemoryExchange) -> None:
    letter = exchange.records("orders.dlq")[0]
    exchange.publish_raw("orders.dlq", letter.partition, letter.value or b"")
    assert broken(reconciled(exchange)) == {"commands"}


def test_an_execution_said_twice_is_found(exchange: MemoryExchange) -> None:
    report = exchange.records("executions")[-1]
    exchange.publish_raw("executions", report.partition, report.value or b"")
    assert "sequences" in broken(reconciled(exchange))


def test_junk_that_a_stranger_writes_into_an_inbox_loses_nothing(
    exchange: MemoryExchange,
) -> None:
    exchange.publish_raw("accounts", 1, b"nonsense")
    exchange.publish_raw("matching", 1, b"nonsense")
    exchange.run()
    found = reconciled(exchange)
    assert found.is_whole
    assert found.figures["junk in accounts"] == 1


def test_what_retention_took_away_is_not_called_lost(exchange: MemoryExchange) -> None:
    rows = MemoryRows(exchange)
    for topic in topics.TOPICS:
        for place in exchange.log.partitions_of(topic.name):
            if topic.cleanup == "delete":
                exchange.log.drop_records(place, exchange.log.end_offset(place))
    found = reconciled(exchange, rows=rows)
    assert found.is_whole, [check for check in found.checks if not check.holds]
    exchange.publish("orders", 0, "AAPL", order("bob", 7, codes.BUY, MARK))
    exchange.run()
    found = reconciled(exchange)
    assert found.figures["commands"] == 1
    assert found.is_whole, [check for check in found.checks if not check.holds]
