"""What `outcry bench gateway-start` records and how it shows what it found."""

from services.domain import codes
from services.tools.bench.gateway_start import (
    GatewayStart,
    StartQuestion,
    _Partition,
    gateway_start_table,
)
from services.tools.bench.tries import Spread
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import CODEC


def test_most_of_the_made_up_orders_have_ended_and_some_rest() -> None:
    part, statuses, numbers = _Partition(2, CODEC), dict[str, int](), dict[str, int]()
    for place, record in enumerate(part.records(5_000)):
        report = CODEC.decode(EXECUTIONS.name, record.value).payload
        assert (record.partition, record.offset) == (2, place)
        assert report.account_sequence == numbers.get(report.account, 0) + 1
        numbers[report.account] = report.account_sequence
        statuses[report.order_id] = report.order_status
    assert part.offset == 5_000
    live = [status for status in statuses.values() if status in codes.LIVE_STATUSES]
    assert 500 <= len(live) <= 501
    assert len(statuses) > 1_500


def test_a_row_for_each_question() -> None:
    times = Spread(1.0, 0.5, 2.0)
    rows = [StartQuestion(200_000, source, 50_000, times, times) for source in ("a", "b")]
    assert gateway_start_table(GatewayStart(50_000, 3, (1.0, 2.0), rows)).row_count == 2
