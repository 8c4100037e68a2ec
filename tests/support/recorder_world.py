"""A deployment for the recorder: topics, a database, a writer like the rooms, and processes."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import orjson
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.domain.commands import (
    CancelAll,
    CancelOrder,
    EnterOrder,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
)
from services.domain.controls import Halt
from services.domain.events import (
    AccountState,
    ExecutionReport,
    OrderAccepted,
    TickerLimits,
    Trade,
)
from services.domain.origin import ACCOUNTS, MATCHING, ORDERS, Origin
from services.recorder.archive import ArchiveReader, RecordedMessage, read_messages
from services.recorder.core import ARCHIVED, RECORDED
from services.recorder.migrations import migrate
from services.runtime.errors import RetriableError
from services.runtime.kafka import KafkaConnection, to_record
from services.runtime.kafka_admin import connect_admin, create_topics
from services.runtime.kafka_decided import await_decided
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import LogReader, Record, TopicPartition
from services.runtime.registry import load_codec, register_schemas
from services.tools.stack.plan import Addresses
from services.wire.codec import UndecodableError
from services.wire.messages import Payload
from tests.support.waiting import wait_until

_TYPED_COMMANDS: Final = (PlaceOrder, CancelOrder, CancelAll, ReduceOrder, ReplaceOrder)
PARTITIONS: Final = [TopicPartition(t.name, p) for t in RECORDED for p in range(t.partitions)]
NOW_US: Final = 1_790_000_000_000_000


class RecorderProcess:
    """`python -m services.recorder`, its log in a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.recorder"],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def events(self) -> list[dict[str, Any]]:
        """The log so far."""
        lines = self._log.read_bytes().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith(b"{")]

    def has_logged(self, event: str) -> bool:
        return any(line["event"] == event for line in self.events())

    def is_ready(self) -> bool:
        """What /ready says; False before there is one."""
        ports = [line["port"] for line in self.events() if line["event"] == "metrics"]
        if not ports:
            return False
        try:
            with urlopen(f"http://127.0.0.1:{ports[0]}/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except HTTPError as error:
            error.close()
            return False

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """End it wherever it is."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(timeout=30)


class RecorderWorld:
    """One deployment on the session's stack."""

    def __init__(self, addresses: Addresses, folder: Path, seed: int = 1) -> None:
        self._addresses = addresses
        self._folder = folder
        self._random = random.Random(seed)
        self.prefix = f"recorder-{uuid4().hex[:8]}."
        self.dsn = make_conninfo(addresses.pg_dsn, dbname=f"recorder_{uuid4().hex[:8]}")
        create_database(self.dsn)
        migrate(self.dsn)
        create_topics(addresses.kafka_bootstrap, self.prefix)
        register_schemas(addresses.registry_url)
        self.codec = load_codec(addresses.registry_url)
        self.connection = KafkaConnection(addresses.kafka_bootstrap, self.prefix)
        self.log: LogReader = KafkaReader(self.connection)
        self._producer = self._new_producer()
        self._processes: list[RecorderProcess] = []
        self._written = 0

    def _new_producer(self) -> Producer:
        producer = Producer(
            {
                "bootstrap.servers": self._addresses.kafka_bootstrap,
                "transactional.id": f"{self.prefix}writer",
                "transaction.timeout.ms": 10_000,
                "log_level": 2,
                "linger.ms": 1,
                "retry.backoff.ms": 1,
            }
        )
        producer.init_transactions(60)
        return producer

    def start_recorder(self, dsn: str = "", **settings: object) -> RecorderProcess:
        """A recorder of this deployment, by default on its database itself."""
        environment = os.environ | {
            "OUTCRY_KAFKA_BOOTSTRAP": self._addresses.kafka_bootstrap,
            "OUTCRY_REGISTRY_URL": self._addresses.registry_url,
            "OUTCRY_PG_DSN": dsn or self.dsn,
            "OUTCRY_TOPIC_PREFIX": self.prefix,
            "OUTCRY_METRICS_PORT": "0",
            **{f"OUTCRY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        log = self._folder / f"recorder-{len(self._processes)}.log"
        made = RecorderProcess(environment, log)
        self._processes.append(made)
        return made

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self.log.close()
        drop_database(self.dsn)

    # --- what the rooms would write ---------------------------------------------------------

    def write(self, transactions: int, *, aborted: float = 0.2, records: int = 20) -> None:
        """Transactions of some records each, on all topics; a share of them is aborted."""
        for _ in range(transactions):
            try:
                self._write_one(aborted, records)
            except KafkaException:
                # A broker that comes back may have timed the transaction out: another writer goes
                # on, as a room would. What is on the log says what must be recorded.
                self._producer = self._new_producer()

    def _write_one(self, aborted: float, records: int) -> None:
        self._producer.begin_transaction()
        for _ in range(self._random.randint(1, records)):
            topic, partition, key, value = self._message()
            self.produce(topic, partition, key, value)
        if self._random.random() < aborted:
            self._producer.flush(30)
            self._producer.abort_transaction(30)
        else:
            self._producer.commit_transaction(30)

    def settle(self) -> None:
        """Until each transaction has its markers: a commit is answered before they are written."""
        admin = connect_admin(self.connection.bootstrap)

        def is_decided() -> bool:
            try:
                await_decided(admin, self.prefix, PARTITIONS)
            except RetriableError:
                return False
            return True

        wait_until(is_decided, "every transaction to be decided")

    def write_raw(self, topic: str, values: Sequence[bytes | None]) -> None:
        """Anything, committed, on partition 0."""
        self._producer.begin_transaction()
        for value in values:
            self.produce(topic, 0, None, value)
        self._producer.commit_transaction(30)

    def produce(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        while True:
            try:
                self._producer.produce(self.prefix + topic, value, key, partition)
            except BufferError:
                self._producer.poll(0.01)
            else:
                return

    def _message(self) -> tuple[str, int, bytes | None, bytes]:
        """A random message; each differs from all others."""
        n = self._written
        self._written += 1
        account, ticker = f"account-{n % 7}", ("AAPL", "MSFT")[n % 2]
        order_id = f"{ticker}-{uuid4()}"
        topic, payload = self._random.choice(_messages(n, account, ticker, order_id))
        partitions = next(known.partitions for known in RECORDED if known.name == topic)
        partition = self._random.randrange(partitions)
        if topic == "controls":
            return topic, partition, None, self.codec.encode_command(topic, payload, n)
        number = {"accounts": ORDERS, "matching": ACCOUNTS, "executions": ACCOUNTS}
        origin = Origin(
            number.get(topic, MATCHING), n % 4, n, n % 3, n + 1, NOW_US + n, (NOW_US - n) * (n % 2)
        )
        return topic, partition, account.encode(), self.codec.encode(topic, origin, payload)

    # --- what must hold -----------------------------------------------------------------------

    def offsets(self) -> dict[TopicPartition, int]:
        """How far each partition is recorded."""
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute(
                "SELECT topic, partition, next_offset FROM outcry.recorder_offsets"
                " WHERE deployment = %s",
                (self.prefix,),
            ).fetchall()
        return {TopicPartition(topic, partition): offset for topic, partition, offset in found}

    def recorded(self) -> int:
        """Sum of the offsets, which grows with each batch."""
        return sum(self.offsets().values())

    def committed(self, at: TopicPartition) -> list[Record]:
        """All committed records of a partition, from Kafka."""
        return self.all_committed([at])[at]

    def all_committed(
        self, partitions: Sequence[TopicPartition] = PARTITIONS
    ) -> dict[TopicPartition, list[Record]]:
        """All committed records of partitions, read side by side by a plain consumer."""
        self.settle()
        names = {self.prefix + at.topic: at.topic for at in partitions}
        found: dict[TopicPartition, list[Record]] = {at: [] for at in partitions}
        reading = set(partitions)
        settings = {"group.id": f"{self.prefix}oracle", "enable.partition.eof": True}
        consumer: Consumer = Consumer(self.connection.reader_config() | settings)
        consumer.assign(
            [KafkaPartition(self.prefix + a.topic, a.partition, OFFSET_BEGINNING) for a in reading]
        )
        while reading:
            for message in consumer.consume(10_000, 0.2):
                error = message.error()
                at = TopicPartition(names[str(message.topic())], int(message.partition() or 0))
                if error is None:
                    found[at].append(to_record(message, names))
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    reading.discard(at)
        consumer.close()
        return found

    def wait_until_recorded(self) -> None:
        """Until the last committed record of each partition is."""
        wanted = {at: records[-1].offset for at, records in self.all_committed().items() if records}

        def is_recorded() -> bool:
            reached = self.offsets()
            return all(reached.get(at, 0) > offset for at, offset in wanted.items())

        wait_until(is_recorded, "the recorder to reach the end", timeout_s=60)

    def assert_recorded_exactly(self) -> None:
        """Archive and tables hold each committed record once, byte for byte, and nothing else."""
        archive = ArchiveReader(self.dsn, self.prefix)
        with psycopg.connect(self.dsn) as connection:
            for at, committed in self.all_committed().items():
                if at.topic in ARCHIVED:
                    end = archive.bounds(at)[1]
                    archived = [r for chunk in archive.read(at, 0, end) for r in chunk]
                    assert archived == committed, f"{at}: archive differs from the topic"
                if at.topic in {"accounts", "executions", "trades"}:
                    rows = list(read_messages(connection, self.prefix, at.topic, at.partition))
                    assert rows == self._as_messages(committed), f"{at}: rows differ"
        archive.close()

    def _as_messages(self, records: Sequence[Record]) -> list[RecordedMessage]:
        messages = []
        for record in records:
            try:
                decoded = self.codec.decode(record.topic, record.value)
            except UndecodableError:
                continue
            if record.topic != "accounts" or isinstance(decoded.payload, _TYPED_COMMANDS):
                messages.append(RecordedMessage(record.offset, decoded))
        return messages


def _messages(n: int, account: str, ticker: str, order_id: str) -> list[tuple[str, Payload]]:
    order = PlaceOrder(account, f"o-{n}", ticker, 1, 2, 1, n % 2 == 0, 1_872_500, n, 0)
    report = ExecutionReport(
        account, n, order_id, f"o-{n}", f"c-{n}", ticker, 1, 2, -1, 2, 1_872_500, 100, 40,
        1_872_400, 1, f"{ticker}-{n}-0", 60, 40, 1, -60, 160, 3, 9, 1_872_400, 35, -1,
    )  # fmt: skip
    trade = Trade(f"{ticker}-{n}-0", ticker, 1, n, -1, order_id, order_id, "b", account, 1, 7, 2, 8)
    limits = TickerLimits(ticker, -n, 20, 30)
    return [
        ("accounts", order),
        ("accounts", CancelOrder(account, f"c-{n}", order_id)),
        ("accounts", CancelAll(account, f"c-{n}", "")),
        ("accounts", ReduceOrder(account, f"c-{n}", order_id, n)),
        ("accounts", ReplaceOrder(account, f"c-{n}", order_id, n, n)),
        ("accounts", OrderAccepted(account, order_id)),
        ("matching", EnterOrder(order_id, account, 1, 2, 1, False, 1_872_500, n, 0)),
        ("matching", CancelOrder(account, f"c-{n}", order_id)),
        ("controls", Halt(f"h-{n}", ticker)),
        ("executions", report),
        ("executions", AccountState(account, n, f"c-{n}", True, False, 1, 2, 3, (limits,))),
        ("trades", trade),
    ]


def create_database(dsn: str, encoding: str = "UTF8") -> None:
    """Make the database a DSN names."""
    with maintenance(dsn) as (connection, name):
        connection.execute(
            sql.SQL("CREATE DATABASE {} ENCODING {} TEMPLATE template0 LOCALE 'C'").format(
                name, sql.Literal(encoding)
            )
        )


def copy_database(dsn: str) -> str:
    """A copy of a database that nobody is connected to: its DSN."""
    with maintenance(dsn) as (connection, name):
        copy = f"copy_{uuid4().hex[:8]}"
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(copy), name)
        )
    return make_conninfo(dsn, dbname=copy)


def drop_database(dsn: str) -> None:
    """Drop the database a DSN names, with whoever is in it."""
    with maintenance(dsn) as (connection, name):
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@contextmanager
def maintenance(dsn: str) -> Iterator[tuple[psycopg.Connection, sql.Identifier]]:
    """A connection beside the database a DSN names, and its name."""
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
        yield connection, sql.Identifier(name)
