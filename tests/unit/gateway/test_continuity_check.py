"""The check of what a client heard finds what is planted in it."""

from typing import Any

import pytest

from services.gateway.views import View
from tests.support.continuity import Follower, Topics, book_fault, series_fault

MEMBER = "trade_sequence"


def series(*numbers: int) -> list[View]:
    return [{MEMBER: number, "price": f"{number}.00"} for number in numbers]


def books(*offsets: int) -> list[View]:
    return [{"offset": offset, "bids": [offset]} for offset in offsets]


@pytest.mark.parametrize(
    "heard,found",
    [
        (series(1, 2, 3, 4), ""),
        (series(1, 2, 4), "a gap: trade_sequence 4"),
        (series(1, 2, 2, 3, 4), "a repeat: trade_sequence 2"),
        (series(1, 3, 2, 4), "a gap: trade_sequence 3"),
        (series(1, 2, 3), "heard 3 of 4"),
        (series(1, 2, 3, 4, 5), "heard 5 of 4"),
        ([*series(1, 2), {MEMBER: 3, "price": "9"}, *series(4)], "trade_sequence 3 is not what"),
    ],
)
def test_what_is_dropped_repeated_moved_or_changed_is_found(heard: list[View], found: str) -> None:
    fault = series_fault(heard, series(1, 2, 3, 4), MEMBER)
    assert fault.startswith(found)
    assert bool(fault) is bool(found)


@pytest.mark.parametrize(
    "heard,found",
    [
        (books(1, 5, 5, 9), ""),
        (books(9), ""),
        (books(5, 1, 9), "the book went back from 5 to 1"),
        (books(1, 6, 9), "no such book at offset 6"),
        ([*books(1), {"offset": 9, "bids": []}], "no such book at offset 9"),
        (books(1, 5), "the last book is of 5 and not 9"),
        ([], "no book was heard"),
    ],
)
def test_a_book_that_goes_back_or_never_was_is_found(heard: list[View], found: str) -> None:
    assert book_fault(heard, {offset: books(offset)[0] for offset in (1, 5, 9)}) == found


def test_a_change_of_a_book_that_is_not_there_is_found() -> None:
    follower, place = Follower("alice", ["AAPL"], lambda: 0), ("book", "AAPL")
    one, gone = {"price": "9.00", "quantity": 1}, {"price": "9.00", "quantity": 0}
    two = {"price": "10.00", "quantity": 2}
    first = {"offset": 3, "bids": [one], "asks": [], "status": "OPEN"}
    follower.take_book(place, {"type": "snapshot", "sequence": 3, "data": first})
    change = {"bids": [two], "asks": [], "status": "HALTED"}
    update = {"type": "update", "sequence": 5, "previous": 3, "data": change}
    follower.take_book(place, update)
    follower.take_book(place, {"type": "resumed", "sequence": 5, "data": {"after": 5}})
    last = {**update, "sequence": 6, "previous": 5, "data": {**change, "bids": [gone]}}
    follower.take_book(place, last)
    assert [book["bids"] for book in follower.heard[place]] == [[one], [two, one], [two]]
    assert follower.heard[place][1] == {**first, **change, "bids": [two, one], "offset": 5}
    assert follower.faults == []
    follower.take_book(place, update)
    assert follower.faults == ["('book', 'AAPL'): update of 3, which is not there"]


def test_a_message_left_out_and_a_resync_are_faults() -> None:
    follower = Follower("alice", ["AAPL"], lambda: 0)
    told: list[dict[str, Any]] = [{"type": "update", "data": view} for view in series(1, 2)]
    for message in told:
        follower._take(("trades", "AAPL"), message)
    follower.heard["book", "AAPL"] += books(1)
    topics = Topics({"AAPL": series(1, 2)}, {"alice": []}, {"AAPL": {1: books(1)[0]}})
    assert topics.faults_of(follower) == []
    follower._take(("trades", "AAPL"), {"type": "resync"})
    assert topics.faults_of(follower) == ["('trades', 'AAPL') can't be resumed after 2"]
