from zlib import crc32

import pytest
from structlog.contextvars import get_contextvars

from services.domain.commands import CancelAll, CancelOrder, PlaceOrder
from services.domain.genesis import default_genesis
from services.door.problems import ProblemError
from services.gateway.desk import command_id_of, order_id_of, orders_partition
from services.gateway.ports import LogUnavailableError, OutcomeUnknownError
from tests.support.gateway_memory import MemoryCommandLog, make_gateway

ORDER = PlaceOrder("alice", "a-1", "AAPL", 1, 2, 1, post_only=False, price=1, quantity=2,
                   self_trade_prevention=0)  # fmt: skip


def test_a_shipped_ticker_has_the_partition_its_genesis_gives_it() -> None:
    places = {i.ticker: i.partition for i in default_genesis().instruments}
    assert {ticker: orders_partition(ticker) for ticker in places} == places


def test_any_other_key_has_a_partition_that_never_changes() -> None:
    assert orders_partition("IBM") == crc32(b"IBM") % 5


async def test_an_order_and_its_cancel_go_to_the_same_partition() -> None:
    log = MemoryCommandLog()
    desk = make_gateway(log).desk
    order_id = order_id_of(ORDER)
    await desk.take(ORDER, 0)
    await desk.take(CancelOrder("alice", "c-1", order_id), 0)
    await desk.take(CancelAll("alice", "c-2", "AAPL"), 0)
    await desk.take(CancelAll("alice", "c-3", ""), 0)
    assert [(place, key) for place, key, _ in log.records][:3] == [(0, b"AAPL")] * 3
    assert log.records[3][1] == b"alice"


@pytest.mark.parametrize("command", [ORDER, CancelOrder("alice", "c-1", "AAPL-1")])
async def test_an_unknown_outcome_says_how_to_learn_it(command: PlaceOrder | CancelOrder) -> None:
    log = MemoryCommandLog()
    log.failure = OutcomeUnknownError("no answer within 5 ms")
    with pytest.raises(ProblemError) as raised:
        await make_gateway(log).desk.take(command, 0)
    assert raised.value.reason == "OUTCOME_UNKNOWN"
    assert raised.value.members["order_id"] == order_id_of(command)
    assert command_id_of(command) in raised.value.members.values()


async def test_an_order_is_shown_only_once_it_is_durable() -> None:
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    log.failure = LogUnavailableError("away")
    with pytest.raises(ProblemError):
        await gateway.desk.take(ORDER, 0)
    assert gateway.viewer.order("alice", order_id_of(ORDER)) is None
    log.failure = None
    await gateway.desk.take(ORDER, 0)
    view = gateway.viewer.order("alice", order_id_of(ORDER))
    assert view is not None
    assert view["status"] == "PENDING_NEW"


async def test_a_desk_that_stops_takes_nothing_more() -> None:
    log = MemoryCommandLog()
    desk = make_gateway(log).desk
    desk.stopping = True
    with pytest.raises(ProblemError) as raised:
        await desk.take(ORDER, 0)
    assert raised.value.reason == "STOPPING"
    assert log.records == []
    assert get_contextvars()["order_id"] == order_id_of(ORDER), "in lines about a refusal, too"
