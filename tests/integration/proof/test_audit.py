"""`outcry audit` on a real exchange: clean as it is, and each planted change is named."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from typing import Any

import psycopg
import pytest
import typer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from psycopg import sql
from typer.testing import CliRunner

from services.risk.service import make_folds
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import Snapshot, TopicPartition
from services.runtime.snapshots import PostgresSnapshots
from services.tools.market.admit import admit_crowd
from services.tools.market.publish import Publisher, publish
from services.tools.market.simulator import Crowd
from services.tools.proof.commands import register
from tests.support.stack_fixture import StackInfra
from tests.support.trading_path import TradingPath, running_path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

app = typer.Typer()
register(app)

SEED = 31
RECORDS = 1_500


@pytest.fixture(scope="module")
def path(stack_infra: StackInfra) -> Iterator[TradingPath]:
    """A crowd's trading, everything answered and recorded."""
    with running_path(stack_infra, "audited.") as path:
        admit_crowd(path.exchange, SEED)
        publisher = Publisher(path.addresses.kafka_bootstrap, path.prefix, path.codec)
        publish(publisher, path.codec, islice(Crowd(SEED).commands(), RECORDS), 0)
        yield path


class Audit:
    """The command, in the environment of the test's deployment."""

    def __init__(self, path: TradingPath) -> None:
        self.path = path

    def run(self, *options: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, ["audit", "--json", *options])
        return result.exit_code, json.loads(result.stdout)

    def text(self) -> tuple[int, str]:
        """As people read it, with one blank between words."""
        result = CliRunner().invoke(app, ["audit", "--processes", "1", "--timeout-s", "0"])
        return result.exit_code, " ".join(result.stdout.split())

    def first(self, *options: str) -> dict[str, Any]:
        """The first difference of what is there now; nothing is on its way."""
        code, said = self.run("--processes", "1", "--timeout-s", "0", *options)
        assert code == 1, said["notes"]
        first: dict[str, Any] = said["first_difference"]
        return first

    def recorded(self) -> list[dict[str, Any]]:
        """What is kept of the audits so far, the oldest first."""
        with self.database() as database:
            rows = database.execute(
                "SELECT to_jsonb(kept) FROM outcry.audits AS kept WHERE deployment = %s"
                " ORDER BY audit_id",
                (self.path.prefix,),
            )
            return [row for (row,) in rows]

    def database(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.path.addresses.pg_dsn, autocommit=True)


@pytest.fixture
def audit(path: TradingPath, stack_infra: StackInfra, monkeypatch: pytest.MonkeyPatch) -> Audit:
    monkeypatch.setenv("OUTCRY_PORT_BASE", str(stack_infra.settings.port_base))
    monkeypatch.setenv("OUTCRY_TOPIC_PREFIX", path.prefix)
    return Audit(path)


def test_an_exchange_is_found_whole_by_one_process_or_two(audit: Audit) -> None:
    code, said = audit.run()
    assert code == 0, said["first_difference"]
    assert said["checked"]["records of orders"] == RECORDS
    assert said["checked"]["rows of trades"] == said["totals"]["matching trades"] > 50
    assert said["notes"] == {}
    code, text = audit.text()
    assert code == 0, text
    assert text.endswith("Everything follows from the log.")
    for one in kept_digests(said):
        assert f"{one['topic']} {one['partition']} {one['first_offset']}" in text
        assert f" {one['records']} {one['digest']}" in text
    for name, number in said["totals"].items():
        assert f"{name} {number:,}" in text
    two, one = audit.recorded()
    assert (two["holds"], two["differences"], two["first_difference"]) == (True, 0, "")
    assert two["records"] >= RECORDS
    assert one["digest"] == two["digest"]
    ends = {(d["topic"], d["partition"]): d["next_offset"] for d in said["digests"]}
    assert two["next_offsets"]["orders"] == [ends["orders", partition] for partition in range(5)]


def kept_digests(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the topics that nothing compacts meanwhile."""
    return [digest for digest in said["digests"] if digest["topic"] != "book"]


@contextmanager
def writable(database: psycopg.Connection[Any], table: str) -> Iterator[None]:
    """What only whoever owns the database can do: switch off that rows are only ever added."""
    name = sql.Identifier("outcry", table)
    database.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER append_only").format(name))
    try:
        yield
    finally:
        database.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER append_only").format(name))


CHANGES = [
    ("orders", "price", "price # 1"),
    ("cancels", "order_id", "overlay(order_id placing 'X' from 3)"),
    ("executions", "remaining_quantity", "remaining_quantity # 64"),
    ("account_states", "tickers", "'[]'"),
    ("trades", "taker_account", "overlay(taker_account placing 'X' from 1)"),
    ("archive", "value", "set_byte(value, 9, get_byte(value, 9) # 1)"),
    ("archive", "timestamp_ms", "timestamp_ms # 1"),
]


@pytest.mark.parametrize("table,column,changed", CHANGES)
def test_a_changed_row_is_named(audit: Audit, table: str, column: str, changed: str) -> None:
    with audit.database() as database, writable(database, table):
        chosen = sql.SQL(
            'SELECT deployment_id, partition, "offset", {column} FROM outcry.{table}'
            " JOIN outcry.deployments USING (deployment_id) WHERE deployment = %s"
            " AND {column}::text NOT IN ('', '[]')"
            ' ORDER BY md5("offset"::text) LIMIT 1'
        ).format(table=sql.Identifier(table), column=sql.Identifier(column))
        row = database.execute(chosen, (audit.path.prefix,)).fetchone()
        assert row is not None
        place, before = row[:3], row[3]
        update = (
            sql.SQL(
                "UPDATE outcry.{table} SET {column} = {{}}"
                ' WHERE deployment_id = %s AND partition = %s AND "offset" = %s{{}}'
            )
            .format(table=sql.Identifier(table), column=sql.Identifier(column))
            .as_string()
        )
        only: sql.Composable = sql.SQL("")
        if table == "archive":
            only = sql.SQL(
                " AND topic_number = (SELECT topic_number FROM outcry.archive"
                ' WHERE deployment_id = {} AND partition = {} AND "offset" = {}'
                " ORDER BY topic_number LIMIT 1)"
            ).format(*map(sql.Literal, place))
        database.execute(sql.SQL(update).format(sql.SQL(changed), only), place)
        first = audit.first()
        original = sql.Literal(json.dumps(before) if column == "tickers" else before)
        database.execute(sql.SQL(update).format(original, only), place)
    assert (first["partition"], first["offset"]) == place[1:]
    assert first["where"] == f"table {table}"
    kept = audit.recorded()[-1]
    assert not kept["holds"]
    assert f"/{place[1]} at offset {place[2]}, table {table}" in kept["first_difference"]


def test_a_row_that_is_gone_is_named(audit: Audit) -> None:
    with audit.database() as database, writable(database, "trades"):
        database.execute("CREATE TEMP TABLE gone AS SELECT * FROM outcry.trades LIMIT 0")
        database.execute(
            "WITH taken AS (DELETE FROM outcry.trades WHERE ctid = (SELECT t.ctid"
            " FROM outcry.trades AS t JOIN outcry.deployments USING (deployment_id)"
            " WHERE deployment = %s ORDER BY t.price LIMIT 1) RETURNING *)"
            " INSERT INTO gone SELECT * FROM taken",
            (audit.path.prefix,),
        )
        place = database.execute('SELECT partition, "offset" FROM gone').fetchone()
        code, text = audit.text()
        database.execute("INSERT INTO outcry.trades SELECT * FROM gone")
    assert place is not None
    assert code == 1
    where = f"trades/{place[0]} at offset {place[1]}, table trades (rows)"
    assert f"FIRST DIFFERENCE: {where} expected: " in text
    assert " found: none" in text


def test_a_byte_of_a_snapshot_is_named(audit: Audit) -> None:
    path = audit.path
    place = TopicPartition("accounts", 1)
    store = PostgresSnapshots(path.addresses.pg_dsn, path.prefix, 5)
    log = KafkaReader(KafkaConnection(path.addresses.kafka_bootstrap, path.prefix))
    fold = make_folds(path.codec, lambda _record, _error: None).fresh(place)
    end = log.bounds(place)[1] // 2
    for chunk in log.read(place, 0, end):
        for record in chunk:
            fold.handle(record)
    state = fold.dump()
    state_hash = blake2b(state, digest_size=32).hexdigest()
    kept = Snapshot("risk", "accounts", 1, end, log.topic_id("accounts"), 1, fold.genesis_hash(),
                    state, state_hash)  # fmt: skip
    log.close()
    store.put(kept)
    at_least = len_of(audit)
    code, said = audit.run()
    # The rooms take theirs every half minute in which they work: also while the audit reads.
    assert code == 0
    assert 1 <= at_least <= said["checked"]["snapshots"] <= len_of(audit)
    with audit.database() as database:
        database.execute(
            "UPDATE outcry.snapshots SET state = set_byte(state, 99, get_byte(state, 99) # 1)"
            ' WHERE deployment = %s AND topic = %s AND partition = 1 AND "offset" = %s',
            (path.prefix, "accounts", end),
        )
    first = audit.first()
    store.put(kept)
    assert (first["check"], first["topic"], first["offset"]) == ("snapshots", "accounts", end)


def len_of(audit: Audit) -> int:
    """How many snapshots are kept."""
    with audit.database() as database:
        found = database.execute(
            "SELECT count(*) FROM outcry.snapshots WHERE deployment = %s", (audit.path.prefix,)
        ).fetchone()
    return 0 if found is None else int(found[0])


@pytest.mark.long
def test_a_strangers_message_is_named_and_retention_does_not_hide_the_rest(audit: Audit) -> None:
    """Last, since what it does to the log stays."""
    path = audit.path
    admin = AdminClient({"bootstrap.servers": path.addresses.kafka_bootstrap})

    def drop(topic: str, partition: int, before: int) -> None:
        dropped = [KafkaPartition(path.prefix + topic, partition, before)]
        for future in admin.delete_records(dropped).values():
            future.result(30)

    assert audit.run()[0] == 0  # which waits until all of it is there
    for partition in range(2):
        drop("executions", partition, 40)
    code, said = audit.run()
    assert code == 0, said["first_difference"]
    assert said["checked"]["messages of executions, from executions alone"] > 0
    drop("accounts", 1, 30)
    drop("matching", 1, 30)
    again = audit.run()
    assert (again[0], kept_digests(again[1])) == (0, kept_digests(said))
    refused = CliRunner().invoke(app, ["audit", "--no-database"])
    assert "begins at offset 30, and an audit needs it from 0" in str(refused.exception)
    forged = KafkaReader(KafkaConnection(path.addresses.kafka_bootstrap, path.prefix))
    end = forged.bounds(TopicPartition("trades", 0))[1]
    record = next(r for chunk in forged.read(TopicPartition("trades", 0), 0, end) for r in chunk)
    forged.close()
    path.producer.produce(path.prefix + "trades", record.value, record.key, 0)
    path.producer.flush(10)
    first = audit.first()
    assert (first["topic"], first["partition"], first["offset"]) == ("trades", 0, end)
    assert first["check"] == "messages extra"
