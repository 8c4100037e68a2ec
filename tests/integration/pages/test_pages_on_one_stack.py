"""What README.md and its pages have people type, on one stack that was started as they say.

In the order of the README, since each part goes on with what the ones before it left: trades, then
history, features, a model, drift, proofs. What a page leaves open (files of recorded trades) is
put there before.
"""

import gzip
import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from services.domain.amounts import PRICE_SCALE
from services.tools.market.sample import make_session, write_session
from tests.support.optional import require_program
from tests.support.page_examples import example
from tests.support.stack_fixture import COMPONENTS, reserved_port_base
from tests.support.telling_trades import SECONDS, telling_trades
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(600)]

TOLD: Final = ("OUTCRY_KAFKA_COMPILER", "OUTCRY_TRANSACTION_INTERVAL_MS")
"""What makes a stack of tests light."""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A folder in which `outcry up` was typed."""
    folder = tmp_path_factory.mktemp("checkout")
    with reserved_port_base() as base:
        environment = {name: os.environ[name] for name in TOLD} | {
            "OUTCRY_PORT_BASE": str(base),
            "OUTCRY_COMPONENTS": str(COMPONENTS),
            "OUTCRY_FROZEN_TIMEOUT_S": "0",
            "OUTCRY_INFERENCE_FEATURE_AGE_S_MAX": "0",
        }
        terminal = Terminal(folder, base, environment)
        begin, down, after = example("README.md", "Start it", "sh").partition(
            ".venv/bin/outcry down"
        )
        assert not after.strip()
        try:
            said = terminal.sh(begin)
            assert f"http://127.0.0.1:{base + 80}" in said
            yield terminal
        finally:
            terminal.sh(down)


def lines_of(program: "Popen[str]", count: int) -> list[str]:
    """The first lines that it prints."""
    assert program.stdout is not None
    return [program.stdout.readline() for _ in range(count)]


def test_two_accounts_trade_and_an_orders_life_is_told(terminal: Terminal) -> None:
    place, show, after = example("README.md", "Trade", "sh").partition("outcry order show ORDER_ID")
    said = terminal.sh(place)
    sold, _ = re.findall(r"^order (AAPL-[-\w]+)$", said, re.MULTILINE)
    assert " FILLED " in said
    shown = terminal.sh(show.replace("ORDER_ID", sold) + after)
    assert sold in shown
    assert re.search(r"^bob +open +yes", shown, re.MULTILINE)


def test_an_order_typed_as_json_into_kafkas_own_producer_is_taken(terminal: Terminal) -> None:
    said = terminal.sh(example("README.md", "With Kafka's console tools", "sh"))
    assert "no dead letters" in said


def test_an_order_of_any_kafka_client_rests_and_trades_are_read(terminal: Terminal) -> None:
    terminal.python(example("README.md", "With any Kafka client", "python"))
    orders = "curl -s 'http://127.0.0.1:19080/orders?status=LIVE' -H 'X-Outcry-Account: alice'"
    seen: set[str] = set()
    while seen < {"a-1", "a-2"}:
        answer = json.loads(terminal.sh(orders))
        seen = {order["client_order_id"] for order in answer["orders"]}
    program = example("README.md", "Consume trades", "python")
    with terminal.running(sys.executable, "-c", program) as tape:
        (line,) = lines_of(tape, 1)
    assert re.fullmatch(r"AAPL-[-\w]+ 100 @ 187.25\n", line)


def test_keys_are_created_listed_and_revoked(terminal: Terminal) -> None:
    create, revoke, why = example("docs/security.md", "Keys", "sh").partition(
        "outcry keys revoke 0123456789abcdef"
    )
    created = re.findall(r"outcry_([0-9a-f]{16})_", terminal.sh(create))
    first, second = dict.fromkeys(created)
    terminal.sh(revoke.replace("0123456789abcdef", first) + why)
    listed = terminal.sh("outcry keys list")
    states = dict(re.findall(r"^([0-9a-f]{16}) .* (revoked|counts) ", listed, re.MULTILINE))
    assert (states[first], states[second]) == ("revoked", "counts")


def test_a_session_of_lobsters_form_is_replayed_and_holds(terminal: Terminal) -> None:
    session = make_session(2, 300, 10)
    messages, book = (path.name for path in write_session(session, terminal.folder, "AAPL"))
    code = example("README.md", "Replay real order flow", "sh")
    said = terminal.sh(code.replace("MESSAGES.csv.gz", messages).replace("BOOK.csv.gz", book))
    assert re.search(r"^verdict +holds", said, re.MULTILINE)


def put_bars(folder: Path) -> None:
    """A summer of daily bars of five tickers, one of them under a name it had."""
    spec = find_spec("bokeh_sampledata")
    assert spec is not None
    assert spec.origin is not None
    whole = Path(spec.origin).parent / "_data" / "stocks.csv.gz"
    head, *lines = gzip.decompress(whole.read_bytes()).decode().splitlines(keepends=True)
    chosen = [line for line in lines if ",2012-07-" in line]
    assert len(chosen) > 50
    (folder / "stocks.csv.gz").write_bytes(gzip.compress("".join([head, *chosen]).encode()))


def put_local_trades(folder: Path) -> None:
    """Twenty minutes of two tickers in New York's own time, once plain and once compressed."""
    lines = ["ticker,time,price,size,side,bid,bid_size,ask,ask_size\n"]
    zone = ZoneInfo("America/New_York")
    for seed, ticker in enumerate(("AAPL", "MSFT"), 1):
        trades = telling_trades(seed)
        for row in range(SECONDS):
            time = datetime.fromtimestamp(int(trades.time_us[row]) / 1e6, zone)
            price, bid, ask = (
                f"{int(column[row]) / PRICE_SCALE:.4f}"
                for column in (trades.price, trades.bid, trades.ask)
            )
            lines.append(
                f"{ticker},{time:%Y-%m-%dT%H:%M:%S.%f},{price},{trades.quantity[row]},"
                f"{trades.side[row]},{bid},{trades.bid_quantity[row]},{ask},"
                f"{trades.ask_quantity[row]}\n"
            )
    text = "".join(lines).encode()
    (folder / "trades.csv").write_bytes(text)
    (folder / "trades.csv.gz").write_bytes(gzip.compress(text))


def test_files_are_brought_in_and_streamed_as_if_live(terminal: Terminal) -> None:
    put_bars(terminal.folder)
    put_local_trades(terminal.folder)
    messages, _ = write_session(make_session(3, 300, 10), terminal.folder, "TSLA")
    code = example("README.md", "Bring history in", "sh")
    said = terminal.sh(code.replace("MESSAGES.csv.gz", messages.name))
    assert f"{SECONDS:,}" in said


def test_the_page_of_history_brings_its_files_in(terminal: Terminal) -> None:
    name = "AAPL_2012-06-21_34200000_37800000_{}_30.csv.gz"
    made = write_session(make_session(4, 300, 30), terminal.folder, "AAPL")
    for path, kind in zip(made, ("message", "orderbook"), strict=True):
        path.rename(terminal.folder / name.format(kind))
    said = terminal.sh(example("docs/history.md", "History", "sh"), OUTCRY_HOME="other")
    assert name.format("message") in said


def test_features_of_history_and_of_the_stream_are_equal(terminal: Terminal) -> None:
    terminal.sh("outcry simulate --seed 7 --rate 300 --orders 3000")
    said = terminal.sh(example("README.md", "History and parity", "sh"))
    assert "Stream and history are equal." in said
    served = terminal.python(example("docs/online.md", "Asking", "python")).splitlines()
    assert [line.split()[0] for line in served] == ["AAPL", "MSFT"]
    assert "None {}" not in served


def test_two_homes_train_the_same_bytes(terminal: Terminal) -> None:
    said = terminal.sh(example("docs/training.md", "Shown by two runs", "sh"))
    (one, first), (other, second) = (line.split() for line in said.splitlines()[-2:])
    assert one == other
    assert first.removeprefix("a/") == second.removeprefix("b/")


def test_a_model_is_trained_made_again_promoted_and_asked(terminal: Terminal) -> None:
    train, pipeline, after = example("README.md", "Train and predict", "sh").partition(
        "outcry pipeline run --trades"
    )
    # On this market logistic is better, so that it takes what the page says of a closed gate.
    gate = "outcry models promote 1"
    forced = f'|| {gate} --force --why "nothing served yet"'
    terminal.sh(re.sub(rf"(?m)^({gate}[^#\n]*)", rf"\1 {forced} ", train))
    assert (terminal.folder / "said.parquet").stat().st_size > 0
    terminal.python(example("docs/training.md", "The data set", "python"))
    (model,) = (terminal.folder / ".outcry" / "models" / "trained").iterdir()
    again = example("docs/training.md", "The same again", "sh")
    terminal.sh(again.replace("<model>", model.name))
    # Trades before those that features were made of would change these: a day later, then.
    simulate = "outcry history simulate crowd.csv.gz --seed 7 --hours 0.5 --rate 20"
    terminal.sh(f"{simulate} --from 2026-09-22T14:30:00")
    assert "promote" in terminal.sh(pipeline + after)
    asked = example("docs/inference.md", "Asking", "sh")
    answer = json.loads(terminal.sh(asked))
    # A minute of trading defines every feature, and this crowd has traded for ten seconds.
    assert answer["reason"] == "UNDEFINED_FEATURES"


def test_a_pipelines_steps_are_shown_and_scheduled(terminal: Terminal) -> None:
    code, schedule, when = example("docs/training.md", "The pipeline", "sh").partition(
        "outcry pipeline schedule"
    )
    said = terminal.sh(code)
    assert "a stack runs in" in said
    assert "UNDEFINED_FEATURES" in said
    with terminal.running("bash", "-c", f"exec {schedule}{when}") as scheduled:
        (line,) = lines_of(scheduled, 1)
    assert ":15" in line


def test_drift_is_looked_for_and_told(terminal: Terminal) -> None:
    """Of a model this young no window is over: `drift run` ends with 4, `drift show` with 1."""
    readme = example("README.md", "Watch it drift", "sh")
    page = example("docs/drift.md", "The jobs", "sh")
    code = re.sub(r"(?m)^(outcry drift run[^#\n]*)", r"\1 || [ $? = 4 ] ", readme + page)
    code = re.sub(r"(?m)^(outcry drift show[^#\n]*)", r"\1 2>&1 || [ $? = 1 ] ", code)
    assert "no window of performance is recorded yet" in terminal.sh(code)
    answer = json.loads(terminal.sh(example("docs/model-view.md", "Over HTTP", "sh")))
    assert answer["results"] == []


def test_everything_is_proved(terminal: Terminal) -> None:
    said = terminal.sh(example("README.md", "Prove it", "sh"))
    assert "everything follows from the log" in said.lower()


def test_prometheus_is_started_and_a_dashboard_drawn(terminal: Terminal) -> None:
    require_program("prometheus")
    first, rest = example("README.md", "See it run", "sh").split("\n", 1)
    with terminal.running("bash", "-c", f"exec {first}") as prometheus:
        (line,) = lines_of(prometheus, 1)
        terminal.sh(rest)
    assert line.startswith("Prometheus: ")
    assert (terminal.folder / "exchange.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("scenario", ["rest", "websocket", "mixed", "ml", "orders"])
def test_each_scenario_of_load_runs_and_no_question_fails(
    terminal: Terminal, scenario: str
) -> None:
    said = terminal.sh(f"outcry load {scenario} --users 4 --rate 10 --duration 5 --json")
    rows = json.loads(said)
    assert rows
