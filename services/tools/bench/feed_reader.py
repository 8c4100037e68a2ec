"""One reader of `outcry bench feed`, a process of its own: an event loop that is fed from Kafka.

Three ways: a thread with confluent-kafka's blocking consumer that hands batches to the loop, as the
gateway's feeds.py does; confluent-kafka's own asyncio consumer; aiokafka. All read committed
records of the same partitions, in batches of the same size, with the same pause between batches,
and do the same with each: they look when it was written. It says `ready` once it reads, and at the
end prints one line of JSON.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from threading import Event, Thread
from typing import Any, Final, Literal

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.aio import AIOConsumer

from services.door.serving import run_loop
from services.tools.bench.tries import at_percent

type Way = Literal["thread", "confluent-aio", "aiokafka"]

BATCH_RECORDS_MAX: Final = 500
PAUSE_S: Final = 0.005
"""As in services/gateway/feeds.py, both."""
TIME_BYTES: Final = 8
"""A value begins with the time it was written, nanoseconds since the epoch, big-endian."""
_POLL_S: Final = 0.5
_FETCH_WAIT_MS: Final = 100
_TICK_S: Final = 0.005
_WARM_UP_SHARE: Final = 10
"""One in so many records, the first ones, has no age that counts."""
_NS_PER_MS: Final = 1_000_000
_MS_PER_S: Final = 1_000
_US_PER_S: Final = 1_000_000


class ReaderOrder(msgspec.Struct, frozen=True):
    """What to read, handed over as one argument of JSON."""

    way: Way
    bootstrap: str
    topic: str
    starts: tuple[int, ...]
    """Offset of each partition to begin at."""
    records: int
    """After which it ends."""


class ReaderResult(msgspec.Struct, frozen=True):
    """What it saw."""

    seconds: float
    """From the first record to the last."""
    cpu_us: float
    """Processor time of the process for a record, all threads and the wait for records included."""
    lag_p50_ms: float
    lag_p99_ms: float
    """From before a record was written until it is seen on the event loop."""
    loop_late_p99_ms: float
    """How late the event loop was for something else that it had to do each 5 ms."""


class _Ear:
    """Sees records, on the event loop."""

    def __init__(self, records: int) -> None:
        self._left = records
        self._ages_ns: list[int] = []
        self.first_s = self.last_s = 0.0
        self.done = asyncio.Event()

    def hear(self, values: Sequence[bytes]) -> None:
        now_ns = time.time_ns()
        if values and not self.first_s:
            self.first_s = time.perf_counter()
        for value in values:
            self._ages_ns.append(now_ns - int.from_bytes(value[:TIME_BYTES]))
        self._left -= len(values)
        if self._left <= 0 and not self.done.is_set():
            self.last_s = time.perf_counter()
            self.done.set()

    def lag_ms(self, percent: int) -> float:
        counted = self._ages_ns[len(self._ages_ns) // _WARM_UP_SHARE :]
        return at_percent(counted, percent) / _NS_PER_MS


# --- ways


def _confluent_config(order: ReaderOrder) -> dict[str, Any]:
    return {
        "bootstrap.servers": order.bootstrap,
        "group.id": "bench-without-a-group",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
        "queued.max.messages.kbytes": 16_384,
        "log_level": 2,
    }


def _places(order: ReaderOrder) -> list[TopicPartition]:
    return [TopicPartition(order.topic, at, start) for at, start in enumerate(order.starts)]


async def _by_thread(order: ReaderOrder, ear: _Ear, ready: Callable[[], None]) -> None:
    loop, stopping = asyncio.get_running_loop(), Event()
    consumer = Consumer(_confluent_config(order))
    consumer.assign(_places(order))

    def hand_over(values: list[bytes]) -> None:
        done: Future[None] = Future()

        def hear() -> None:
            ear.hear(values)
            done.set_result(None)

        loop.call_soon_threadsafe(hear)
        done.result()

    def serve() -> None:
        while not stopping.is_set():
            first = consumer.poll(_POLL_S)
            if first is None:
                continue
            messages = [first, *consumer.consume(BATCH_RECORDS_MAX - 1, 0)]
            hand_over([message.value() or b"" for message in messages])
            stopping.wait(PAUSE_S)

    thread = Thread(target=serve)
    thread.start()
    ready()
    await ear.done.wait()
    stopping.set()
    await asyncio.to_thread(thread.join)
    consumer.close()


async def _by_confluent_aio(order: ReaderOrder, ear: _Ear, ready: Callable[[], None]) -> None:
    consumer = AIOConsumer(_confluent_config(order), max_workers=1)
    await consumer.assign(_places(order))
    ready()
    while not ear.done.is_set():
        # `consume` alone would wait until a whole batch is there, or for its timeout.
        first = await consumer.poll(_POLL_S)
        if first is None:
            continue
        messages = [first, *await consumer.consume(BATCH_RECORDS_MAX - 1, 0)]
        ear.hear([message.value() or b"" for message in messages])
        await asyncio.sleep(PAUSE_S)
    await consumer.close()


async def _by_aiokafka(order: ReaderOrder, ear: _Ear, ready: Callable[[], None]) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=order.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    await consumer.start()
    places = [AioPartition(order.topic, at) for at in range(len(order.starts))]
    consumer.assign(places)
    for place, start in zip(places, order.starts, strict=True):
        consumer.seek(place, start)
    ready()
    while not ear.done.is_set():
        found = await consumer.getmany(
            timeout_ms=int(_POLL_S * _MS_PER_S), max_records=BATCH_RECORDS_MAX
        )
        ear.hear([record.value for records in found.values() for record in records])
        await asyncio.sleep(PAUSE_S)
    await consumer.stop()


_WAYS: Final[dict[Way, Callable[[ReaderOrder, _Ear, Callable[[], None]], Awaitable[None]]]] = {
    "thread": _by_thread,
    "confluent-aio": _by_confluent_aio,
    "aiokafka": _by_aiokafka,
}


# --- the process


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def read(order: ReaderOrder) -> None:
    """Read so many records and print what was seen."""
    ear, late_ms = _Ear(order.records), list[float]()

    async def watch() -> None:
        while True:
            due_s = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
            late_ms.append((time.perf_counter() - due_s) * _MS_PER_S)

    cpu_s = time.process_time()
    watching = asyncio.create_task(watch())
    await _WAYS[order.way](order, ear, lambda: _say("ready"))
    cpu_s = time.process_time() - cpu_s
    watching.cancel()
    result = ReaderResult(
        seconds=ear.last_s - ear.first_s,
        cpu_us=cpu_s / order.records * _US_PER_S,
        lag_p50_ms=ear.lag_ms(50),
        lag_p99_ms=ear.lag_ms(99),
        loop_late_p99_ms=at_percent(late_ms, 99),
    )
    _say(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    run_loop(read(msgspec.json.decode(sys.argv[1], type=ReaderOrder)))
