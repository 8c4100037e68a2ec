"""The lake's trades through real topics and rooms, paced, interrupted and gone on with."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from services.lake.places import Lake
from services.tools.history.commands import register
from services.tools.history.deployment import open_stream_deployment
from services.tools.history.errors import HistoryError
from services.tools.history.flow import Days, opening_mark, plan
from services.tools.history.ingest import ingest_file
from services.tools.history.session import SessionAsked, ingest_session
from services.tools.history.source import Asked
from services.tools.history.stream import Streamed, stream
from services.tools.market.sample import make_session, write_session
from services.tools.operate.errors import RefusedError
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

ALWAYS = Days()

app = typer.Typer()
register(app)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A session of AAPL, and bare trades of MSFT on the same day and the next."""
    lake = Lake(tmp_path)
    message, book = write_session(make_session(3, 300, 5), tmp_path, "AAPL")
    assert ingest_session(lake, message, book, SessionAsked()).trades > 20
    lines = ["ticker,time,price,size,bid,bid_size,ask,ask_size"]
    lines += [
        f"MSFT,2026-01-0{2 + at // 100}T14:30:{at % 60:02}Z,{300 + at % 7}.05,{1 + at},"
        f"{299 + at % 7},10,{301 + at % 7},20"
        for at in range(120)
    ]
    path = tmp_path / "msft.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert ingest_file(lake, path, "trades", Asked()).kept == 120
    return lake


def streamed(
    infra: StackInfra, lake: Lake, prefix: str, speed: float = 0, interrupt_at: int | None = None
) -> Streamed:
    """Stream all of the lake; `interrupt_at`: Ctrl-C after so many commands."""
    tickers = lake.tickers("trades")
    marks = {ticker: opening_mark(lake, ticker, ALWAYS) for ticker in tickers}

    told: list[int] = []

    def interrupt(sent: int, _reached: str) -> None:
        told.append(sent)
        if told == [interrupt_at]:  # once, as a person does
            raise KeyboardInterrupt

    with open_stream_deployment(infra.settings, prefix, marks) as place:
        return stream(place, lake, tickers, ALWAYS, speed, interrupt)


def test_a_stream_that_was_interrupted_goes_on_and_prints_what_the_lake_has(
    stack_infra: StackInfra, lake: Lake
) -> None:
    commands = sum(1 for _ in plan(lake, lake.tickers("trades"), ALWAYS))
    first = streamed(stack_infra, lake, "history-a.", interrupt_at=500)
    assert (first.interrupted, first.holds, first.sent, first.skipped) == (True, False, 500, 0)
    assert first.reached.startswith("2026-01-02T14:")
    second = streamed(stack_infra, lake, "history-a.")
    assert second.holds, second
    assert (second.skipped, second.sent) == (500, commands - 500)
    assert second.trades_equal == second.trades_expected > 140
    third = streamed(stack_infra, lake, "history-a.")
    assert third.holds, third
    assert (third.skipped, third.sent, third.trades_equal) == (commands, 0, second.trades_equal)
    changed = lake.root.parent / "more.csv"
    changed.write_text(
        "ticker,time,price,size\nMSFT,2026-01-02T14:30:00Z,299,1\n", encoding="utf-8"
    )
    ingest_file(lake, changed, "trades", Asked())
    with pytest.raises(HistoryError, match="the lake has changed since"):
        streamed(stack_infra, lake, "history-a.")


def test_a_stream_keeps_the_pace_and_another_set_of_tickers_needs_another_prefix(
    stack_infra: StackInfra, lake: Lake
) -> None:
    paced = streamed(stack_infra, lake, "history-b.", speed=1e5)  # a day in about a second
    assert paced.holds, paced
    with (
        pytest.raises(RefusedError, match="another genesis"),
        open_stream_deployment(stack_infra.settings, "history-b.", {"AAPL": 1}),
    ):
        pass


def test_the_commands_take_a_file_in_and_print_its_trades_on_the_topic(
    stack_infra: StackInfra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    monkeypatch.setenv("OUTCRY_HOME", str(stack_infra.settings.home))
    path = tmp_path / "t.csv"
    lines = [f"AAPL,2024-01-02T14:30:{at:02}Z,187.2{at % 9},{at + 1}" for at in range(30)]
    path.write_text("\n".join(["ticker,time,price,size", *lines]) + "\n", encoding="utf-8")
    taken = CliRunner().invoke(app, ["history", "ingest", "trades", str(path), "--json"])
    assert taken.exit_code == 0, taken.output
    result = CliRunner().invoke(
        app, ["history", "stream", "--ticker", "aapl", "--speed", "0", "--prefix", "history-c.",
              "--json"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["holds"], said["trades_expected"], said["trades_equal"]) == (True, 30, 30)
