"""The crowd in another regime: from one record to the next, and only where it is told to."""

from collections import Counter
from itertools import islice
from statistics import median

import pytest

from services.domain.commands import PlaceOrder
from services.domain.genesis import TICKERS
from services.tools.market.commands import RegimeName
from services.tools.market.population import crowd_controls, participants
from services.tools.market.regimes import REGIMES, USUAL
from services.tools.market.simulator import Crowd, Outbound, turning
from services.wire.partition import account_partition
from services.wire.topics import ACCOUNT_PARTITIONS

TURN_AFTER = 2_000


def turned(name: str, count: int = 8_000) -> list[Outbound]:
    commands = turning(Crowd(7, REGIMES["foreseen"]), TURN_AFTER, REGIMES[name])
    return list(islice(commands, count))


def sizes(stream: list[Outbound]) -> list[int]:
    return [one.payload.quantity for one in stream if isinstance(one.payload, PlaceOrder)]


def test_every_regime_can_be_typed_and_does_what_no_other_does() -> None:
    assert {str(name) for name in RegimeName} == set(REGIMES)
    assert len(set(REGIMES.values())) == len(REGIMES)


def test_a_crowd_that_turns_to_what_it_was_sends_what_it_would_have_sent() -> None:
    kept = list(islice(turning(Crowd(7), TURN_AFTER, USUAL), 4_000))
    assert kept == list(islice(Crowd(7).commands(), 4_000))


def test_nothing_is_other_before_the_turn_and_the_next_record_may_be() -> None:
    before, after = turned("foreseen"), turned("turned")
    assert after[:TURN_AFTER] == before[:TURN_AFTER]
    assert after[TURN_AFTER : TURN_AFTER + 20] != before[TURN_AFTER : TURN_AFTER + 20]
    assert median(sizes(after[TURN_AFTER:])) > 2 * median(sizes(before[TURN_AFTER:]))


@pytest.mark.parametrize("name", ["foreseen", "turned"])
def test_informed_accounts_take_by_what_they_know_or_against_it(name: str) -> None:
    crowd = Crowd(7)
    taken = Counter[int]()
    for one in islice(turning(crowd, TURN_AFTER, REGIMES[name]), 8_000):
        order = one.payload
        is_fresh = one.kind in ("market", "ioc", "fok") and one.index >= TURN_AFTER
        if is_fresh and isinstance(order, PlaceOrder) and order.account.startswith("informed"):
            taken[order.side * crowd._mids[order.ticker].known] += 1
    informed = REGIMES[name].informed
    assert taken[informed] > 100
    assert taken[-informed] == 0


@pytest.mark.parametrize("shard", range(ACCOUNT_PARTITIONS))
def test_all_accounts_of_a_shard_are_of_it_and_it_alone_lets_them_in(shard: int) -> None:
    accounts = participants(7, shard)
    assert len({each.account for each in accounts}) == len(participants(7))
    assert {account_partition(each.account, ACCOUNT_PARTITIONS) for each in accounts} == {shard}
    admitted = {getattr(control, "account", None) for control in crowd_controls(7, shard)}
    assert admitted >= {each.account for each in accounts}
    sent = islice(Crowd(7, tickers=("AAPL",), shard=shard).commands(), 500)
    orders = [one.payload for one in sent if isinstance(one.payload, PlaceOrder)]
    assert {order.account for order in orders} <= {each.account for each in accounts}
    assert {order.ticker for order in orders if order.ticker in TICKERS} == {"AAPL"}
