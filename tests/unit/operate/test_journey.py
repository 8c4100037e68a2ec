"""An order's way, read back by origins from a log that the rooms' own folds wrote."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.events import ExecutionReport
from services.runtime.ports import TopicPartition
from services.tools.operate.journey import HOPS_MAX, Hop, Place, ends_of, trace
from services.tools.operate.present import print_hops
from services.wire import topics
from tests.support.memory_exchange import MARK, MemoryExchange


def order(account: str, side: int, quantity: int = 100) -> PlaceOrder:
    return PlaceOrder(
        account=account, client_order_id=f"{account}-1", ticker="AAPL", side=side,
        order_type=codes.LIMIT, time_in_force=codes.GTC, post_only=False, price=MARK,
        quantity=quantity, self_trade_prevention=codes.CANCEL_RESTING,
    )  # fmt: skip


@pytest.fixture(scope="module")
def exchange() -> MemoryExchange:
    """One in which bob's sell rests and alice's buy takes it."""
    exchange = MemoryExchange()
    exchange.begin(accounts=("alice", "bob"))
    for command in (order("bob", codes.SELL), order("alice", codes.BUY)):
        exchange.publish(topics.ORDERS.name, 0, "AAPL", command)
        exchange.run()
    return exchange


def reports_of(exchange: MemoryExchange, account: str) -> list[Place]:
    found = []
    for record in exchange.records(topics.EXECUTIONS.name):
        report = exchange.codec.decode(record.topic, record.value).payload
        if isinstance(report, ExecutionReport) and report.account == account:
            found.append(Place(record.topic, record.partition, record.offset))
    return found


def says(hops: Sequence[Hop]) -> list[tuple[str, str, str]]:
    return [(hop.topic, hop.message, hop.writer) for hop in hops]


def test_a_resting_orders_way_goes_from_its_command_to_its_report(
    exchange: MemoryExchange,
) -> None:
    new, *_ = reports_of(exchange, "bob")
    assert says(trace(exchange.reader, exchange.codec, [new])) == [
        ("orders", "PlaceOrder", "client"),
        ("accounts", "PlaceOrder", "ingest"),
        ("matching", "EnterOrder", "risk"),
        ("accounts", "OrderAccepted", "matcher"),
        ("executions", "ExecutionReport", "risk"),
    ]


def test_times_rise_along_the_way_and_their_differences_add_up(exchange: MemoryExchange) -> None:
    hops = trace(exchange.reader, exchange.codec, reports_of(exchange, "alice"))
    first, last = hops[0], hops[-1]
    assert (first.since_first_ms, first.since_cause_ms) == (0, None)
    assert all(after.time_ms >= hop.time_ms for hop, after in pairwise(hops)
               if hop.time_ms is not None and after.time_ms is not None)  # fmt: skip
    assert all(hop.since_cause_ms is not None and hop.since_cause_ms > 0 for hop in hops[1:])
    assert last.time_ms is not None
    assert first.time_ms is not None
    assert last.since_first_ms == last.time_ms - first.time_ms > 0


def test_what_several_reports_share_stands_there_once(exchange: MemoryExchange) -> None:
    reports = reports_of(exchange, "alice")
    hops = trace(exchange.reader, exchange.codec, [*reports, *reports])
    assert len(reports) == 2, "NEW and its fill"
    assert len({hop.place for hop in hops}) == len(hops)
    assert sum(hop.topic == "orders" for hop in hops) == 1


def test_a_passive_fill_shows_whose_order_caused_it(exchange: MemoryExchange) -> None:
    *_, fill = reports_of(exchange, "bob")
    hops = trace(exchange.reader, exchange.codec, [fill])
    command = exchange.records(topics.ORDERS.name)[1]
    assert hops[0].place == Place("orders", command.partition, command.offset)
    assert "OrderFilled" in [hop.message for hop in hops]


def test_what_the_log_no_longer_has_is_a_place_without_a_time() -> None:
    exchange = MemoryExchange()
    exchange.begin(accounts=("alice",))
    exchange.publish(topics.ORDERS.name, 0, "AAPL", order("alice", codes.BUY))
    exchange.run()
    at = TopicPartition(topics.ORDERS.name, 0)
    exchange.log.drop_records(at, exchange.log.end_offset(at))
    hops = trace(exchange.reader, exchange.codec, reports_of(exchange, "alice"))
    gone = [hop for hop in hops if hop.time_ms is None]
    assert says(gone) == [("orders", "", "")]
    following = next(hop for hop in hops if hop.topic == "accounts")
    assert (following.since_first_ms, following.since_cause_ms) == (0, None)


def test_an_order_in_json_is_named_as_such() -> None:
    exchange = MemoryExchange()
    exchange.begin(accounts=("alice",))
    fields = {
        "type": "PlaceOrder", "account": "alice", "client_order_id": "j-1", "ticker": "AAPL",
        "side": "BUY", "order_type": "LIMIT", "time_in_force": "GTC", "price": "187.20",
        "quantity": 1,
    }  # fmt: skip
    exchange.publish_raw(topics.ORDERS.name, 0, json.dumps(fields).encode())
    exchange.run()
    hops = trace(exchange.reader, exchange.codec, reports_of(exchange, "alice"))
    assert (hops[0].message, hops[0].writer) == ("JSON", "client")


def test_a_way_has_an_end_however_many_reports_there_are() -> None:
    exchange = MemoryExchange()
    exchange.begin(accounts=("alice",))
    for _ in range(HOPS_MAX):
        exchange.publish(topics.ORDERS.name, 0, "AAPL", order("alice", codes.BUY))
    exchange.run()
    hops = trace(exchange.reader, exchange.codec, reports_of(exchange, "alice"))
    assert len(hops) == HOPS_MAX


def test_the_table_has_a_line_for_each_record(
    exchange: MemoryExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"partition": reports_of(exchange, "bob")[0].partition, "offset": 0}
    ends = ends_of([], [row | {"offset": reports_of(exchange, "bob")[0].offset}], [])
    hops = trace(exchange.reader, exchange.codec, ends)
    print_hops(hops)
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert title == "its way through the log"
    assert "after its cause" in head
    assert [line.split()[-1] for line in lines] == [str(hop.place) for hop in hops]
    print_hops([])
    assert capsys.readouterr().out == ""
