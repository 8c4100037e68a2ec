"""The lake's trades through real topics and rooms, paced, interrupted and gone on with."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

from services.domain.features import FeatureRow
from services.featuresets import TRADE_SETS
from services.lake.files import read_file
from services.lake.places import Lake
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import TopicPartition
from services.runtime.registry import load_codec
from services.tools.features import commands as features_commands
from services.tools.history import commands as history_commands
from services.tools.history.deployment import open_stream_deployment
from services.tools.history.errors import HistoryError
from services.tools.history.flow import Days, opening_mark, plan
from services.tools.history.ingest import ingest_file
from services.tools.history.session import SessionAsked, ingest_session
from services.tools.history.source import Asked
from services.tools.history.stream import Streamed, stream
from services.tools.market.sample import make_session, write_session
from services.tools.operate.errors import RefusedError
from services.wire.topics import FEATURES
from tests.support.stack_fixture import StackInfra

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

ALWAYS = Days()
V1: Final = TRADE_SETS["microstructure_v1"]

app = typer.Typer()
history_commands.register(app)
features_commands.register(app)

type Rows = dict[tuple[str, int], tuple[float | None, ...]]
"""Values by ticker and grid time."""


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
    infra: StackInfra, lake: Lake, prefix: str, interrupt_at: int | None = None
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
        return stream(place, lake, tickers, ALWAYS, 0, interrupt)


@pytest.mark.long
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
    tickers = lake.tickers("trades")
    marks = {ticker: opening_mark(lake, ticker, ALWAYS) for ticker in tickers}
    with open_stream_deployment(stack_infra.settings, "history-a.", marks) as place:
        third = stream(place, lake, tickers, ALWAYS, 0)
        assert third.holds, third
        assert (third.skipped, third.sent, third.trades_equal) == (commands, 0, second.trades_equal)
        changed = lake.root.parent / "more.csv"
        changed.write_text(
            "ticker,time,price,size\nMSFT,2026-01-02T14:30:00Z,299,1\n", encoding="utf-8"
        )
        ingest_file(lake, changed, "trades", Asked())
        with pytest.raises(HistoryError, match="the lake has changed since"):
            stream(place, lake, tickers, ALWAYS, 0)


def outcry(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    said: dict[str, Any] = json.loads(result.stdout)
    return said


@pytest.mark.long
def test_the_commands_give_the_same_features_of_a_history_streamed_and_backfilled(
    stack_infra: StackInfra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session, and bare trades whose sides the tick rule tells in the stream and in the lake.

    The stream keeps a pace, a day in about a second; another set of tickers needs another prefix.
    """
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    monkeypatch.setenv("OUTCRY_HOME", str(stack_infra.settings.home))
    message, _ = write_session(make_session(3, 300, 5), tmp_path, "AAPL")
    outcry("history", "ingest", "lobster", str(message))
    lines = [
        f"MSFT,2026-01-0{2 + at // 100}T14:{30 + at // 7 % 20}:{at * 7 % 60:02}Z,"
        f"187.2{at % 9},{at + 1}"
        for at in range(150)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["ticker,time,price,size", *lines]) + "\n", encoding="utf-8")
    outcry("history", "ingest", "trades", str(path))
    both = ("--ticker", "AAPL", "--ticker", "MSFT")
    said = outcry(
        "history", "stream", *both, "--speed", "1e5", "--prefix", "history-c.", "--room", "features"
    )
    assert said["holds"], said
    assert said["trades_expected"] == said["trades_equal"] > 170
    filled = outcry("features", "backfill", "--set", V1.name, *both)
    live, history = streamed_rows(stack_infra, "history-c."), backfilled_rows(stack_infra)
    assert len(history) == filled["written"] > 300
    assert live == history
    signed = V1.columns.index("signed_volume_60s")
    assert any(row[signed] for (ticker, _), row in history.items() if ticker == "MSFT")
    with (
        pytest.raises(RefusedError, match="another genesis"),
        open_stream_deployment(stack_infra.settings, "history-c.", {"AAPL": 1}),
    ):
        pass


def streamed_rows(infra: StackInfra, prefix: str) -> Rows:
    """Everything on `features`."""
    codec = load_codec(infra.addresses.registry_url)
    reader = KafkaReader(KafkaConnection(infra.addresses.kafka_bootstrap, prefix))
    rows: Rows = {}
    try:
        for partition in range(FEATURES.partitions):
            at = TopicPartition(FEATURES.name, partition)
            for chunk in reader.read(at, *reader.bounds(at)):
                for record in chunk:
                    row = codec.decode(FEATURES.name, record.value).payload
                    assert isinstance(row, FeatureRow)
                    values = zip(V1.features, row.values, strict=True)
                    cells = tuple(feature.real(value) for feature, value in values)
                    rows[row.ticker, row.grid_time_us] = cells
    finally:
        reader.close()
    return rows


def backfilled_rows(infra: StackInfra) -> Rows:
    """Everything in the lake."""
    rows: Rows = {}
    for path, _ in Lake(infra.settings.home).feature_files(V1.name):
        table = read_file(path, "features")
        times = table.column("event_timestamp").cast("int64").to_pylist()
        cells = zip(*(table.column(name).to_pylist() for name in V1.columns), strict=True)
        tickers = table.column("ticker").to_pylist()
        rows |= dict(zip(zip(tickers, times, strict=True), cells, strict=True))
    return rows
