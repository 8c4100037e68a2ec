from random import Random

import pytest

from services.domain import codes
from services.gateway.core.fills import Fills
from services.gateway.core.order_lists import OrderLists
from services.gateway.core.sequence_list import SequenceList


@pytest.mark.parametrize("seed", range(5))
def test_a_list_is_what_a_plain_one_would_be_however_much_is_dropped(seed: int) -> None:
    random = Random(seed)
    plain: list[tuple[int, str]] = []
    kept: SequenceList[str] = SequenceList()
    number = 0
    for _ in range(3_000):
        if plain and random.random() < 0.48:
            plain.pop(0)
            kept.drop_oldest()
        else:
            number += random.randint(1, 3)
            plain.append((number, f"item {number}"))
            kept.append(number, f"item {number}")
    below = random.randint(0, number + 5)
    assert len(kept) == len(plain)
    assert list(kept.before(None)) == plain[::-1]
    assert list(kept.before(below)) == [row for row in plain[::-1] if row[0] < below]
    assert len(kept._numbers) <= 2 * len(plain) + 65


def test_a_number_that_does_not_rise_is_left_out() -> None:
    kept: SequenceList[str] = SequenceList()
    for number, item in ((5, "a"), (5, "again"), (3, "older"), (6, "b")):
        kept.append(number, item)
    assert list(kept.before(None)) == [(6, "b"), (5, "a")]


def test_an_order_keeps_its_place_whatever_becomes_of_it() -> None:
    lists = OrderLists()
    lists.note("alice", 1, "AAPL-1", codes.NEW)
    lists.note("alice", 2, "AAPL-2", codes.NEW)
    lists.note("alice", 3, "AAPL-1", codes.FILLED)
    lists.note("alice", 4, "AAPL-1", codes.FILLED)
    assert list(lists.before("alice", None)) == [
        (2, "AAPL-2", codes.NEW), (1, "AAPL-1", codes.FILLED),
    ]  # fmt: skip
    assert list(lists.before("bob", None)) == []


def test_an_id_that_is_used_again_is_a_new_order_at_a_new_place() -> None:
    lists = OrderLists()
    lists.note("alice", 1, "AAPL-1", codes.FILLED)
    lists.note("alice", 2, "AAPL-2", codes.NEW)
    lists.note("alice", 3, "AAPL-1", codes.NEW)
    assert [row[:2] for row in lists.before("alice", None)] == [(3, "AAPL-1"), (2, "AAPL-2")]


def test_places_of_forgotten_orders_do_not_pile_up() -> None:
    lists = OrderLists()
    lists.note("alice", 1, "AAPL-live", codes.NEW)
    for number in range(2, 2_000):
        lists.note("alice", number, f"AAPL-{number}", codes.CANCELED)
        if number > 10:
            lists.forget("alice", f"AAPL-{number - 8}")
    assert len(lists._sequences["alice"]) < 100
    found = [order_id for _, order_id, _ in lists.before("alice", None)]
    assert found == [f"AAPL-{number}" for number in range(1_999, 1_991, -1)] + [
        "AAPL-2", "AAPL-live",
    ]  # fmt: skip


def test_an_account_whose_orders_are_all_forgotten_takes_no_room() -> None:
    lists = OrderLists()
    lists.note("alice", 1, "AAPL-1", codes.FILLED)
    lists.forget("alice", "AAPL-1")
    lists.forget("alice", "AAPL-1")
    assert not lists._places
    assert not lists._sequences


def test_the_oldest_fills_of_all_accounts_are_forgotten_first() -> None:
    fills = Fills(kept=3)
    for number in range(1, 5):
        fills.note("alice", number, b"a")
        fills.note("bob", number, b"b")
    assert len(fills) == 3
    assert [number for number, _ in fills.before("alice", None)] == [4]
    assert [number for number, _ in fills.before("bob", None)] == [4, 3]
    fills.note("carol", 1, b"c")
    fills.note("carol", 2, b"c")
    assert "alice" not in fills._accounts
