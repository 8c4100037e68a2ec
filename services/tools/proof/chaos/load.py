"""The clients of a chaos run, a process of their own: the crowd to Kafka, one account by REST.

Both keep every promise (`acks.py`). The crowd never sends again what the log may have: the library
does, under its own numbers. The REST client does, under the same client order id, until it has an
answer: that is what the id is for.

Protocol: one word a line on standard input (`pause`, `resume`, `stop`), one line of JSON as the
answer to each, and one at the start.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from services.client import Client, ClientError, NewOrder, RefusedError
from services.runtime.registry import load_codec
from services.tools.market.population import OPENING_CENTS
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd, Outbound
from services.tools.proof.chaos.acks import NO_OFFSET, Ack, AckWriter, command_id_of, digest_of
from services.wire.topics import ORDERS

REST_ACCOUNT: Final = "rest-client"
DELIVERY_TIMEOUT_MS: Final = 180_000
"""Longer than any fault here lasts."""
_REST_TIMEOUT_S: Final = 10.0
_REST_PAUSE_S: Final = 0.1
"""Before the same order is sent again."""
_IDLE_S: Final = 0.02
_RESTING: Final = 25
"""Every so many REST orders one rests; the others are IOC."""
_TICKERS: Final = tuple(OPENING_CENTS)


class LoadOrder(msgspec.Struct, frozen=True):
    """What to send, handed over as one argument of JSON."""

    bootstrap: str
    registry_url: str
    prefix: str
    gateway: str
    """host:port of the gateway; empty: nothing goes by REST."""
    seed: int
    rate_per_s: float
    rest_rate_per_s: float
    acks: str
    """Path of the file of promises."""


class LoadCount(msgspec.Struct):
    """What happened so far."""

    sent: int = 0
    confirmed: int = 0
    unconfirmed: int = 0
    """Kafka said neither yes nor no in time; they may be in the log or not."""
    rest_accepted: int = 0
    rest_repeated: int = 0
    """Sent again because there was no answer, or one that said to."""
    rest_refused: int = 0
    """Answers that are neither 2xx nor "come back"; none is expected."""
    rest_refusal: str = ""


class KafkaClient:
    """The crowd's stream at a steady rate. Called from one thread."""

    def __init__(self, order: LoadOrder, acks: AckWriter, count: LoadCount) -> None:
        self._codec = load_codec(order.registry_url)
        self._topic = order.prefix + ORDERS.name
        self._gap_s = 1 / order.rate_per_s
        self._acks = acks
        self._count = count
        self._stream: Iterator[Outbound] = Crowd(order.seed).commands()
        self._due_s = 0.0
        self._producer = Producer(
            {
                "bootstrap.servers": order.bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
                "reconnect.backoff.max.ms": 1_000,
                "queue.buffering.max.messages": 200_000,
                "log_level": 2,
            }
        )

    def turn(self) -> None:
        """Send what is due, and hear what was confirmed."""
        now_s = time.monotonic()
        if now_s - self._due_s > 1.0:
            self._due_s = now_s  # it was paused
        while self._due_s <= now_s:
            self._send(next(self._stream))
            self._due_s += self._gap_s
        self._producer.poll(min(self._gap_s, _IDLE_S))

    def flush(self) -> None:
        """Wait until every record is confirmed or given up."""
        self._producer.flush(DELIVERY_TIMEOUT_MS / 1_000)

    def _send(self, outbound: Outbound) -> None:
        value = encode(self._codec, outbound, time.time_ns() // 1_000)
        digest = digest_of(value)
        payload = None if outbound.is_junk else outbound.payload
        account = "" if payload is None else str(getattr(payload, "account", ""))
        command_id = "" if payload is None else command_id_of(payload)

        def confirm(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._count.unconfirmed += 1
                return
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            self._acks.write(Ack(partition, offset, digest, account, command_id, time.time()))
            self._count.confirmed += 1

        self._producer.produce(self._topic, value, outbound.key.encode(), on_delivery=confirm)
        self._count.sent += 1


class RestClient:
    """One order after the other by POST, each until the gateway takes it. A thread of its own."""

    def __init__(self, order: LoadOrder, acks: AckWriter, count: LoadCount) -> None:
        self._gateway = Client(
            f"http://{order.gateway}",
            REST_ACCOUNT,
            wait_s=None,
            tries=1,  # it is sent again here, and counted
            timeout_s=_REST_TIMEOUT_S,
        )
        self._gap_s = 1 / order.rest_rate_per_s
        self._acks = acks
        self._count = count
        self._number = 0
        # Runs with one home continue under fresh ids, or their orders would be answers to old ones.
        self._run = f"{time.time_ns() // 1_000_000:x}"
        self.running = Event()
        self.idle = Event()
        self.idle.set()
        self._thread = Thread(target=self._send_all, name="rest", daemon=True)
        self._thread.start()

    def _send_all(self) -> None:
        while self.running.wait():
            self.idle.clear()
            if not self.running.is_set():  # paused between the two lines
                self.idle.set()
                continue
            self._send(self._number)
            self._number += 1
            self.idle.set()
            time.sleep(self._gap_s)

    def _send(self, number: int) -> None:
        command_id = f"rest-{self._run}-{number}"
        ticker = _TICKERS[number % len(_TICKERS)]
        is_buy = number // len(_TICKERS) % 2 == 0
        cents = OPENING_CENTS[ticker] * (101 if is_buy else 99) // 100
        order = NewOrder(
            ticker,
            "BUY" if is_buy else "SELL",
            1,
            f"{cents // 100}.{cents % 100:02}",
            time_in_force="GTC" if number % _RESTING == 0 else "IOC",
            client_order_id=command_id,
        )
        while True:
            try:
                self._gateway.place(order)
            except RefusedError as refusal:
                self._count.rest_refused += 1
                self._count.rest_refusal = f"{refusal.problem.status} for {command_id}"
                return
            except ClientError:
                self._count.rest_repeated += 1
                time.sleep(_REST_PAUSE_S)
            else:
                break
        self._acks.write(Ack(0, NO_OFFSET, "", REST_ACCOUNT, command_id, time.time()))
        self._count.rest_accepted += 1


def _listen(words: "SimpleQueue[str]") -> None:
    for line in sys.stdin:
        words.put(line.strip())
    words.put("stop")  # the run is gone


def _say(count: LoadCount) -> None:
    sys.stdout.write(msgspec.json.encode(count).decode() + "\n")
    sys.stdout.flush()


def main(order: LoadOrder) -> None:
    """Serve the protocol; begins paused."""
    count = LoadCount()
    acks = AckWriter(Path(order.acks))
    kafka = KafkaClient(order, acks, count)
    rest = RestClient(order, acks, count) if order.gateway else None
    words: SimpleQueue[str] = SimpleQueue()
    Thread(target=_listen, args=(words,), name="words", daemon=True).start()
    _say(count)
    running = False
    while True:
        if words.empty():
            if running:
                kafka.turn()
            else:
                time.sleep(_IDLE_S)
            continue
        word = words.get()
        running = word == "resume"
        if rest is not None:
            rest.running.set() if running else rest.running.clear()
        if not running:
            kafka.flush()
            if rest is not None:
                rest.idle.wait(DELIVERY_TIMEOUT_MS / 1_000)
        _say(count)
        if word == "stop":
            acks.close()
            return


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=LoadOrder))
