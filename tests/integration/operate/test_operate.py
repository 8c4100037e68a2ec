"""The command line against a real exchange, as people and programs use it."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest

from services.cli import main
from services.domain import codes
from services.domain.rejections import REJECTIONS
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import MARK, TradingPath, limit_order, running_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PREFIX = "operate."


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, PREFIX) as path:
        path.open_account("maker")
        yield path


class Answer(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


class Outcry:
    """`outcry` in a terminal that is set up for one deployment, without a process for each."""

    def __init__(self, infra: StackInfra) -> None:
        self._env = {
            "OUTCRY_HOME": str(infra.settings.home),
            "OUTCRY_PORT_BASE": str(infra.settings.port_base),
            "OUTCRY_TOPIC_PREFIX": PREFIX,
        }

    def run(self, *arguments: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in self._env.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["outcry", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        if isinstance(code, str):  # the interpreter prints it and exits with 1
            return Answer(1, out.getvalue(), err.getvalue() + code)
        return Answer(int(code or 0), out.getvalue(), err.getvalue())

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON document
        answer = self.run(*arguments, "--json")
        assert answer.returncode == 0, answer.stderr + answer.stdout
        return json.loads(answer.stdout)

    def refusal(self, *arguments: str) -> str:
        answer = self.run(*arguments)
        assert answer.returncode == 1, answer.stdout
        return answer.stderr.strip()


@pytest.fixture(scope="module")
def outcry(stack_infra: StackInfra, path: TradingPath) -> Outcry:
    assert path.prefix == PREFIX
    return Outcry(stack_infra)


def open_account(outcry: Outcry, *flags: str) -> str:
    account = f"acc-{uuid4().hex[:12]}"
    limits = ("--position-max", "5000", "--notional-max", "2000000", "--exposure-max", "3000000.50")
    state = outcry.json("accounts", "open", account, *limits, *flags)["answers"][0]
    assert state["account"] == account
    assert state["exposure_max"] == "3000000.50"
    return account


def test_an_account_is_opened_given_shares_limited_and_listed(
    outcry: Outcry, path: TradingPath
) -> None:
    account = open_account(outcry)
    deposit = ("accounts", "deposit", account, "AAPL", "300", "--client-command-id", "d-1")
    for _ in range(2):  # the same command id: once
        state = outcry.json(*deposit)["answers"][0]
        assert state["tickers"][0]["position"] == 300
    outcry.json("limits", "set", account, "--ticker", "AAPL", "--position-max", "700", "--short")
    # A trade moves the position after the last change of limits.
    path.send(limit_order("maker", codes.BUY, MARK, 100))
    outcry.json("order", "place", "--account", account, "AAPL", "sell", "100", "187.00")

    def is_listed() -> bool:
        rows = [row for row in outcry.json("accounts", "list") if row["account"] == account]
        shown = {part["ticker"]: part for part in rows[0]["tickers"]} if rows else {}
        return (
            "AAPL" in shown
            and shown["AAPL"]["position"] == 200
            and shown["AAPL"]["position_max"] == 700
            and rows[0]["short_allowed"]
        )

    wait_until(is_listed, "the recorder to have written the trade")


def test_an_order_is_placed_canceled_and_shown_in_order_of_time(outcry: Outcry) -> None:
    account = open_account(outcry, "--short")
    placed = outcry.json("order", "place", "--account", account, "AAPL", "SELL", "50", "190.00")
    report = placed["answers"][0]
    assert (report["exec_type"], report["price"]) == ("NEW", "190.00")
    order_id = report["order_id"]
    again = outcry.json(
        "order", "place", "--account", account, "AAPL", "SELL", "50", "190.00",
        "--client-order-id", report["client_order_id"],
    )  # fmt: skip
    assert again["answers"][0]["exec_type"] == "ORDER_STATUS"
    assert again["answers"][0]["order_id"] == order_id
    canceled = outcry.json("order", "cancel", order_id, "--account", account)["answers"][0]
    assert canceled["order_status"] == "CANCELED"
    assert "ORDER_ENDED" in outcry.refusal("order", "cancel", order_id, "--account", account)

    def is_recorded() -> bool:
        return "CANCEL_REJECTED" in outcry.run("order", "show", order_id).stdout

    wait_until(is_recorded, "the recorder to have written the order's life")
    life = outcry.json("order", "show", order_id)
    assert len(life["submissions"]) == 2
    assert [row["exec_type"] for row in life["executions"]] == [
        "NEW", "ORDER_STATUS", "CANCELED", "CANCEL_REJECTED",
    ]  # fmt: skip
    way = [(hop["topic"], hop["message"], hop["writer"]) for hop in life["hops"]]
    assert way[0] == ("orders", "PlaceOrder", "client")
    assert {("matching", "EnterOrder", "risk"), ("accounts", "OrderAccepted", "matcher")} < set(way)
    assert way.count(("executions", "ExecutionReport", "risk")) == len(life["executions"])
    times = [hop["time_ms"] for hop in life["hops"]]
    assert times == sorted(times)
    assert "its way through the log" in outcry.run("order", "show", order_id).stdout


def test_a_market_order_prints_its_fills(outcry: Outcry, path: TradingPath) -> None:
    path.send(limit_order("maker", codes.SELL, MARK + 500, 20))
    path.send(limit_order("maker", codes.BUY, MARK - 500, 20))
    account = open_account(outcry)
    answer = outcry.run("order", "place", "--account", account, "AAPL", "BUY", "20")
    assert answer.returncode == 0, answer.stderr
    assert "FILLED" in answer.stdout


@pytest.mark.parametrize(
    "arguments,reason",
    [
        (("AAPL", "BUY", "1", "187.005"), "OFF_TICK"),
        (("AAPL", "BUY", "1", "9999"), "PRICE_OUTSIDE_COLLAR"),
        (("AAPL", "SELL", "1", "187"), "SHORT_NOT_ALLOWED"),
        (("AAPL", "BUY", "5001", "187"), "POSITION_LIMIT"),
        (("NONE", "BUY", "1", "187"), "UNKNOWN_TICKER"),
        (("NVDA", "BUY", "1", "187"), "NO_MARK"),
    ],
)
def test_a_refused_order_ends_with_the_reasons_word_and_what_it_means(
    outcry: Outcry, arguments: tuple[str, ...], reason: str
) -> None:
    account = open_account(outcry)
    refusal = outcry.refusal("order", "place", "--account", account, *arguments)
    assert refusal.startswith(f"error: {reason}: {REJECTIONS[reason]}")


def test_a_ticker_is_halted_and_resumed(outcry: Outcry) -> None:
    outcry.json("mark", "set", "TSLA", "248.80")
    account = open_account(outcry)
    assert outcry.run("halt", "TSLA").stdout == "TSLA is HALTED\n"
    assert outcry.run("halt", "TSLA").stdout == "TSLA is HALTED, as it was\n"
    order = ("order", "place", "--account", account, "TSLA", "BUY", "1", "248.00")
    assert outcry.refusal(*order) == (
        "error: TICKER_HALTED: Trading in the ticker is halted: `outcry resume` ends that"
    )
    assert outcry.run("resume", "TSLA").stdout == "TSLA is OPEN\n"
    outcry.json(*order)
    assert "no ticker is named 'NONE'" in outcry.refusal("halt", "NONE")


def test_a_killed_account_loses_its_orders_until_it_is_lifted(outcry: Outcry) -> None:
    account = open_account(outcry)
    order = ("order", "place", "--account", account, "AAPL", "BUY", "1", "180.00")
    placed = outcry.json(*order)["answers"][0]["order_id"]
    assert outcry.json("kill", account)["answers"][0]["killed"]
    assert outcry.refusal(*order) == "error: ACCOUNT_KILLED: The account is shut off"
    wait_until(
        lambda: "CANCELED" in outcry.run("order", "show", placed).stdout, "the order's cancel"
    )
    assert not outcry.json("kill", account, "--lift")["answers"][0]["killed"]
    outcry.json(*order)


def test_dead_letters_topics_and_snapshots_are_listed(outcry: Outcry, path: TradingPath) -> None:
    partition, offset = path.send_raw(b"hello \xff", partition=2)
    wait_until(
        lambda: f"orders-{partition}@{offset}" in outcry.run("dlq", "--limit", "5").stdout,
        "the dead letter",
    )
    letter = outcry.json("dlq", "--limit", "1")[0]
    assert letter["cause"] == "WRONG_MAGIC"
    assert bytes.fromhex(letter["head_hex"]) == b"hello \xff"
    assert outcry.run("topics", "create").stdout.startswith("topics: all are there\n")
    topics = outcry.json("topics", "list")
    assert next(row for row in topics if row["topic"] == f"{PREFIX}orders")["end_offset"] > 0
    assert {row["room"] for row in outcry.json("snapshots", "list")} <= {"risk", "matcher"}


def test_an_account_nobody_can_have_is_refused_with_the_dead_letters_cause(
    outcry: Outcry,
) -> None:
    assert outcry.refusal("accounts", "deposit", "", "AAPL", "1").startswith("error: INVALID_ID")
    # What no shell gives by mistake is refused before it is sent.
    refused = outcry.run("accounts", "deposit", "a b", "AAPL", "1")
    assert refused.returncode == 2
    assert "a b" in refused.stderr


def test_a_reconciliation_is_whole_until_a_row_is_taken_away(
    outcry: Outcry, path: TradingPath
) -> None:
    account = open_account(outcry)
    outcry.json("order", "place", "--account", account, "AAPL", "BUY", "1", "180.00")
    whole = outcry.json("reconcile")
    assert whole["is_whole"]
    assert all(check["counted"] for check in whole["checks"])
    figures = whole["figures"]
    assert figures["records published"] == figures["commands"] + 1  # the dead letter above
    taken = take_away_an_execution(path.addresses.pg_dsn, account)
    answer = outcry.run("reconcile", "--timeout-s", "1")
    assert answer.returncode == 1
    assert f"{taken} has no row in executions" in answer.stdout


def take_away_an_execution(dsn: str, account: str) -> str:
    """What the triggers refuse, done as only the database's owner can; where the record stands."""
    with psycopg.connect(dsn) as database:
        database.execute("ALTER TABLE outcry.executions DISABLE TRIGGER append_only")
        row = database.execute(
            'DELETE FROM outcry.executions WHERE account = %s RETURNING partition, "offset"',
            (account,),
        ).fetchone()
        database.execute("ALTER TABLE outcry.executions ENABLE ALWAYS TRIGGER append_only")
    assert row is not None
    return f"executions-{row[0]}@{row[1]}"
