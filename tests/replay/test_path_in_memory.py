"""Recorded and simulated flow through ingest, risk and the matcher, folded in memory.

The rooms run far behind what is sent, as they may on Kafka: commands never wait for answers.
"""

from collections import Counter
from itertools import islice

import pytest

from services.domain.codes import EXEC_REJECTED, EXEC_REPLACE_REJECTED
from services.domain.events import AccountState, ExecutionReport
from services.domain.genesis import default_genesis
from services.domain.reasons import Reason
from services.tools.market.genesis import replay_controls, replay_genesis
from services.tools.market.lobster import Adapter
from services.tools.market.lobster_files import read_session
from services.tools.market.oracle import Findings, Oracle
from services.tools.market.population import crowd_controls, participants
from services.tools.market.publish import encode
from services.tools.market.sample import make_session
from services.tools.market.simulator import Crowd
from services.wire.codec import Decoded
from services.wire.topics import EXECUTIONS, MATCHING, ORDERS, ORDERS_DLQ, TRADES
from tests.support.lobster_fold import Session
from tests.support.memory_path import MemoryPath
from tests.support.optional import require_lobster

ROWS_AHEAD = 1_000


def replay(session: Session, levels: int) -> tuple[MemoryPath, Findings]:
    """Send a session without waiting, let the rooms answer every so often, then verify."""
    path = MemoryPath(replay_genesis("AAPL", "test"))
    for control in replay_controls("AAPL", 5_853_300):
        path.control(control)
    path.run()
    adapter, oracle = Adapter("AAPL", levels), Oracle(0, levels)
    for message, row in session:
        step = adapter.step(message, row)
        oracle.expect(step, row)
        for command in step.commands:
            path.order(path.codec.encode_command(ORDERS.name, command, step.time_us))
        if step.row % ROWS_AHEAD == ROWS_AHEAD - 1:
            path.run()
    path.run()
    for offset, message_out in enumerate(path.log[MATCHING.name, 0]):
        origin = message_out.origin
        oracle.fold(offset, Decoded(origin, message_out.payload, origin.event_time_us))
    oracle.finish_commands()
    for offset, trade in enumerate(path.log[TRADES.name, 0]):
        oracle.check_trade(offset, Decoded(trade.origin, trade.payload, 0))
    return path, oracle.findings


def refusals(path: MemoryPath) -> Counter[str]:
    reports = [r for r in path.all_payloads(EXECUTIONS.name) if isinstance(r, ExecutionReport)]
    refused = (EXEC_REJECTED, EXEC_REPLACE_REJECTED)
    return Counter(Reason(r.reason).name for r in reports if r.exec_type in refused)


@pytest.mark.parametrize("levels", [1, 5])
def test_a_sample_comes_out_equal_after_all_rooms(levels: int) -> None:
    session = make_session(9, 3_000, levels)
    path, findings = replay(zip(session.messages, session.rows, strict=True), levels)
    assert findings.holds, findings.differences
    assert findings.rows_equal == 3_000
    assert findings.trades_checked > 100
    assert not refusals(path)


def test_the_begin_of_a_real_session_comes_out_equal_after_all_rooms() -> None:
    """Hundreds of orders are reduced, some of them again before the first answer."""
    name = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
    paths = require_lobster(name.format("message")), require_lobster(name.format("orderbook"))
    path, findings = replay(islice(read_session(*paths, 10), 20_000), 10)
    assert findings.holds, findings.differences
    assert (findings.rows_equal, findings.fifo_agreed) == (20_000, 1_041)
    assert not refusals(path)


@pytest.fixture(scope="module")
def crowded() -> MemoryPath:
    """20,000 records of a crowd, through all rooms."""
    path = MemoryPath(default_genesis())
    for control in crowd_controls(7):
        path.control(control)
    path.run()
    for outbound in islice(Crowd(7).commands(), 20_000):
        path.order(encode(path.codec, outbound, 0))
        if outbound.index % 100 == 0:
            path.run()
    path.run()
    return path


def test_the_crowd_is_let_in_and_each_account_is_told(crowded: MemoryPath) -> None:
    states = [s for s in crowded.all_payloads(EXECUTIONS.name) if isinstance(s, AccountState)]
    assert {state.account for state in states} == {p.account for p in participants(7)}


def test_the_crowd_trades_and_every_piece_of_junk_is_a_dead_letter(crowded: MemoryPath) -> None:
    junk = sum(outbound.is_junk for outbound in islice(Crowd(7).commands(), 20_000))
    assert len(crowded.all_payloads(ORDERS_DLQ.name)) == junk > 50
    assert len(crowded.all_payloads(TRADES.name)) > 4_000


def test_the_crowd_is_refused_for_many_reasons(crowded: MemoryPath) -> None:
    wanted = {"SHORT_NOT_ALLOWED", "EXPOSURE_LIMIT", "WOULD_CROSS", "OFF_TICK", "UNKNOWN_TICKER"}
    assert set(refusals(crowded)) > wanted


def test_what_the_crowd_leaves_resting_is_bounded(crowded: MemoryPath) -> None:
    resting = sum(len(book._book.orders) for book in crowded.books)
    assert 300 < resting < 2_000
