import io
from typing import Any

import pytest
from rich.console import Console

from services.domain import codes
from services.domain.commands import CancelOrder, PlaceOrder
from services.runtime.ports import TopicPartition
from services.tools.demo.figures import WATCHED, Figures, Latency, summarise
from services.tools.demo.screen import Screen, show_latency
from services.tools.operate.exchange import Seen
from services.wire.codec import Decoded
from tests.support.memory_exchange import MARK, MemoryExchange

NOW_US = 1_700_000_001_000_000
SECOND_US = 1_000_000


def order(account: str, command_id: str, side: int, quantity: int = 100) -> PlaceOrder:
    return PlaceOrder(
        account, command_id, "AAPL", side, codes.LIMIT, codes.GTC, False, MARK, quantity, 0
    )  # fmt: skip


def seen(topic: str, payload: Any, timestamp_ms: int = 0) -> Seen:  # noqa: ANN401 - any record
    return Seen(topic, 0, 0, Decoded(None, payload, 0), timestamp_ms)


@pytest.fixture
def figures() -> Figures:
    """Of an exchange in memory: 2 orders that trade, a cancel that came too late, some junk."""
    exchange = MemoryExchange()
    exchange.begin(accounts=("ann", "bob"))
    watch = exchange.watch(
        [TopicPartition(topic.name, n) for topic in WATCHED for n in range(topic.partitions)]
    )
    assert exchange.log.clock_ms() < NOW_US // 1_000 - 100
    exchange.publish("orders", 0, "AAPL", order("ann", "a-1", codes.SELL))
    exchange.publish("orders", 0, "AAPL", order("bob", "b-1", codes.BUY, 40))
    exchange.publish("orders", 0, "AAPL", CancelOrder("bob", "c-1", "AAPL-none"))
    exchange.publish_raw("orders", 0, b"{}")
    exchange.publish_raw("orders", 0, b"{}")
    figures = Figures()
    for record in watch.poll(0):
        figures.take(record, NOW_US)
    return figures


def test_what_comes_out_is_counted(figures: Figures) -> None:
    assert (figures.trades, figures.shares, figures.dead_letters) == (1, 40, 2)
    assert figures.reports == 5  # NEW and TRADE of each order, and the cancel's refusal
    top = figures.tops["AAPL"]
    assert (top.bid, top.ask, top.ask_quantity, top.last) == (0, MARK, 60, MARK)
    assert figures.trades_per_s(NOW_US) == pytest.approx(0.1)
    assert figures.trades_per_s(NOW_US + 11 * SECOND_US) == 0


def test_latency_is_from_the_brokers_stamp_to_the_first_report_of_each_command(
    figures: Figures,
) -> None:
    latency = figures.latency()
    assert latency is not None
    # The clock of the log in memory moves a millisecond with each record.
    assert latency.answers == 3
    assert latency.p99_ms == latency.max_ms == latency.p50_ms + 1
    assert figures.recent_latency(NOW_US) == latency
    assert figures.recent_latency(NOW_US + 11 * SECOND_US) is None


def test_the_recorders_lag_is_the_reports_that_postgresql_lacks(figures: Figures) -> None:
    everything = figures.recorder_lag
    assert everything == figures.reports
    places = dict.fromkeys(range(4), 1 << 60)
    figures.note_recorded({TopicPartition("executions", 0): places[0]})
    assert figures.recorder_lag <= everything
    figures.note_recorded({TopicPartition("executions", n): end for n, end in places.items()})
    assert figures.recorder_lag == 0


def test_an_answer_to_nothing_that_was_seen_has_no_latency(figures: Figures) -> None:
    before = figures.latency()
    figures.take(seen("orders", order("eve", "e-1", codes.BUY), 5), NOW_US)
    assert figures.latency() == before


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    assert summarise([]) is None
    assert summarise([3_000]) == Latency(1, 3.0, 3.0, 3.0)
    assert summarise([n * 1_000 for n in range(100, 0, -1)]) == Latency(100, 50.0, 99.0, 100.0)
    assert show_latency(None) == "-"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_screen_shows_flow_books_and_where_to_look_on(
    figures: Figures, *, is_terminal: bool
) -> None:
    file = io.StringIO()
    console = Console(force_terminal=is_terminal, width=120, file=file)
    figures.note_orders(5)
    with Screen(console, {"gateway": "http://127.0.0.1:1"}) as screen:
        screen.show(figures, 0.0)
        figures.note_orders(1_005)
        screen.show(figures, 10.0)
    shown = file.getvalue()
    for part in ("http://127.0.0.1:1", "dead letters", "AAPL", "187.20", "recorder lag"):
        assert part in shown
    assert "100/s" in shown or "100 orders/s" in shown
