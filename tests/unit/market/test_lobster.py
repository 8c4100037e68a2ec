"""Each rule of the adapter, on a book small enough to follow by hand."""

from services.domain.codes import BUY, IOC, SELL
from services.domain.commands import CancelOrder, ClientCommand, PlaceOrder, ReduceOrder
from services.domain.ids import make_order_id
from services.tools.market.lobster import ACCOUNT, ANY_SYNTHETIC, Adapter, Step
from services.tools.market.lobster_files import (
    CROSS,
    DELETION,
    EXECUTION,
    HALT,
    HIDDEN_EXECUTION,
    NEW_ORDER,
    REDUCTION,
    BookRow,
    LobsterMessage,
)

BIDS = ((100_00, 50), (99_00, 60))
ASKS = ((101_00, 70), (102_00, 80))


def message(kind: int, order_id: int, size: int, price: int, side: int = BUY) -> LobsterMessage:
    return LobsterMessage(34_200_000_000, kind, order_id, size, price, side)


def seeded(levels: int = 2) -> Adapter:
    """An adapter that has seen the first row: s1 and s2 are its bids, s3 and s4 its asks."""
    adapter = Adapter("AAPL", levels)
    adapter.step(message(NEW_ORDER, 1, 50, 100_00), BookRow(BIDS, ASKS))
    return adapter


def order_id(client_order_id: str) -> str:
    return make_order_id(ACCOUNT, client_order_id, "AAPL")


def told(step: Step) -> list[tuple[object, ...]]:
    """The commands in short: what, who, how much."""
    return [_told(command) for command in step.commands]


def _told(command: ClientCommand) -> tuple[object, ...]:
    match command:
        case PlaceOrder():
            verb = "take" if command.time_in_force == IOC else "place"
            return verb, command.client_order_id, command.side, command.price, command.quantity
        case CancelOrder():
            return "cancel", command.order_id
        case ReduceOrder():
            return "reduce", command.order_id, command.quantity
    raise AssertionError(command)


def test_the_first_row_is_seeded_as_one_synthetic_order_a_level() -> None:
    step = Adapter("AAPL", 2).step(message(NEW_ORDER, 1, 50, 100_00), BookRow(BIDS, ASKS))
    assert told(step) == [
        ("place", "s1", BUY, 100_00, 50),
        ("place", "s2", BUY, 99_00, 60),
        ("place", "s3", SELL, 101_00, 70),
        ("place", "s4", SELL, 102_00, 80),
    ]
    assert step.synthetic == 4
    assert step.keys == tuple(order_id(f"s{i}") for i in (1, 2, 3, 4))


def test_the_book_after_the_first_row_is_the_first_row() -> None:
    assert seeded().depth() == BookRow(BIDS, ASKS)


def test_a_new_order_is_placed_under_its_own_number() -> None:
    step = seeded().step(
        message(NEW_ORDER, 7, 10, 100_00), BookRow(((100_00, 60), (99_00, 60)), ASKS)
    )
    assert told(step) == [("place", "7", BUY, 100_00, 10)]
    assert step.synthetic == 0


def test_a_reduction_states_the_resulting_total() -> None:
    adapter = seeded()
    adapter.step(message(NEW_ORDER, 7, 10, 100_00), BookRow(((100_00, 60), (99_00, 60)), ASKS))
    first = adapter.step(
        message(REDUCTION, 7, 4, 100_00), BookRow(((100_00, 56), (99_00, 60)), ASKS)
    )
    second = adapter.step(
        message(REDUCTION, 7, 4, 100_00), BookRow(((100_00, 52), (99_00, 60)), ASKS)
    )
    assert told(first) == [("reduce", order_id("7"), 6)]
    assert told(second) == [("reduce", order_id("7"), 2)]


def test_a_resulting_total_counts_what_was_filled() -> None:
    adapter = Adapter("AAPL", 2)
    adapter.step(message(NEW_ORDER, 1, 50, 99_00), BookRow(((99_00, 50), (98_00, 5)), ASKS))
    adapter.step(message(NEW_ORDER, 7, 10, 99_50), BookRow(((99_50, 10), (99_00, 50)), ASKS))
    adapter.step(message(EXECUTION, 7, 3, 99_50), BookRow(((99_50, 7), (99_00, 50)), ASKS))
    step = adapter.step(message(REDUCTION, 7, 2, 99_50), BookRow(((99_50, 5), (99_00, 50)), ASKS))
    assert told(step) == [("reduce", order_id("7"), 8)]


def test_a_deletion_cancels_its_order() -> None:
    adapter = seeded()
    adapter.step(message(NEW_ORDER, 7, 10, 100_00), BookRow(((100_00, 60), (99_00, 60)), ASKS))
    step = adapter.step(message(DELETION, 7, 10, 100_00), BookRow(BIDS, ASKS))
    assert told(step) == [("cancel", order_id("7"))]


def test_an_execution_is_an_aggressing_order_of_the_other_side() -> None:
    adapter = seeded()
    row = BookRow(((100_50, 10), (100_00, 50)), ASKS)
    adapter.step(message(NEW_ORDER, 7, 10, 100_50), row)
    step = adapter.step(
        message(EXECUTION, 7, 4, 100_50), BookRow(((100_50, 6), (100_00, 50)), ASKS)
    )
    assert told(step) == [("take", "x2", SELL, 100_50, 4)]
    assert step.maker == order_id("7")


def test_a_deletion_of_an_order_never_seen_acts_on_the_synthetic_one_of_its_level() -> None:
    adapter = seeded()
    step = adapter.step(
        message(DELETION, 99, 20, 100_00), BookRow(((100_00, 30), (99_00, 60)), ASKS)
    )
    assert told(step) == [("reduce", order_id("s1"), 30)]


def test_an_execution_of_an_order_never_seen_names_any_synthetic_one() -> None:
    step = seeded().step(
        message(EXECUTION, 99, 20, 100_00), BookRow(((100_00, 30), (99_00, 60)), ASKS)
    )
    assert told(step) == [("take", "x1", SELL, 100_00, 20)]
    assert step.maker == ANY_SYNTHETIC


def test_a_reduction_beyond_its_order_takes_the_rest_from_gone_ones_before_synthetic_ones() -> None:
    adapter = Adapter("AAPL", 2)

    def row(at_best: int) -> BookRow:
        return BookRow(((100_00, at_best), (99_00, 60)), ASKS)

    adapter.step(message(NEW_ORDER, 1, 50, 100_00), row(50))
    adapter.step(message(NEW_ORDER, 7, 10, 100_00), row(60))
    adapter.step(message(NEW_ORDER, 8, 10, 100_00), row(70))
    # 8 is executed out of turn: the synthetic s1 pays for it, so 8 is gone in the file and rests
    # here; then s1 pays for 7 too, and 7 goes in the file as well.
    adapter.step(message(EXECUTION, 8, 10, 100_00), row(60))
    adapter.step(message(EXECUTION, 99, 34, 100_00), row(26))
    # Left here: s1 6, 7 10, 8 10 (gone). An order of 12 never seen is deleted.
    step = adapter.step(message(DELETION, 98, 12, 100_00), row(14))
    assert told(step) == [("cancel", order_id("8")), ("reduce", order_id("s1"), 48)]


def test_orders_in_levels_beyond_the_window_are_canceled() -> None:
    step = seeded().step(
        message(NEW_ORDER, 7, 10, 100_50), BookRow(((100_50, 10), (100_00, 50)), ASKS)
    )
    assert told(step) == [("place", "7", BUY, 100_50, 10), ("cancel", order_id("s2"))]


def test_an_order_placed_beyond_the_window_is_canceled_at_once() -> None:
    step = seeded().step(message(NEW_ORDER, 7, 10, 98_00), BookRow(BIDS, ASKS))
    assert told(step) == [("place", "7", BUY, 98_00, 10), ("cancel", order_id("7"))]


def test_a_level_that_enters_at_the_far_end_is_placed_as_a_synthetic_order() -> None:
    step = seeded().step(
        message(DELETION, 99, 50, 100_00), BookRow(((99_00, 60), (97_00, 5)), ASKS)
    )
    assert told(step) == [("cancel", order_id("s1")), ("place", "s5", BUY, 97_00, 5)]
    assert step.synthetic == 1


def test_a_level_that_the_file_shows_inside_the_window_is_never_copied() -> None:
    step = seeded().step(
        message(DELETION, 99, 50, 100_00), BookRow(((99_50, 5), (99_00, 60)), ASKS)
    )
    assert told(step) == [("cancel", order_id("s1"))]


def test_messages_that_show_nothing_of_the_book_are_skipped_and_counted() -> None:
    adapter = seeded()
    for kind in (HIDDEN_EXECUTION, CROSS, HALT, HIDDEN_EXECUTION):
        assert adapter.step(message(kind, 0, 5, 100_50), BookRow(BIDS, ASKS)).commands == ()
    skipped = adapter.skipped
    assert (skipped.hidden_executions, skipped.crosses, skipped.halts) == (2, 1, 1)


def test_a_hidden_execution_in_the_first_row_is_counted_too() -> None:
    adapter = Adapter("AAPL", 2)
    adapter.step(message(HIDDEN_EXECUTION, 0, 5, 100_50), BookRow(BIDS, ASKS))
    assert adapter.skipped.hidden_executions == 1


def test_a_message_about_a_level_outside_the_window_is_counted_and_sends_nothing() -> None:
    adapter = seeded()
    for kind in (REDUCTION, DELETION, EXECUTION):
        assert adapter.step(message(kind, 99, 5, 90_00), BookRow(BIDS, ASKS)).commands == ()
    assert adapter.skipped.outside == 3


def test_a_number_that_comes_again_is_another_order() -> None:
    adapter = Adapter("AAPL", 0)
    first = adapter.step(message(NEW_ORDER, 7, 10, 100_00), None)
    second = adapter.step(message(NEW_ORDER, 7, 10, 99_00), None)
    assert first.keys != second.keys
    third = adapter.step(message(DELETION, 7, 10, 99_00), None)
    assert told(third) == [("cancel", second.keys[0])]


def test_without_an_orderbook_only_orders_seen_are_acted_on() -> None:
    adapter = Adapter("AAPL", 0)
    placed = adapter.step(message(NEW_ORDER, 7, 10, 100_00), None)
    unseen = adapter.step(message(EXECUTION, 99, 10, 100_00), None)
    seen = adapter.step(message(EXECUTION, 7, 10, 100_00), None)
    assert told(placed) == [("place", "7", BUY, 100_00, 10)]
    assert told(unseen) == []
    assert told(seen) == [("take", "x2", SELL, 100_00, 10)]
    assert adapter.skipped.outside == 1


def test_without_an_orderbook_an_order_that_meets_one_left_behind_trades() -> None:
    adapter = Adapter("AAPL", 0)
    adapter.step(message(NEW_ORDER, 7, 10, 100_00, SELL), None)
    adapter.step(message(NEW_ORDER, 8, 4, 101_00, BUY), None)
    assert adapter.depth() == BookRow((), ((100_00, 6),))


def test_a_stub_quote_above_the_highest_price_is_left_out() -> None:
    adapter = seeded()
    step = adapter.step(message(NEW_ORDER, 7, 10, 199_999_99_00, SELL), BookRow(BIDS, ASKS))
    assert step.commands == ()
    assert adapter.skipped.outside == 1
