"""Any session that a whole book could have shown is followed exactly, through any window."""

from hypothesis import given
from hypothesis import strategies as st

from services.tools.market.lobster import Adapter
from services.tools.market.sample import make_session
from tests.support.lobster_fold import fold_session

SEEDS = st.integers(0, 2**32)
LEVELS = st.integers(1, 12)


@given(SEEDS, LEVELS)
def test_the_adapters_book_is_the_files_after_each_row(seed: int, levels: int) -> None:
    session = make_session(seed, 150, levels)
    adapter = Adapter("AAPL", levels)
    for message, row in zip(session.messages, session.rows, strict=True):
        adapter.step(message, row)
        assert adapter.depth() == row


@given(SEEDS, LEVELS)
def test_the_matchers_book_is_the_files_after_each_row(seed: int, levels: int) -> None:
    session = make_session(seed, 60, levels)
    findings = fold_session(zip(session.messages, session.rows, strict=True), levels)
    assert findings.rows_equal == 60
    assert findings.holds


@given(SEEDS, st.integers(1, 5), st.integers(6, 12))
def test_a_narrower_window_of_the_same_session_is_followed_too(
    seed: int, levels: int, levels_in_file: int
) -> None:
    session = make_session(seed, 80, levels_in_file)
    adapter = Adapter("AAPL", levels)
    for message, row in zip(session.messages, session.rows, strict=True):
        cut = type(row)(row.bids[:levels], row.asks[:levels])
        adapter.step(message, cut)
        assert adapter.depth() == cut


@given(SEEDS)
def test_no_two_commands_of_a_session_share_a_name(seed: int) -> None:
    """Risk would take the second for the first sent again."""
    session = make_session(seed, 150, 60)
    for levels, rows in ((5, session.rows), (0, (None,) * 150)):
        adapter = Adapter("AAPL", levels)
        keys: list[str] = []
        for message, row in zip(session.messages, rows, strict=True):
            keys += adapter.step(message, row).keys
        assert len(set(keys)) == len(keys)
