"""A session through real topics and rooms, started and stopped by the replay itself."""

import json
from itertools import islice
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.tools.market.commands import register
from services.tools.market.lobster_files import BookRow, read_session
from services.tools.market.replay import Replayed, ReplayOrder, replay
from services.tools.market.replay import Session as Pairs
from services.tools.market.replay_deployment import MATCHING_PLACE, open_replay_deployment
from services.tools.market.sample import Session, make_session, write_session
from services.tools.operate.errors import RefusedError
from tests.support.optional import require_lobster
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

app = typer.Typer()
register(app)

LEVELS = 5


def replayed(
    infra: StackInfra, prefix: str, session: Pairs, *, levels: int = LEVELS, speed: float = 0
) -> Replayed:
    order = ReplayOrder("AAPL", levels, verify=True, midnight_us=10**15, speed=speed)
    with open_replay_deployment(infra.settings, prefix, "AAPL", 1_870_000) as place:
        return replay(place, order, session, lambda _done: None)


def sample(rows: int) -> list[tuple[object, BookRow]]:
    session = make_session(2, rows, LEVELS)
    return list(zip(session.messages, session.rows, strict=True))


def test_a_sample_holds_and_its_prefix_is_refused_from_then_on(stack_infra: StackInfra) -> None:
    found = replayed(stack_infra, "replay-a.", sample(1_500))  # type: ignore[arg-type]  # messages
    assert found.findings is not None
    assert found.holds, found
    assert found.findings.rows_equal == found.findings.rows_checked == 1_500
    assert found.findings.commands_folded == found.commands
    assert found.findings.trades_checked > 100
    assert found.findings.depths_checked > 0
    assert set(found.reports) >= {"NEW", "CANCELED", "REDUCED", "TRADE"}
    with pytest.raises(RefusedError, match=r"book of replay-a\. is not empty"):
        replayed(stack_infra, "replay-a.", [])


@pytest.mark.long
def test_a_row_that_the_file_tells_wrong_is_found_and_the_topics_stay(
    stack_infra: StackInfra,
) -> None:
    rows = sample(400)
    message, row = rows[200]
    (price, shares), *others = row.bids
    rows[200] = (message, BookRow(((price, shares + 1), *others), row.asks))
    found = replayed(stack_infra, "replay-b.", rows)  # type: ignore[arg-type]  # messages
    assert not found.holds
    assert found.findings is not None
    assert found.findings.rows_equal == 399
    assert found.findings.differences[0].startswith("row 201: bid level 1")
    reader = KafkaReader(KafkaConnection(stack_infra.addresses.kafka_bootstrap, "replay-b."))
    try:
        assert reader.bounds(MATCHING_PLACE)[1] > found.commands
    finally:
        reader.close()


@pytest.mark.long
def test_a_deployment_with_another_genesis_is_refused(stack_infra: StackInfra) -> None:
    with open_replay_deployment(stack_infra.settings, "replay-c.", "AAPL", 1_870_000):
        pass
    with (
        pytest.raises(RefusedError, match="choose another --prefix"),
        open_replay_deployment(stack_infra.settings, "replay-c.", "MSFT", 1_870_000),
    ):
        pass


@pytest.mark.long
def test_the_begin_of_a_real_session_holds_at_a_given_speed(stack_infra: StackInfra) -> None:
    name = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
    paths = require_lobster(name.format("message")), require_lobster(name.format("orderbook"))
    session = islice(read_session(*paths, 10), 4_000)
    found = replayed(stack_infra, "replay-d.", session, levels=10, speed=60)
    assert found.holds, found
    assert found.findings is not None
    assert found.findings.rows_equal == 4_000


@pytest.mark.parametrize("changed,exit_code", [(False, 0), (True, 1)])
def test_the_command_ends_with_the_verdict(
    stack_infra: StackInfra,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    changed: bool,  # noqa: FBT001 - a parameter of the test
    exit_code: int,
) -> None:
    session = make_session(6, 300, LEVELS)
    if changed:
        (price, shares), *others = session.rows[99].asks
        row = BookRow(session.rows[99].bids, ((price, shares + 1), *others))
        rows = (*session.rows[:99], row, *session.rows[100:])
        session = Session(session.messages, rows, LEVELS)
    message, orderbook = write_session(session, tmp_path, "TSLA")
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    monkeypatch.setenv("OUTCRY_HOME", str(stack_infra.settings.home))
    result = CliRunner().invoke(
        app, ["replay", "lobster", "--ticker", "TSLA", "--message", str(message), "--orderbook",
              str(orderbook), "--verify", "--prefix", f"replay-cli-{exit_code}.", "--json"],
    )  # fmt: skip
    assert result.exit_code == exit_code, result.output
    said = json.loads(result.stdout)
    assert said["holds"] is not changed
    assert said["findings"]["rows_checked"] == 300
    assert said["findings"]["rows_equal"] == 300 - changed
