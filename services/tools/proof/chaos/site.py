"""The deployment under fault: its processes, and what can be done to them."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

import psutil
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place

from services.domain.controls import OpenAccount
from services.runtime.errors import RetriableError
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import TopicPartition
from services.runtime.registry import load_codec
from services.tools.market.admit import admit_crowd
from services.tools.operate.exchange import KafkaExchange
from services.tools.proof.chaos.errors import ChaosError
from services.tools.proof.chaos.timeline import last_time
from services.tools.stack.identity import ProcessIdentity, send_signal
from services.tools.stack.plan import Addresses
from services.tools.stack.rooms import STANDBY_SUFFIX, room_environment, standby_pair
from services.tools.stack.settings import HOST, PORT_OFFSETS
from services.tools.stack.stack import Stack
from services.tools.stack.status import StackStatus, State
from services.wire.codec import Codec

BACK_TIMEOUT_S: Final = 300.0
"""For everything to be up again; only a bound, as the probe's."""
_POLL_S: Final = 0.02
_WIDE: Final = (10**7, 10**14, 10**15)
_ANSWER_S: Final = 10.0


class Site:
    """Rooms and infrastructure, under one supervisor or two.

    Args:
        infra: the stack that runs Kafka, registry and PostgreSQL; may be the same.
    """

    def __init__(self, rooms: Stack, infra: Stack) -> None:
        self.rooms = rooms
        self.infra = infra
        self.addresses: Addresses = rooms.addresses
        self.prefix = rooms.plan.topic_prefix
        self.codec: Codec = load_codec(self.addresses.registry_url)

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(self.addresses.kafka_bootstrap, self.prefix)

    @property
    def gateway(self) -> str:
        """host:port of the gateway; empty where there is none."""
        if "gateway" not in self.rooms.plan.rooms:
            return ""
        return f"{HOST}:{self.rooms.plan.port_base + PORT_OFFSETS['gateway']}"

    def admit(self, seed: int, accounts: tuple[str, ...]) -> None:
        """Let the crowd in, and `accounts` with wide limits.

        Raises:
            OperateError: the exchange does not answer.
        """
        with KafkaExchange(self.addresses.kafka_bootstrap, self.prefix, self.codec) as exchange:
            for account in accounts:
                opened = OpenAccount(f"open-{account}", account, *_WIDE, short_allowed=True)
                exchange.publish("controls", 0, "", opened)
            admit_crowd(exchange, seed)

    # --- looking

    def log_of(self, name: str) -> Path:
        """A component's log file."""
        return self._stack_of(name).plan.home_path / "logs" / f"{name}.log"

    def process(self, name: str) -> ProcessIdentity:
        """The component's present process; waits for one that is being started."""
        give_up_at_s = time.monotonic() + BACK_TIMEOUT_S
        while True:
            process = self._status(name).row(name).process
            if process is not None:
                return process
            if time.monotonic() > give_up_at_s:
                raise ChaosError(f"{name} was not started again within {BACK_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)

    def leader(self, room: str) -> str:
        """Who works as this room: with a standby, the one of the two that got partitions last."""
        pair = standby_pair(room, stands_by=self.rooms.plan.standby)
        return max(pair, key=lambda name: last_time(self.log_of(name), "partitions_assigned"))

    def state(self, name: str) -> State:
        """As the supervisor sees it."""
        return self._status(name).row(name).state

    def names(self) -> tuple[str, ...]:
        """Every component that runs for long."""
        found = []
        for stack in dict.fromkeys((self.infra, self.rooms)):
            status = stack.status()
            assert status is not None
            found += [row.name for row in status.components if row.state is not State.DONE]
        return tuple(found)

    def is_back(self, victims: tuple[ProcessIdentity, ...] = ()) -> bool:
        """Whether everything is up, and none of it is one of `victims`."""
        statuses = [stack.status() for stack in dict.fromkeys((self.infra, self.rooms))]
        return all(
            status is not None
            and status.is_up
            and not any(row.process in victims for row in status.components)
            for status in statuses
        )

    def wait_until_back(self, victims: tuple[ProcessIdentity, ...] = ()) -> None:
        """Block until `is_back`.

        Raises:
            ChaosError: it never is.
        """
        wait_for(lambda: self.is_back(victims), "everything to be up again", BACK_TIMEOUT_S)

    def _status(self, name: str) -> StackStatus:
        status = self._stack_of(name).status()
        if status is None:
            raise ChaosError(f"the supervisor ended; see {self._stack_of(name).log}")
        return status

    def _stack_of(self, name: str) -> Stack:
        is_room = name.removesuffix(STANDBY_SUFFIX) in self.rooms.plan.rooms
        return self.rooms if is_room else self.infra

    # --- harming

    def signal(self, name: str, sig: signal.Signals) -> ProcessIdentity:
        """Signal the component's process, which must run."""
        process = self.process(name)
        if not send_signal(process, sig):
            raise ChaosError(f"{name} had ended before it got {sig.name}")
        return process

    def hold_down(self, name: str, seconds: float) -> int:
        """Kill a component again and again before it is ready; how often. Blocks."""
        end_s = time.monotonic() + seconds
        kills = 0
        killed: ProcessIdentity | None = None
        while time.monotonic() < end_s:
            process = self._status(name).row(name).process
            if process is not None and process != killed:
                killed = process
                kills += send_signal(process, signal.SIGKILL)
            time.sleep(_POLL_S)
        return kills

    def family(self, name: str) -> list[psutil.Process]:
        """The component's process and its children."""
        parent = psutil.Process(self.process(name).pid)
        return [parent, *parent.children(recursive=True)]

    @contextmanager
    def twin(self, room: str, instance: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """One more process of a room beside the supervised one; killed at the end."""
        env = room_environment(self.rooms.plan) | {"OUTCRY_INSTANCE": instance}
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"services.{room}"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(holds: Callable[[], object], what: str, timeout_s: float) -> None:
    """Return as soon as it holds.

    Raises:
        ChaosError: it did not in time.
    """
    give_up_at_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > give_up_at_s:
            raise ChaosError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(_POLL_S)


class Ends:
    """Where partitions end, for readers of committed data and for others. Use it in a `with`."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._prefix = connection.prefix
        self._open = ExitStack()
        self._stable = KafkaReader(connection)
        self._open.callback(self._stable.close)
        self._last = Consumer(
            connection.reader_config()
            | {"group.id": f"{connection.prefix}ends", "isolation.level": "read_uncommitted"}
        )
        self._open.callback(self._last.close)

    def stable(self, place: TopicPartition) -> int:
        """The last stable offset: what lies behind is hidden by an open transaction."""
        return self._stable.bounds(place)[1]

    def last(self, place: TopicPartition) -> int:
        """The end of the partition."""
        full = Place(self._prefix + place.topic, place.partition)
        try:
            return int(self._last.get_watermark_offsets(full, timeout=_ANSWER_S)[1])
        except KafkaException as error:
            raise RetriableError(f"asking for the end of {full.topic}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
