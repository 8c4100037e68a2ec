"""Ids are functions of the input; genesis hashes and lineage ledgers."""

from uuid import UUID, uuid5

import msgspec
import pytest

from services.domain.genesis import default_genesis, find_genesis_fault, hash_genesis
from services.domain.ids import is_order_id, is_valid_id, make_order_id, ticker_of
from services.domain.lineage import Arrivals, Departures
from services.domain.origin import Origin
from services.domain.reasons import Reason


def test_the_same_submission_has_the_same_order_id_for_ever() -> None:
    order_id = make_order_id("alice", "a-1", "AAPL")
    assert order_id == "AAPL-2002e864-18b2-5fd6-a64f-0c79906a384e"
    assert ticker_of(order_id) == "AAPL"
    assert make_order_id("alicea", "-1", "AAPL") != order_id


def test_an_order_id_is_told_from_what_can_be_none() -> None:
    order_id = make_order_id("alice", "a-1", "AAPL")
    assert is_order_id(order_id)
    assert is_order_id(make_order_id("alice", "a-1", "BRK-B"))
    version = "AAPL-2002e864-18b2-4fd6-a64f-0c79906a384e"
    others = (
        "",
        "AAPL-1",
        version,
        order_id.upper(),
        order_id + "0",
        order_id + "\n",
        order_id[4:],
    )
    assert not any(is_order_id(other) for other in others)


@pytest.mark.parametrize("number", range(200))
def test_an_order_id_has_the_uuid_of_the_standard(number: int) -> None:
    space = UUID("6f9d5c0e-93a4-5b0b-9a7e-0c72a1d3e5f1")
    expected = uuid5(space, f"alice\0a-{number}")
    assert make_order_id("alice", f"a-{number}", "AAPL") == f"AAPL-{expected}"


@pytest.mark.parametrize(
    "text,valid",
    [("a", True), ("A-1_.:/", True), ("x" * 64, True), ("", False), ("x" * 65, False),
     ("a b", False), ("a\0b", False), ("é", False), ("a\n", False)],
)  # fmt: skip
def test_ids_are_short_printable_ascii(text: str, valid: bool) -> None:  # noqa: FBT001
    assert is_valid_id(text) is valid


def test_a_genesis_hash_changes_with_every_parameter() -> None:
    genesis = default_genesis()
    assert hash_genesis(genesis) == hash_genesis(default_genesis())
    assert hash_genesis(default_genesis("other")) != hash_genesis(genesis)


def test_the_shipped_genesis_has_no_fault_and_faults_are_named() -> None:
    assert find_genesis_fault(default_genesis(), 5, 4) == ""
    assert "account_partitions" in find_genesis_fault(default_genesis(), 5, 3)
    assert "instruments" in find_genesis_fault(default_genesis(), 4, 4)


@pytest.mark.parametrize(
    "size", ["accounts_max", "live_orders_max", "remembered_max", "book_orders_max",
             "sweep_orders_max"],
)  # fmt: skip
def test_a_genesis_needs_room_in_every_table(size: str) -> None:
    genesis = msgspec.structs.replace(default_genesis(), **{size: 0})
    assert find_genesis_fault(genesis, 5, 4) == "a table size is not positive"


def test_reason_numbers_are_for_ever() -> None:
    assert {reason.name: reason.value for reason in Reason} | {
        "NO_GENESIS": 1,
        "UNKNOWN_ACCOUNT": 2,
        "SHORT_NOT_ALLOWED": 33,
        "TICKER_HALTED": 60,
        "SELF_TRADE": 83,
        "SWEEP_LIMIT": 84,
    } == {reason.name: reason.value for reason in Reason}


def origin(offset: int, index: int = 0, sequence: int = 0, partition: int = 0) -> Origin:
    return Origin(0, partition, offset, index, sequence, 0, 0)


def test_arrivals_stop_at_a_repeated_or_missing_message() -> None:
    arrivals = Arrivals()
    arrivals.accept(origin(5, 0, 1))
    arrivals.accept(origin(5, 1, 2))
    arrivals.accept(origin(1, 0, 1, partition=1))
    reloaded = Arrivals.load(arrivals.dump())
    for ledger in (arrivals, reloaded):
        with pytest.raises(AssertionError, match="does not rise"):
            ledger.accept(origin(5, 1, 3))
        with pytest.raises(AssertionError, match="missing or repeated"):
            ledger.accept(origin(6, 0, 4))
    assert reloaded.dump() == arrivals.dump()


def test_departures_count_each_destination_from_one() -> None:
    departures = Departures()
    sent = [departures.next("matching", 0), departures.next("matching", 1)]
    sent += [Departures.load(departures.dump()).next("matching", 0)]
    assert sent == [1, 1, 2]
