"""The crowd on a running exchange: let in, heard, and every piece of junk a dead letter."""

import json
from collections.abc import Iterator
from itertools import islice

import pytest
import typer
from typer.testing import CliRunner

from services.domain.events import ExecutionReport
from services.tools.market.admit import admit_crowd
from services.tools.market.commands import register
from services.tools.market.population import participants
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd
from services.wire.topics import EXECUTIONS, ORDERS_DLQ
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import TradingPath, running_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

app = typer.Typer()
register(app)

RECORDS = 3_000
SEED = 21


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, "crowd.", rooms=("ingest", "risk", "matcher")) as path:
        yield path


def test_a_crowd_is_let_in_once_and_all_it_sends_is_answered(path: TradingPath) -> None:
    assert admit_crowd(path.exchange, SEED) == len(participants(SEED))
    assert admit_crowd(path.exchange, SEED) == len(participants(SEED))
    publisher = Publisher(path.addresses.kafka_bootstrap, path.prefix, path.codec)
    told: list[int] = []
    published = publish(
        publisher, path.codec, islice(Crowd(SEED).commands(), RECORDS), 2_000, told.append
    )
    assert (published.sent, published.delivered, published.failed) == (RECORDS, RECORDS, 0)
    assert sum(published.by_kind.values()) == RECORDS
    assert published.lateness is not None
    assert told[-1] == RECORDS

    wanted = {
        outbound.payload.client_order_id
        if hasattr(outbound.payload, "client_order_id")
        else outbound.payload.client_command_id
        for outbound in islice(Crowd(SEED).commands(), RECORDS)
        if outbound.payload is not None and not outbound.is_junk
    }

    def all_came() -> bool:
        path.seen += path.watch.poll(0.2)
        letters = [s for s in path.seen if s.topic == ORDERS_DLQ.name]
        answered = {
            seen.decoded.payload.client_command_id
            for seen in path.seen
            if seen.topic == EXECUTIONS.name and isinstance(seen.decoded.payload, ExecutionReport)
        }
        return wanted <= answered and len(letters) == published.dead_letters_expected

    wait_until(all_came, "every answer and every dead letter", 120)
    assert published.dead_letters_expected > 5


def test_without_a_rate_nothing_is_late(path: TradingPath) -> None:
    publisher = Publisher(path.addresses.kafka_bootstrap, path.prefix, path.codec)
    published = publish(publisher, path.codec, islice(Crowd(22).commands(), 500), 0)
    assert published.lateness is None
    assert published.delivered == 500


def test_the_command_says_what_it_sent(
    path: TradingPath, stack_infra: StackInfra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    result = CliRunner().invoke(
        app, ["simulate", "--seed", "23", "--rate", "0", "--orders", "800", "--prefix", path.prefix,
              "--json"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["sent"], said["delivered"], said["seed"]) == (800, 800, 23)
    junk = sum(outbound.is_junk for outbound in islice(Crowd(23).commands(), 800))
    assert said["dead_letters_expected"] == junk
