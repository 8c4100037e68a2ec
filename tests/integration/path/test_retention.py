"""Retention passes over every topic but `controls`, and the log is still whole."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import psycopg
import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from typer.testing import CliRunner

from services.cli import app
from services.matcher.service import make_folds as matcher_folds
from services.recorder.archive import ArchiveReader
from services.risk.service import make_folds as risk_folds
from services.runtime.errors import HistoryLostError
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_admin import connect_admin
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import LogReader, TopicPartition
from services.runtime.restore import hash_state
from services.tools.ledger.commands import kafka_first_offsets
from services.tools.ledger.errors import LedgerError
from services.tools.market.population import crowd_controls
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd
from services.tools.operate.connect import Deployment
from services.tools.proof.audit.auditor import Findings
from services.tools.proof.audit_run import Options, audit_deployment
from services.tools.proof.quiet import reconcile_when_quiet
from services.tools.proof.reconcile import Reconciliation
from services.tools.proof.rows import PostgresRows
from services.tools.proof.whole_log import WholeLog
from services.wire.topics import ACCOUNTS, CONTROLS, EXECUTIONS, MATCHING, ORDERS, TRADES
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import TradingPath, every_partition, running_path
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

SEED: Final = 23
TRIMMED: Final = (ORDERS, ACCOUNTS, MATCHING, EXECUTIONS, TRADES)
STATEFUL: Final = ((ACCOUNTS, risk_folds), (MATCHING, matcher_folds))


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    with running_path(stack_infra, "retention.") as path:
        for control in crowd_controls(SEED):
            path.control(control)
        publisher = Publisher(path.addresses.kafka_bootstrap, path.prefix, path.codec)
        publish(publisher, path.codec, islice(Crowd(SEED).commands(), 1_500), 1_000)
        yield path


def kafka(path: TradingPath) -> KafkaReader:
    return KafkaReader(KafkaConnection(path.addresses.kafka_bootstrap, path.prefix))


def archive(path: TradingPath) -> ArchiveReader:
    return ArchiveReader(path.addresses.pg_dsn, path.prefix)


def reconciled(path: TradingPath, log: LogReader) -> Reconciliation:
    class Opened:
        def __enter__(self) -> PostgresRows:
            self.database = psycopg.connect(path.addresses.pg_dsn)
            return PostgresRows(self.database, path.prefix)

        def __exit__(self, *_: object) -> None:
            self.database.close()

    return reconcile_when_quiet(log, path.codec, Opened, 90.0)


def state_hashes(path: TradingPath, log: LogReader) -> dict[TopicPartition, str]:
    """Of each shard of risk and each book, folded from the log's first record to its end."""
    hashes = {}
    for topic, make_folds in STATEFUL:
        factory = make_folds(path.codec, lambda _record, _error: None)
        for at in every_partition(topic.name):
            fold = factory.fresh(at)
            for chunk in log.read(at, 0, log.bounds(at)[1]):
                for record in chunk:
                    fold.handle(record)
            hashes[at] = hash_state(fold.dump())
    return hashes


def audited(path: TradingPath) -> Findings:
    addresses = path.addresses
    deployment = Deployment(
        addresses.kafka_bootstrap, addresses.registry_url, addresses.pg_dsn, path.prefix
    )
    return audit_deployment(deployment, Options(processes=1))


def assert_sound(path: TradingPath, before: dict[str, int]) -> None:
    """The audit holds, and folded as many commands as before retention passed."""
    found = audited(path)
    assert found.holds, found.first
    for inbox in ("accounts", "matching"):
        assert found.checked[f"records of {inbox}"] == before[f"records of {inbox}"]


def trim(path: TradingPath, log: LogReader, before: Callable[[int], int]) -> None:
    """What the broker does when a segment's age is reached."""
    ends = {at: log.bounds(at)[1] for topic in TRIMMED for at in every_partition(topic.name)}
    places = [
        KafkaPartition(path.prefix + at.topic, at.partition, before(end))
        for at, end in ends.items()
        if end
    ]
    admin = connect_admin(path.addresses.kafka_bootstrap)
    for future in admin.delete_records(places).values():
        future.result()
    wait_until(
        lambda: all(log.bounds(at)[0] == before(end) for at, end in ends.items() if end),
        "the records to be gone",
    )


@pytest.mark.long
def test_a_day_that_is_not_over_is_listed_and_neither_archived_nor_dropped(
    path: TradingPath, stack_infra: StackInfra, tmp_path: Path
) -> None:
    log = kafka(path)
    assert reconciled(path, log).is_whole
    environment = {
        "OUTCRY_HOME": str(stack_infra.settings.home),
        "OUTCRY_PORT_BASE": str(stack_infra.settings.port_base),
        "OUTCRY_TOPIC_PREFIX": path.prefix,
    }
    cli = CliRunner(env=environment)
    days = json.loads(cli.invoke(app, ["ledger", "days", "--json"]).stdout)
    today = days[-1] if days[-1]["day"] != "other" else days[-2]
    assert today["rows"] > 3_000
    assert (today["is_over"], today["is_archived"], today["is_dropped"]) == (False, False, False)
    assert today["day"] in cli.invoke(app, ["ledger", "days"]).stdout
    for command in (["archive", today["day"], "--to"], ["drop", today["day"], "--from"]):
        refused = cli.invoke(app, ["ledger", *command, str(tmp_path)]).exception
        assert isinstance(refused, LedgerError)
        assert "is not over" in str(refused)
    nowhere = cli.invoke(app, ["ledger", "restore", "2020-01-01", "--from", str(tmp_path)])
    assert "no archived day" in str(nowhere.exception)

    at = TopicPartition(ACCOUNTS.name, 0)
    with kafka_first_offsets(path.addresses.kafka_bootstrap) as first_offset:
        assert first_offset(path.prefix, at) == log.bounds(at)[0] == 0
        assert first_offset("nobody.", at) is None
    log.close()


def test_a_replay_from_zero_gives_the_same_states_after_retention(path: TradingPath) -> None:
    log = kafka(path)
    found = reconciled(path, log)
    assert found.is_whole, [check for check in found.checks if not check.holds]
    assert found.figures["trades"] > 50
    states = state_hashes(path, log)
    seen = audited(path).checked

    trim(path, log, lambda end: end // 2)
    with pytest.raises(HistoryLostError, match="begins at offset"):
        state_hashes(path, log)
    whole = WholeLog(kafka(path), archive(path))
    assert state_hashes(path, whole) == states
    found = reconciled(path, log)
    assert found.is_whole, [check for check in found.checks if not check.holds]
    assert found.figures["trades"] > 20
    assert_sound(path, seen)

    trim(path, log, lambda end: end)
    assert state_hashes(path, whole) == states
    controls = TopicPartition(CONTROLS.name, 0)
    assert whole.bounds(controls)[0] == log.bounds(controls)[0] == 0
    found = reconciled(path, log)
    assert found.is_whole, [check for check in found.checks if not check.holds]
    assert_sound(path, seen)
    whole.close()
    log.close()
