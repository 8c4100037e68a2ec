import msgspec
import pytest

from services.domain.events import Trade
from services.domain.features import FeatureRow
from services.domain.origin import TRADES, Origin
from services.features.core import PartitionFold
from services.wire.codec import Decoded, local_codec
from services.wire.messages import Message
from tests.support.trade_tape import V1, V2, TradeTape, live_sets

CODEC = local_codec()


def trades(count: int, seed: int = 1, partition: int = 0) -> list[tuple[int, Decoded[Trade]]]:
    """By offset, with gaps as transactions leave them."""
    tape = TradeTape(partition, seed)
    made = (tape.next() for _ in range(count))
    return [(number * 2, Decoded(origin, trade, 0)) for number, (origin, trade) in enumerate(made)]


def fold_all(fold: PartitionFold, given: list[tuple[int, Decoded[Trade]]]) -> list[Message]:
    return [message for offset, trade in given for message in fold.handle(offset, trade)]


def row_of(message: Message) -> FeatureRow:
    assert isinstance(message.payload, FeatureRow)
    return message.payload


def encoded(messages: list[Message]) -> list[bytes]:
    return [CODEC.encode(m.topic, m.origin, m.payload) for m in messages]


def test_a_row_says_which_trade_closed_it_and_goes_to_its_partition_under_its_ticker() -> None:
    given = trades(60)
    closed = fold_all(PartitionFold(0, live_sets(V1)), given)
    first = closed[0]
    offset, trade = next(found for found in given if found[0] == first.origin.offset)
    assert trade.origin is not None
    assert first.origin == Origin(TRADES, 0, offset, 0, 0, trade.origin.time_us, 0)
    assert (first.topic, first.partition, first.key) == ("features", 0, "AAPL")
    assert row_of(first).feature_set == V1
    assert row_of(first).fingerprint == live_sets(V1)[0].fingerprint
    assert row_of(first).grid_time_us <= trade.origin.time_us


def test_rows_that_one_trade_closes_are_counted_for_each_set() -> None:
    closed = fold_all(PartitionFold(0, live_sets(V1, V2)), trades(40))
    assert closed
    places: dict[tuple[int, str], list[int]] = {}
    for message in closed:
        place = (message.origin.offset, row_of(message).feature_set)
        places.setdefault(place, []).append(message.origin.index)
    assert all(indexes == list(range(len(indexes))) for indexes in places.values())


def test_a_second_set_beside_it_leaves_a_set_s_bytes_as_they_were() -> None:
    given = trades(300)
    alone = fold_all(PartitionFold(0, live_sets(V1)), given)
    both = fold_all(PartitionFold(0, live_sets(V1, V2)), given)
    assert {row_of(m).feature_set for m in both} == {V1, V2}
    assert encoded([m for m in both if row_of(m).feature_set == V1]) == encoded(alone)


def test_a_trade_that_is_delivered_again_is_passed_over() -> None:
    given = trades(100)
    once, again = PartitionFold(0, live_sets(V1)), PartitionFold(0, live_sets(V1))
    rows = fold_all(once, given)
    repeated = [found for place in range(100) for found in given[max(0, place - 3) : place + 1]]
    assert encoded(fold_all(again, repeated)) == encoded(rows)
    assert again.states() == once.states()


def test_a_trade_that_is_missing_stops_the_fold_and_says_where() -> None:
    given = trades(10)
    fold = PartitionFold(0, live_sets(V1))
    fold_all(fold, given[:4])
    with pytest.raises(AssertionError, match="trades/0 offset 10 has sequence 6 after 4"):
        fold.handle(*given[5])


def test_the_first_trade_of_a_restored_fold_may_have_any_sequence() -> None:
    given = trades(10)
    fold = PartitionFold(0, live_sets(V1))
    fold_all(fold, given[5:])
    assert fold.next_offset == given[-1][0] + 1


def test_trades_of_a_writer_that_counts_nothing_are_folded() -> None:
    """A replay of history keeps no sequence."""
    given = [
        (offset, Decoded(msgspec.structs.replace(trade.origin, sequence=0), trade.payload, 0))
        for offset, trade in trades(50)
        if trade.origin is not None
    ]
    assert fold_all(PartitionFold(0, live_sets(V1)), given)


def test_a_second_ticker_in_a_partition_stops_the_fold() -> None:
    fold = PartitionFold(0, live_sets(V1))
    fold.handle(*trades(1)[0])
    _, stranger = trades(1, partition=1)[0]
    with pytest.raises(AssertionError, match="is of MSFT, and the partition is AAPL's"):
        fold.handle(2, stranger)


def test_a_time_that_falls_stops_the_fold() -> None:
    (first, early), (second, late) = trades(2)
    assert early.origin is not None
    assert late.origin is not None
    time_us = early.origin.time_us - 1
    earlier = Decoded(msgspec.structs.replace(late.origin, time_us=time_us), late.payload, 0)
    fold = PartitionFold(0, live_sets(V1))
    fold.handle(first, early)
    with pytest.raises(AssertionError, match="time"):
        fold.handle(second, earlier)


def test_a_cold_set_holds_its_rows_back_until_they_depend_on_nothing_before() -> None:
    given = trades(600)
    all_rows = fold_all(PartitionFold(0, live_sets(V1)), given)
    cold = fold_all(PartitionFold(0, live_sets(V1), (V1,)), given[300:])
    assert cold, "it comes to depend on nothing before"
    assert encoded(cold) == encoded(all_rows)[-len(cold) :]
    since = row_of(cold[0]).grid_time_us
    held_back = [
        message
        for message in all_rows
        if message.origin.offset >= given[300][0] and row_of(message).grid_time_us < since
    ]
    assert held_back
