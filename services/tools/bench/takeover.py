"""`outcry bench takeover`: from the kill of a full room to its next committed transaction.

One room on a stack of its own, its inbox filled with orders that all rest. A probe that causes one
answer is published every few milliseconds; the room is killed with SIGKILL, and the time until the
first answer to a probe published after that can be read (read_committed) is the takeover. With a
standby the other process takes over and the killed one is started again to follow; without one the
killed process is started again at once (a supervisor would wait half a second first).
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place
from rich.table import Table

from services.domain import origin
from services.domain.commands import CancelOrder
from services.domain.ids import make_order_id
from services.runtime.registry import load_codec
from services.tools.bench.frame import Say
from services.tools.bench.full_rooms import (
    Inbox,
    account_commands,
    accounts,
    matching_commands,
)
from services.tools.stack.deployment import create_topics, migrate_database, register_schemas
from services.tools.stack.plan import Addresses
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack
from services.wire import topics
from services.wire.codec import Codec
from services.wire.messages import Payload

type RoomName = Literal["matcher", "risk"]
_PROBE_S: Final = 0.005
_ANSWER_WAIT_S: Final = 60.0
_READY_WAIT_S: Final = 120.0
_SETTLE_S: Final = 3.0
"""Between the return of the killed process and the next kill."""
_SNAPSHOT_INTERVAL_S: Final = 5.0
_FULL: Final = {
    "matcher": (topics.MATCHING, origin.ACCOUNTS, matching_commands, topics.ACCOUNTS),
    "risk": (topics.ACCOUNTS, origin.ORDERS, account_commands, topics.EXECUTIONS),
}
"""Its inbox, who writes there, what fills it, and where it answers."""


class TakeoverFigures(msgspec.Struct, frozen=True):
    """One room, one way of coming back."""

    room: str
    orders: int
    standby: bool
    kills: int
    median_s: float
    min_s: float
    max_s: float
    times_s: list[float]


def run_takeover_bench(
    home: Path, room: RoomName, orders: int, kills: int, say: Say
) -> list[TakeoverFigures]:
    """Both ways, on one stack under `home`. Takes minutes for 100,000 orders.

    Raises:
        StackError: the stack does not start.
        RuntimeError: the room does not come back.
    """
    settings = StackSettings(home=home, port_base=free_run_base(), topic_prefix="")
    figures = []
    with running_stack(settings, rooms=()) as stack:
        for standby in (False, True):
            prefix = f"bench-{room}-{'two' if standby else 'one'}."
            create_topics(stack.addresses, prefix)
            register_schemas(stack.addresses, prefix)
            migrate_database(stack.addresses, prefix)
            pair = _Pair(stack.addresses, prefix, room, home, standby=standby)
            times_s = _measure(pair, orders, kills, say)
            figures.append(
                TakeoverFigures(
                    room,
                    orders,
                    standby,
                    kills,
                    statistics.median(times_s),
                    min(times_s),
                    max(times_s),
                    times_s,
                )
            )
    return figures


def takeover_table(figures: list[TakeoverFigures]) -> Table:
    """The figures for people."""
    table = Table("room", title="From SIGKILL to the next committed transaction")
    for heading in ("orders", "comes back by", "kills", "median", "least", "most"):
        table.add_column(heading, justify="right")
    for row in figures:
        table.add_row(
            row.room,
            f"{row.orders:,}",
            "its standby" if row.standby else "a restart",
            str(row.kills),
            *(f"{seconds:.2f} s" for seconds in (row.median_s, row.min_s, row.max_s)),
        )
    return table


def _measure(pair: "_Pair", orders: int, kills: int, say: Say) -> list[float]:
    with ExitStack() as resources:
        probe = resources.enter_context(_probing(pair.addresses, pair.prefix, pair.room))
        say(f"{pair.room}: {orders:,} orders, {'with' if pair.standby else 'without'} a standby")
        probe.fill(orders)
        resources.callback(pair.close)
        pair.start()
        probe.await_answer(since_s=time.monotonic(), timeout_s=_READY_WAIT_S)
        pair.await_snapshot()
        times_s = []
        for number in range(kills):
            probe.run(_SETTLE_S)
            killed_s = pair.kill_leader()
            times_s.append(probe.await_answer(killed_s, _ANSWER_WAIT_S))
            say(f"kill {number + 1}: {times_s[-1]:.3f} s")
            pair.await_ready(probe.run)
    return times_s


class _Pair:
    """One room's process, or two that share a lock."""

    def __init__(
        self, addresses: Addresses, prefix: str, room: RoomName, home: Path, *, standby: bool
    ) -> None:
        self.addresses = addresses
        self.prefix = prefix
        self.room = room
        self.standby = standby
        self._home = home
        self._started = 0
        self._leader: subprocess.Popen[bytes] | None = None
        self._follower: subprocess.Popen[bytes] | None = None
        self._logs: dict[int, Path] = {}

    def start(self) -> None:
        """The leader first, so that it is known which one leads."""
        self._leader = self._spawn()
        if self.standby:
            self._await_line(self._leader, "partitions_assigned", 1, lambda _s: time.sleep(0.05))
            self._follower = self._spawn()
            self._await_line(self._follower, "following", 1, lambda _s: time.sleep(0.05))

    def kill_leader(self) -> float:
        """SIGKILL; returns when (monotonic). The killed process is replaced at once."""
        killed = self._leader
        assert killed is not None
        at_s = time.monotonic()
        killed.send_signal(signal.SIGKILL)
        if self.standby:
            self._leader, self._follower = self._follower, None
        else:
            killed.wait()
            self._leader = self._spawn()
        return at_s

    def await_ready(self, meanwhile: Callable[[float], None]) -> None:
        """Until the room is as it was before the kill; a standby is started only now."""
        if self.standby:
            self._follower = self._spawn()
            self._await_line(self._follower, "following", 1, meanwhile)

    def await_snapshot(self) -> None:
        """Until one is stored."""
        by = self._follower or self._leader
        assert by is not None
        self._await_line(by, "snapshot_stored", 1, lambda _s: time.sleep(0.1))

    def close(self) -> None:
        """Kill what runs."""
        for process in (self._leader, self._follower):
            if process is not None:
                process.kill()
                process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._started += 1
        log = self._home / "logs" / f"{self.prefix}{self._started}.log"
        clean = {name: v for name, v in os.environ.items() if not name.startswith("OUTCRY_")}
        environment = clean | {
            "OUTCRY_KAFKA_BOOTSTRAP": self.addresses.kafka_bootstrap,
            "OUTCRY_REGISTRY_URL": self.addresses.registry_url,
            "OUTCRY_PG_DSN": self.addresses.pg_dsn,
            "OUTCRY_TOPIC_PREFIX": self.prefix,
            "OUTCRY_SNAPSHOT_INTERVAL_S": str(_SNAPSHOT_INTERVAL_S),
            "OUTCRY_LOG_LEVEL": "DEBUG",
        }
        if self.standby:
            environment["OUTCRY_STANDBY_LOCK"] = str(self._home / "run" / f"{self.prefix}lead")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.room}"],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._logs[process.pid] = log
        return process

    def _await_line(
        self,
        process: subprocess.Popen[bytes],
        event: str,
        count: int,
        meanwhile: Callable[[float], None],
    ) -> None:
        wanted = f'"event":"{event}"'.encode()
        give_up_at_s = time.monotonic() + _READY_WAIT_S
        log = self._logs[process.pid]
        while log.read_bytes().count(wanted) < count:
            if process.poll() is not None or time.monotonic() > give_up_at_s:
                raise RuntimeError(f"{self.room} never said {event}; see {log}")
            meanwhile(0.1)


class _Probe:
    """Publishes to a room's inbox and reads its answers."""

    def __init__(self, bootstrap: str, prefix: str, room: RoomName, codec: Codec) -> None:
        inbox, source, self._commands, answers = _FULL[room]
        self._inbox = Inbox(source)
        self._topic = inbox.name
        self._full_topic = prefix + inbox.name
        self._codec = codec
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "log_level": 0,
                "linger.ms": 0,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{prefix}probe",  # required; nothing joins or commits
                "log_level": 0,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        self._answers = answers.name
        self._consumer.assign(
            [Place(prefix + answers.name, partition, 0) for partition in range(answers.partitions)]
        )
        self._account = next(accounts())
        self._asked_s: dict[int, float] = {}
        """When the probe of each sequence was published, by its message's event time."""
        self._count = 0

    def fill(self, orders: int) -> None:
        """Publish everything the room is to hold."""
        for payload in self._commands(orders):
            self._publish(payload)
        left = self._producer.flush(_READY_WAIT_S)
        assert not left, f"{left} records were not taken"

    def _publish(self, payload: Payload) -> None:
        decoded: Any = self._inbox.say(payload)
        value = self._codec.encode(self._topic, decoded.origin, payload)
        while True:
            try:
                self._producer.produce(self._full_topic, value, partition=0)
            except BufferError:
                self._producer.poll(0.1)
                continue
            return

    def _ask(self) -> None:
        """A cancel of nobody's order: one answer, and nothing changes."""
        self._count += 1
        order_id = make_order_id(self._account, f"none-{self._count}", "AAPL")
        self._asked_s[self._count] = time.monotonic()
        self._publish(CancelOrder(self._account, f"probe-{self._count}", order_id))
        self._producer.poll(0)

    def _seen(self, timeout_s: float) -> Iterator[int]:
        """Numbers of the probes whose answers can be read now."""
        first = self._consumer.poll(timeout_s)
        messages = [] if first is None else [first, *self._consumer.consume(2_000, 0)]
        for message in messages:
            if message.error() is None:
                payload = self._codec.decode(self._answers, message.value()).payload
                command_id = str(getattr(payload, "client_command_id", ""))
                if command_id.startswith("probe-"):
                    yield int(command_id.removeprefix("probe-"))

    def run(self, seconds: float) -> None:
        """Keep asking."""
        give_up_at_s = time.monotonic() + seconds
        while time.monotonic() < give_up_at_s:
            self._ask()
            for _ in self._seen(_PROBE_S):
                pass

    def await_answer(self, since_s: float, timeout_s: float) -> float:
        """Keep asking until an answer to something asked after `since_s`; seconds since then.

        Raises:
            RuntimeError: none came in time.
        """
        while time.monotonic() - since_s < timeout_s:
            self._ask()
            for number in self._seen(_PROBE_S):
                if self._asked_s[number] > since_s:
                    return time.monotonic() - since_s
        raise RuntimeError(f"no answer within {timeout_s:.0f} s")

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def _probing(addresses: Addresses, prefix: str, room: RoomName) -> Iterator[_Probe]:
    codec = load_codec(addresses.registry_url)
    probe = _Probe(addresses.kafka_bootstrap, prefix, room, codec)
    try:
        yield probe
    finally:
        probe.close()
