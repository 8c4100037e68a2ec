"""Commands to `orders` as any Kafka client would send them, open-loop: at times fixed beforehand.

Record i is due at start + i / rate, however the exchange keeps up; a sender that is late sends at
once what is due and says how late it was. A slow exchange shows as latency, never as less load.
"""

import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, Producer

from services.runtime.errors import RetriableError
from services.runtime.traces import HEADER
from services.tools.market.simulator import Outbound
from services.wire.codec import Codec
from services.wire.topics import CONTROLS, ORDERS

_NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1_000
_US_PER_S: Final = 1_000_000
_WAIT_MAX_S: Final = 0.01
_WAIT_MIN_S: Final = 0.001
"""The library counts milliseconds; less would spin. High rates go out in bursts this far apart."""
_FLUSH_S: Final = 30.0
_TELL_EVERY: Final = 500
"""Progress is told after so many records."""

type Progress = Callable[[int], None]
"""Takes the number of records sent so far."""


class Lateness(msgspec.Struct, frozen=True):
    """How long after its intended time a record was handed to the client library."""

    p50_us: int
    p99_us: int
    max_us: int


class Published(msgspec.Struct, frozen=True):
    """What a run sent."""

    sent: int
    delivered: int
    """Confirmed by all replicas."""
    failed: int
    by_kind: dict[str, int]
    dead_letters_expected: int
    duration_s: float
    """Until the last confirmation."""
    lateness: Lateness | None
    """None without a rate: then nothing has a time to be late for."""

    @property
    def rate(self) -> float:
        """Records confirmed per second."""
        return self.delivered / self.duration_s if self.duration_s else 0.0


class Publisher:
    """A plain idempotent producer that waits for all replicas. Called from one thread.

    Args:
        prefix: put before the topics' names.
    """

    def __init__(self, bootstrap: str, prefix: str, codec: Codec) -> None:
        self.delivered = 0
        self.failed = 0
        self._bootstrap = bootstrap
        self._codec = codec
        self._orders = prefix + ORDERS.name
        self._controls = prefix + CONTROLS.name
        self._first_error: KafkaError | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 50_000,
                "delivery.timeout.ms": int(_FLUSH_S * 1_000),
                "log_level": 2,
            }
        )

    def send(
        self,
        key: str,
        value: bytes,
        partition: int | None = None,
        traceparent: bytes | None = None,
    ) -> None:
        """Hand one record for `orders` over; blocks while the local queue is full.

        Without a partition the library's default partitioner chooses one by the key.
        """
        more: dict[str, Any] = {} if partition is None else {"partition": partition}
        if traceparent is not None:
            more["headers"] = [(HEADER, traceparent)]
        while True:
            try:
                self._producer.produce(
                    self._orders, value, key.encode(), on_delivery=self._confirm, **more
                )
            except BufferError:
                self._producer.poll(_WAIT_MAX_S)
            else:
                return

    def send_control(self, value: bytes) -> None:
        """Hand one record for `controls` over."""
        self._producer.produce(self._controls, value, on_delivery=self._confirm)

    def poll(self, timeout_s: float = 0) -> None:
        """Take confirmations in."""
        self._producer.poll(timeout_s)

    def flush(self) -> None:
        """Wait until every record is confirmed or has failed.

        Raises:
            RetriableError: some were not confirmed; the message says why.
        """
        left = self._producer.flush(_FLUSH_S)
        if left or self.failed:
            why = self._first_error.str() if self._first_error else "no answer"
            msg = (
                f"{left + self.failed} records were not confirmed by Kafka at {self._bootstrap}"
                f" ({why}): see `outcry status`"
            )
            raise RetriableError(msg)

    def _confirm(self, error: KafkaError | None, _message: object) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failed += 1
            self._first_error = self._first_error or error


def encode(codec: Codec, outbound: Outbound, event_time_us: int) -> bytes:
    """The record's value; junk is whatever it is."""
    if outbound.payload is None:
        return outbound.raw
    value = codec.encode_command(ORDERS.name, outbound.payload, event_time_us)
    return value[: len(value) - outbound.cut_bytes]


def publish(
    publisher: Publisher,
    codec: Codec,
    outbounds: Iterable[Outbound],
    rate: float,
    progress: Progress = lambda _sent: None,
    trace_of: Callable[[int], bytes | None] = lambda _sent: None,
) -> Published:
    """Send a stream at `rate` records a second (0: as fast as the library takes them).

    Each command's event time is its intended time; `trace_of` gives the header of a trace to the
    record of each place. Blocks until all is confirmed.

    Raises:
        RetriableError: some records were not confirmed.
    """
    start_ns = time.monotonic_ns()
    start_us = time.time_ns() // _NS_PER_US
    gap_ns = _NS_PER_S / rate if rate else 0.0
    late_us = array("q")
    by_kind: dict[str, int] = {}
    sent = dead_letters = 0
    delivered_before = publisher.delivered
    for outbound in outbounds:
        intended_ns = int(sent * gap_ns)
        if rate:
            late_us.append(_wait_until(publisher, start_ns + intended_ns))
        else:
            intended_ns = time.monotonic_ns() - start_ns
        value = encode(codec, outbound, start_us + intended_ns // _NS_PER_US)
        publisher.send(outbound.key, value, traceparent=trace_of(sent))
        sent += 1
        by_kind[outbound.kind] = by_kind.get(outbound.kind, 0) + 1
        dead_letters += outbound.is_junk
        if sent % _TELL_EVERY == 0:
            publisher.poll()
            progress(sent)
    publisher.flush()
    progress(sent)
    return Published(
        sent=sent,
        delivered=publisher.delivered - delivered_before,
        failed=publisher.failed,
        by_kind=dict(sorted(by_kind.items())),
        dead_letters_expected=dead_letters,
        duration_s=(time.monotonic_ns() - start_ns) / _NS_PER_S,
        lateness=_summarise(late_us),
    )


def _wait_until(publisher: Publisher, due_ns: int) -> int:
    """Wait for a record's time; how late it is by then, microseconds."""
    while (left_ns := due_ns - time.monotonic_ns()) > 0:
        publisher.poll(min(max(left_ns / _NS_PER_S, _WAIT_MIN_S), _WAIT_MAX_S))
    return -left_ns // _NS_PER_US


def _summarise(late_us: "array[int]") -> Lateness | None:
    if not late_us:
        return None
    ordered = sorted(late_us)
    last = len(ordered) - 1
    return Lateness(ordered[last // 2], ordered[last * 99 // 100], ordered[last])
