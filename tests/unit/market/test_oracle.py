"""The oracle finds what is wrong: whatever is planted shows, and without it nothing does."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from services.domain.commands import CancelOrder, EnterOrder, PlaceOrder, ReduceOrder
from services.domain.events import BookDepth, Level, Trade
from services.domain.origin import ACCOUNTS, CONTROLS, Origin
from services.tools.market.genesis import replay_genesis
from services.tools.market.lobster import Step
from services.tools.market.lobster_files import BookRow
from services.tools.market.oracle import Findings, Oracle
from services.tools.market.sample import Session, make_session
from services.wire.codec import Decoded
from tests.support.lobster_fold import Commands, fold_session, forwarded, steps_of

LEVELS = 5
SESSION = make_session(seed=11, rows=400, levels=LEVELS)


def fold(
    session: Session = SESSION, tamper: Callable[[Commands], Commands] | None = None
) -> Findings:
    return fold_session(zip(session.messages, session.rows, strict=True), LEVELS, tamper)


def test_an_honest_session_is_equal_in_every_row() -> None:
    findings = fold()
    assert (findings.rows_checked, findings.rows_equal) == (400, 400)
    # Six makers had left the window and came back in a synthetic order.
    assert (findings.executions, findings.fifo_agreed) == (100, 94)
    assert findings.holds
    assert not findings.differences


@pytest.mark.parametrize("field", [0, 1])
@pytest.mark.parametrize("level", range(LEVELS))
def test_a_changed_level_in_the_file_is_found(level: int, field: int) -> None:
    rows = list(SESSION.rows)
    bids = list(rows[200].bids)
    bids[level] = (bids[level][0], bids[level][1] + 1) if field else (bids[level][0] + 1, 1)
    rows[200] = BookRow(tuple(bids), rows[200].asks)
    findings = fold(replace(SESSION, rows=tuple(rows)))
    assert findings.rows_equal < findings.rows_checked == 400
    assert not findings.holds
    assert findings.differences[0].startswith("row 201: bid level ")


def dropped(kind: type[PlaceOrder | CancelOrder | ReduceOrder], commands: Commands) -> Commands:
    """Without one command of this kind, from the middle on."""
    at = next(i for i, (c, _) in enumerate(commands) if i > 150 and isinstance(c, kind))
    return commands[:at] + commands[at + 1 :]


@pytest.mark.parametrize("kind", [PlaceOrder, CancelOrder, ReduceOrder])
def test_a_dropped_command_is_found(kind: type[PlaceOrder | CancelOrder | ReduceOrder]) -> None:
    findings = fold(tamper=lambda commands: dropped(kind, commands))
    assert findings.commands_missing == 1
    assert findings.rows_equal < findings.rows_checked
    assert not findings.holds


def test_commands_that_are_missing_at_the_end_are_found() -> None:
    findings = fold(tamper=lambda commands: commands[:-3])
    assert findings.commands_missing == 3
    assert findings.rows_checked == 400
    assert not findings.holds


def test_a_command_that_came_twice_is_found() -> None:
    findings = fold(tamper=lambda commands: [*commands[:100], commands[99], *commands[100:]])
    assert findings.commands_strange == 1
    assert not findings.holds


def test_two_commands_that_changed_places_are_found() -> None:
    findings = fold(
        tamper=lambda commands: [*commands[:99], commands[100], commands[99], *commands[101:]]
    )
    assert findings.commands_missing == 1
    assert findings.commands_strange == 1
    assert not findings.holds


def test_a_command_that_says_something_else_on_the_way_is_found() -> None:
    def doubled(commands: Commands) -> Commands:
        at = next(i for i, (c, _) in enumerate(commands) if i > 150 and isinstance(c, PlaceOrder))
        command, key = commands[at]
        assert isinstance(command, PlaceOrder)
        changed = replace(command, quantity=command.quantity * 2)
        return [*commands[:at], (changed, key), *commands[at + 1 :]]

    findings = fold(tamper=doubled)
    assert findings.commands_missing == findings.commands_strange == 0
    assert findings.rows_equal < findings.rows_checked


def verify(steps: list[tuple[Step, BookRow | None]]) -> Findings:
    """Fold exactly what these steps command."""
    oracle = new_oracle()
    for step, row in steps:
        oracle.expect(step, row)
        for payload in forwarded(zip(step.commands, step.keys, strict=True)):
            offset = oracle.findings.commands_folded + 1
            origin = Origin(ACCOUNTS, 0, offset, 0, offset, 1, 1)
            oracle.fold(offset, Decoded(origin, payload, 1))
    return oracle.findings


def new_oracle() -> Oracle:
    oracle = Oracle(0, LEVELS)
    oracle.fold(0, Decoded(Origin(CONTROLS, 0, 0, 0, 0, 1, 0), replay_genesis("AAPL", "t"), 0))
    return oracle


STEPS = steps_of(zip(SESSION.messages, SESSION.rows, strict=True), LEVELS)


def test_a_maker_that_is_not_the_one_named_lowers_the_fifo_agreement_alone() -> None:
    named = next(step for step, _ in STEPS if step.maker.startswith("AAPL-"))
    findings = verify(
        [(replace(step, maker="AAPL-other") if step is named else step, row) for step, row in STEPS]
    )
    assert (findings.executions, findings.fifo_agreed) == (100, 93)
    assert findings.holds


def test_a_synthetic_order_inside_the_window_does_not_count_as_equal() -> None:
    """An adapter that copied the file into the book would be equal everywhere."""
    copies = [
        len(step.commands) == 1 and isinstance(step.commands[0], PlaceOrder) and not step.maker
        for step, _ in STEPS
    ]
    findings = verify(
        [
            (replace(step, synthetic=1) if copied else step, row)
            for copied, (step, row) in zip(copies, STEPS, strict=True)
        ]
    )
    assert findings.rows_equal == 400 - sum(copies) < 400
    assert "far end" in findings.differences[0]


def test_what_the_book_refuses_is_counted() -> None:
    oracle = new_oracle()
    oracle.fold(
        1,
        Decoded(Origin(ACCOUNTS, 0, 1, 0, 1, 1, 1), CancelOrder("lobster", "c1", "AAPL-none"), 1),
    )
    assert oracle.findings.commands_refused == 1
    assert "UNKNOWN_ORDER" in " ".join(oracle.findings.differences)


# --- the feeds


def crossing(oracle: Oracle) -> None:
    """Fold one order that rests and one that takes half of it, nobody's rows."""
    maker = EnterOrder("AAPL-m", "a", 1, 2, 1, post_only=False, price=100_00, quantity=10,
                       self_trade_prevention=2)  # fmt: skip
    taker = EnterOrder("AAPL-t", "a", -1, 2, 3, post_only=False, price=100_00, quantity=5,
                       self_trade_prevention=2)  # fmt: skip
    for offset, order in ((1, maker), (2, taker)):
        oracle.fold(offset, Decoded(Origin(ACCOUNTS, 0, offset, 0, offset, 7, 7), order, 7))


TRADE = Trade("AAPL-2-0", "AAPL", 100_00, 5, -1, "AAPL-m", "AAPL-t", "a", "a", 100_00, 5, 0, 0)
TRADE_ORIGIN = Origin(3, 0, 2, 1, 1, 7, 7)
DEPTH = BookDepth("AAPL", 0, 100_00, (Level(100_00, 5, 1),), ())
DEPTH_ORIGIN = Origin(3, 0, 2, 4, 0, 7, 7)


def verdict(trades: list[Trade], depths: list[BookDepth]) -> tuple[int, int]:
    oracle = new_oracle()
    crossing(oracle)
    for offset, trade in enumerate(trades):
        oracle.check_trade(offset, Decoded(TRADE_ORIGIN, trade, 7))
    for offset, depth in enumerate(depths):
        oracle.check_depth(offset, Decoded(DEPTH_ORIGIN, depth, 7))
    oracle.finish_feeds()
    return oracle.findings.trades_different, oracle.findings.depths_different


def test_feeds_that_say_what_the_fold_says_are_equal() -> None:
    assert verdict([TRADE], [DEPTH]) == (0, 0)


def test_a_depth_that_is_shown_again_is_equal() -> None:
    assert verdict([TRADE], [DEPTH, DEPTH]) == (0, 0)


def test_a_missing_a_strange_and_a_changed_trade_are_found() -> None:
    assert verdict([], [DEPTH]) == (1, 0)
    assert verdict([TRADE, TRADE], [DEPTH]) == (1, 0)
    assert verdict([replace(TRADE, ask=1)], [DEPTH]) == (1, 0)


def test_a_missing_and_a_changed_depth_are_found() -> None:
    assert verdict([TRADE], []) == (0, 1)
    assert verdict([TRADE], [replace(DEPTH, last_price=0)]) == (0, 1)
