"""The benchmark of snapshots fills its rooms as it says."""

import pytest

from services.domain import origin
from services.domain.events import OrderAccepted
from services.matcher.core import MatcherCore
from services.risk.core import RiskCore
from services.tools.bench.full_rooms import Inbox, account_commands, matching_commands
from services.tools.bench.snapshots import run_snapshots_bench, snapshots_table

ORDERS = 2_500


def test_every_order_of_the_full_book_rests() -> None:
    core, inbox = MatcherCore(0), Inbox(origin.ACCOUNTS)
    said = [
        message.payload
        for offset, payload in enumerate(matching_commands(ORDERS))
        for message in core.handle(offset, inbox.say(payload))
    ]
    assert sum(isinstance(payload, OrderAccepted) for payload in said) == len(said) == ORDERS
    assert len(core._book.orders) == ORDERS


def test_every_order_in_full_risk_is_live_beside_as_many_remembered_commands() -> None:
    core, inbox = RiskCore(0), Inbox(origin.ORDERS)
    for offset, payload in enumerate(account_commands(ORDERS)):
        core.handle(offset, inbox.say(payload))
    shard = core._shard
    assert shard.live_count == ORDERS
    assert len(shard.ended) - len(shard.accounts) == ORDERS


@pytest.mark.long
def test_each_room_is_measured_at_each_size() -> None:
    figures = run_snapshots_bench([100, 200], repeats=2)
    assert [(row.room, row.orders) for row in figures] == [
        ("matcher", 100), ("risk", 100), ("matcher", 200), ("risk", 200),
    ]  # fmt: skip
    assert all(0 < row.pause.min_ms <= row.pause.median_ms <= row.pause.max_ms for row in figures)
    assert figures[1].state_bytes < figures[3].state_bytes
    assert snapshots_table(figures).row_count == 4


@pytest.mark.parametrize("sizes,repeats", [([], 1), ([0], 1), ([10], 0)])
def test_nothing_to_measure_is_refused(sizes: list[int], repeats: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        run_snapshots_bench(sizes, repeats)
