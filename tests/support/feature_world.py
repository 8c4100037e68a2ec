"""A deployment for the feature room: its two topics, a writer like the matcher, and processes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import msgspec
import orjson
from confluent_kafka import Producer

from services.domain.features import FeatureRow
from services.features.core import PartitionFold
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_admin import create_topics
from services.runtime.kafka_reader import KafkaReader
from services.runtime.kafka_tail import KafkaGroupTail
from services.runtime.ports import Record, TopicPartition
from services.runtime.registry import load_codec, register_schemas
from services.tools.stack.plan import Addresses
from services.wire.codec import Codec, Decoded, UndecodableError
from services.wire.topics import FEATURES, TRADES
from tests.support.trade_tape import V1, TradeTape, live_sets
from tests.support.waiting import wait_until

_KILL_TRIES: Final = 100
_LOG_TOLD: Final = 3_000
"""Characters of a log's end that a failure shows."""

type Row = tuple[int, bytes | None, bytes | None]
"""Partition, key and value of a record of `features`."""


class FeatureProcess:
    """`python -m services.features`, its log in a file."""

    def __init__(self, environment: Mapping[str, str], log: Path, program: Sequence[str]) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *program], env=environment, stdout=out, stderr=subprocess.STDOUT
            )

    def events(self) -> list[dict[str, Any]]:
        """The log so far."""
        lines = self.log.read_bytes().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith(b"{")]

    def count(self, event: str) -> int:
        """How often it logged this."""
        return sum(line["event"] == event for line in self.events())

    def ask(self, path: str) -> tuple[int, str]:
        """Its metrics port's answer; status 0 before there is one."""
        ports = [line["port"] for line in self.events() if line["event"] == "metrics"]
        if not ports:
            return 0, ""
        try:
            with urlopen(f"http://127.0.0.1:{ports[0]}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        return self.ask("/ready")[0] == 200

    def wait_until_ready(self) -> None:
        wait_until(
            lambda: self.is_ready() or self.process.poll() is not None, "readiness", timeout_s=60
        )
        assert self.process.poll() is None, self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """End it wherever it is, frozen or not."""
        self.process.kill()
        self.process.wait(timeout=30)


class FeatureWorld:
    """One deployment on the session's stack."""

    def __init__(
        self, addresses: Addresses, folder: Path, *, seed: int = 1, sets: tuple[str, ...] = (V1,)
    ) -> None:
        self.addresses = addresses
        self._folder = folder
        self._random = random.Random(seed)
        self.prefix = f"features-{uuid4().hex[:8]}."
        self.sets = sets
        create_topics(addresses.kafka_bootstrap, self.prefix, (TRADES, FEATURES))
        register_schemas(addresses.registry_url)
        self.codec: Codec = load_codec(addresses.registry_url)
        self.connection = KafkaConnection(addresses.kafka_bootstrap, self.prefix)
        self.reader = KafkaReader(self.connection)
        self.tapes = [TradeTape(p, seed) for p in range(TRADES.partitions)]
        self.producer = Producer(
            {
                "bootstrap.servers": addresses.kafka_bootstrap,
                "transactional.id": f"{self.prefix}matcher",
                "transaction.timeout.ms": 10_000,
                "log_level": 2,
                "linger.ms": 1,
                "retry.backoff.ms": 1,
            }
        )
        self.producer.init_transactions(30)
        self.processes: list[FeatureProcess] = []
        self.written = 0
        self.aborted = 0

    def start(self, instance: str = "0", *program: str, **settings: object) -> FeatureProcess:
        """A process of the room, or of another program with its environment."""
        clean = {name: v for name, v in os.environ.items() if not name.startswith("OUTCRY_")}
        environment = clean | {
            "OUTCRY_KAFKA_BOOTSTRAP": self.addresses.kafka_bootstrap,
            "OUTCRY_REGISTRY_URL": self.addresses.registry_url,
            "OUTCRY_TOPIC_PREFIX": self.prefix,
            "OUTCRY_METRICS_PORT": "0",
            "OUTCRY_INSTANCE": instance,
            "OUTCRY_FEATURES_SETS": ",".join(self.sets),
            **{f"OUTCRY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        log = self._folder / f"features-{len(self.processes)}.log"
        made = FeatureProcess(environment, log, program or ("-m", "services.features"))
        self.processes.append(made)
        return made

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        self.reader.close()

    # --- writing trades --------------------------------------------------------------------

    def trade(
        self, count: int, *, partitions: Sequence[int] = range(5), abort: bool = False
    ) -> None:
        """One transaction of so many trades, committed or aborted."""
        marks = [tape.mark() for tape in self.tapes]
        self.producer.begin_transaction()
        for _ in range(count):
            partition = self._random.choice(partitions)
            origin, trade = self.tapes[partition].next()
            self.put(partition, self.codec.encode(TRADES.name, origin, trade))
        if not abort:
            self.producer.commit_transaction(30)
            self.written += count
            return
        self.producer.flush(30)  # so that the records are in the log, and an abort marker behind
        self.producer.abort_transaction(30)
        self.aborted += count
        for tape, mark in zip(self.tapes, marks, strict=True):
            tape.rewind(mark)

    def put(self, partition: int, value: bytes | None) -> None:
        """One record into the open transaction."""
        self.producer.produce(self.prefix + TRADES.name, value, None, partition)

    def trade_for(self, seconds: float, per_s: int = 500) -> None:
        """Open-loop load in small transactions, a fifth of them aborted."""
        began_s = time.monotonic()
        target = self.written
        while (passed_s := time.monotonic() - began_s) < seconds:
            if self.written - target > per_s * passed_s:
                time.sleep(0.002)
                continue
            self.trade(self._random.randrange(1, 20), abort=self._random.random() < 0.2)

    # --- what came out ---------------------------------------------------------------------

    def records(self, topic: str) -> list[Record]:
        """Every committed record, partition by partition."""
        found: list[Record] = []
        for partition in range(5):
            at = TopicPartition(topic, partition)
            for chunk in self.reader.read(at, *self.reader.bounds(at)):
                found += chunk
        return found

    def rows(self) -> list[Row]:
        """Everything on `features`, repetitions too."""
        return [(r.partition, r.key, r.value) for r in self.records(FEATURES.name)]

    def expected(self) -> list[Row]:
        """The direct fold over the committed log, once all that was committed can be read.

        A commit is answered before its markers stand in every partition.
        """
        wait_until(
            lambda: self._trades_to_read() >= self.written,
            "the last commit's trades to be readable",
        )
        folds = [PartitionFold(p, live_sets(*self.sets)) for p in range(5)]
        rows: list[Row] = []
        for record in self.records(TRADES.name):
            try:
                trade = self.codec.decode(TRADES.name, record.value)
            except UndecodableError:
                continue
            for message in folds[record.partition].handle(record.offset, trade):
                value = self.codec.encode(FEATURES.name, message.origin, message.payload)
                rows.append((message.partition, message.key.encode(), value))
        return rows

    def _trades_to_read(self) -> int:
        return len(self.records(TRADES.name))

    def require_equal(self, timeout_s: float = 60.0) -> tuple[int, int]:
        """Wait until all rows are there, then hold their set against the direct fold.

        Returns how many rows there are, and how many records repeat one of them.
        """
        wanted = self.expected()
        assert len(set(wanted)) == len(wanted)
        try:
            wait_until(lambda: set(wanted) <= set(self.rows()), "every row", timeout_s)
        except AssertionError as error:
            error.add_note(self._where_it_stands(set(wanted) - set(self.rows())))
            raise
        rows = self.rows()
        extra = [self.decode(row) for row in set(rows) - set(wanted)]
        told = (
            f"{len(extra)} rows that no fold makes, of {len(wanted)}; trades end at {self.ends()}"
        )
        assert not extra, f"{told}; such as {extra[:2]}"
        return len(wanted), len(rows) - len(wanted)

    def _where_it_stands(self, missing: set[Row]) -> str:
        """Which rows are missing, and what each process last said: to be read from CI's output."""
        places = sorted({row[0] for row in missing})
        lines = [f"{len(missing)} rows are missing, of partitions {places}"]
        lines += [f"the group's offsets {self.committed()} of {self.ends()}"]
        for process in self.processes:
            code, ready = process.process.poll(), process.ask("/ready")[0]
            lines += [f"{process.log.name}: exit code {code}, /ready {ready}; its log ends:"]
            lines += [process.log.read_text()[-_LOG_TOLD:]]
        return "\n".join(lines)

    def decode(self, row: Row) -> Decoded[FeatureRow]:
        return msgspec.convert(self.codec.decode(FEATURES.name, row[2]), Decoded[FeatureRow])

    def kill_amid_rows(self, room: FeatureProcess, trade: Callable[[], None]) -> None:
        """SIGKILL while rows are on `features` whose trades are not committed.

        The next one is given these trades again, and writes their rows again.
        """
        for _ in range(_KILL_TRIES):
            trade()
            room.signal(signal.SIGSTOP)  # so that no commit comes between the look and the kill
            committed = self.committed()
            closing = (
                (row[0], origin.offset)
                for row in self.rows()
                if (origin := self.decode(row).origin) is not None
            )
            if any(offset >= committed[partition] for partition, offset in closing):
                room.kill()
                return
            room.signal(signal.SIGCONT)
        raise AssertionError("each row's trade was committed whenever the room was looked at")

    # --- the group's books -----------------------------------------------------------------

    def ends(self) -> dict[int, int]:
        """Where the committed part of each partition of `trades` ends."""
        return {p: self.reader.bounds(TopicPartition(TRADES.name, p))[1] for p in range(5)}

    def committed(self) -> dict[int, int]:
        """The group's committed offsets; -1: none."""
        tail = KafkaGroupTail(self.connection, "features")
        found = tail.committed([TopicPartition(TRADES.name, p) for p in range(5)])
        tail.close()
        return {at.partition: offset for at, offset in found.items()}
