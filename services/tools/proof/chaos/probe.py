"""How long others notice a fault: orders that must trade, and questions only risk must answer.

A pair of accounts sends an order that rests or takes and one that takes, every 50 ms, in one
ticker: each pair makes a trade. One more account in each account partition cancels an order that
does not exist, every 100 ms: risk refuses that by itself, but its answer comes behind whatever
else is in the partition of `accounts`.
"""

import time
from collections import deque
from itertools import pairwise
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka import TopicPartition as Place

from services.domain import codes
from services.domain.commands import CancelOrder, PlaceOrder
from services.domain.events import ExecutionReport, Trade
from services.domain.genesis import TICKERS
from services.domain.ids import make_order_id
from services.tools.market.population import OPENING_CENTS
from services.tools.proof.chaos.acks import Ack, AckWriter, command_id_of, digest_of
from services.tools.proof.chaos.errors import ChaosError
from services.tools.proof.chaos.load import DELIVERY_TIMEOUT_MS
from services.tools.proof.chaos.site import Site
from services.wire.codec import Codec, UndecodableError
from services.wire.partition import account_partition
from services.wire.topics import ACCOUNT_PARTITIONS, EXECUTIONS, ORDERS, TRADES

TICKER: Final = TICKERS[0]
INTERVAL_S: Final = 0.05
_VOICES_EVERY: Final = 2
_PAIR: Final = ("probe-seller", "probe-buyer")
_MARKS: Final = tuple(name.encode() for name in (*_PAIR, "probe-voice"))
_POLL_S: Final = 0.02
_AHEAD: Final = 103
_BEHIND: Final = 97
"""Per cent of the opening price: both are beyond any price the crowd has."""
_REMEMBERED_MAX: Final = 20_000

type Heard = deque[tuple[float, float]]
"""When something was sent, and when its effect was readable; Unix times."""


def _voice(partition: int) -> str:
    """An account of this partition."""
    return next(
        name
        for name in (f"probe-voice-{number}" for number in range(1_000))
        if account_partition(name, ACCOUNT_PARTITIONS) == partition
    )


VOICES: Final = tuple(_voice(partition) for partition in range(ACCOUNT_PARTITIONS))
PROBE_ACCOUNTS: Final = (*_PAIR, *VOICES)


class Probe:
    """Sends and listens on threads of its own. Use it in a `with`; its accounts must be open."""

    def __init__(self, site: Site, acks: AckWriter) -> None:
        self._codec: Codec = site.codec
        self._acks = acks
        self._orders = site.prefix + ORDERS.name
        self._run = f"{time.time_ns() // 1_000_000:x}"
        self._lock = Lock()
        self._sent: dict[str, float] = {}
        """When each order or question that is not answered yet was handed over, by its id."""
        self._trades: Heard = deque(maxlen=_REMEMBERED_MAX)
        """Of each probe order that traded: when it was sent, when the trade was readable."""
        self._answers: list[Heard] = [deque(maxlen=_REMEMBERED_MAX) for _ in VOICES]
        self._stopping = Event()
        self._sending = Event()
        self._producer = self._make_producer(site.addresses.kafka_bootstrap)
        self._consumer = self._make_consumer(site)
        self._threads = [
            Thread(target=target, name=name, daemon=True)
            for name, target in (("probe-send", self._send_all), ("probe-read", self._read_all))
        ]

    def _make_producer(self, bootstrap: str) -> Producer:
        return Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "retry.backoff.ms": 10,
                "retry.backoff.max.ms": 100,
                "log_level": 2,
            }
        )

    def _make_consumer(self, site: Site) -> Consumer:
        consumer = Consumer(
            site.connection.reader_config()
            | {
                "group.id": f"{site.prefix}probe",
                "fetch.wait.max.ms": 10,
                "reconnect.backoff.max.ms": 100,
            }
        )
        places = [
            Place(site.prefix + TRADES.name, TICKERS.index(TICKER)),
            *(Place(site.prefix + EXECUTIONS.name, n) for n in range(ACCOUNT_PARTITIONS)),
        ]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
        consumer.assign(places)
        return consumer

    # --- asking

    def resume(self) -> None:
        """Send from now on."""
        self._sending.set()

    def pause(self) -> None:
        """Send no more, and wait until Kafka has confirmed what was sent."""
        self._sending.clear()
        time.sleep(2 * INTERVAL_S)
        self._producer.flush(DELIVERY_TIMEOUT_MS / 1_000)

    def trade_after(self, since_s: float, timeout_s: float) -> float:
        """When (Unix time) the first trade was readable whose order was sent after `since_s`.

        Raises:
            ChaosError: there was none in time.
        """
        return self._first(self._trades, since_s, timeout_s, "a trade")

    def voices_after(self, since_s: float, timeout_s: float) -> list[float]:
        """The same of risk's answers, for each account partition."""
        return [
            self._first(kept, since_s, timeout_s, f"an answer of risk in partition {number}")
            for number, kept in enumerate(self._answers)
        ]

    def longest_pause(self, since_s: float, until_s: float) -> float:
        """The longest time without a new trade between two moments (Unix time), in seconds."""
        with self._lock:
            heard = [heard_s for _, heard_s in self._trades if since_s <= heard_s <= until_s]
        moments = [since_s, *sorted(heard), until_s]
        return max(late - early for early, late in pairwise(moments))

    def delays(self, since_s: float, until_s: float) -> list[tuple[float, float]]:
        """Of each trade: when its order was sent, and after how many seconds it was readable.

        Those sent between two moments (Unix time), of the last 20,000 trades.
        """
        with self._lock:
            heard = list(self._trades)
        return [
            (sent_s, heard_s - sent_s) for sent_s, heard_s in heard if since_s <= sent_s < until_s
        ]

    def heard(self, since_s: float, until_s: float) -> list[float]:
        """The delays, in seconds, of trades that became readable between two moments."""
        with self._lock:
            heard = list(self._trades)
        return [heard_s - sent_s for sent_s, heard_s in heard if since_s <= heard_s < until_s]

    def _first(self, kept: Heard, since_s: float, timeout_s: float, what: str) -> float:
        give_up_at_s = time.time() + timeout_s
        while True:
            with self._lock:
                found = [heard_s for sent_s, heard_s in kept if sent_s > since_s]
            if found:
                return min(found)
            if time.time() > give_up_at_s:
                raise ChaosError(f"waited {timeout_s:.0f} s in vain for {what}")
            time.sleep(_POLL_S)

    # --- sending

    def _send_all(self) -> None:
        number = 0
        while not self._stopping.is_set():
            if self._sending.is_set():
                self._send_pair(number)
                if number % _VOICES_EVERY == 0:
                    self._send_questions(number)
                number += 1
            self._producer.poll(0)
            self._stopping.wait(INTERVAL_S)

    def _send_pair(self, number: int) -> None:
        cents = OPENING_CENTS[TICKER]
        seller, buyer = _PAIR
        for account, side, per_cent, force in (
            (seller, codes.SELL, _BEHIND, codes.GTC),
            (buyer, codes.BUY, _AHEAD, codes.IOC),
        ):
            command = PlaceOrder(
                account=account,
                client_order_id=f"{account}-{self._run}-{number}",
                ticker=TICKER,
                side=side,
                order_type=codes.LIMIT,
                time_in_force=force,
                post_only=False,
                price=cents * per_cent // 100 * 100,
                quantity=1,
                self_trade_prevention=codes.CANCEL_RESTING,
            )
            order_id = make_order_id(account, command.client_order_id, TICKER)
            self._send(command, order_id)

    def _send_questions(self, number: int) -> None:
        for account in VOICES:
            command_id = f"{account}-{self._run}-{number}"
            self._send(CancelOrder(account, command_id, f"{TICKER}-nothing"), command_id)

    def _send(self, command: PlaceOrder | CancelOrder, name: str) -> None:
        value = self._codec.encode_command(ORDERS.name, command, time.time_ns() // 1_000)
        command_id = command_id_of(command)

        def confirm(error: KafkaError | None, message: Message) -> None:
            if error is None:
                place = int(message.partition() or 0), int(message.offset() or 0)
                ack = Ack(*place, digest_of(value), command.account, command_id, time.time())
                self._acks.write(ack)

        with self._lock:
            self._sent[name] = time.time()
            if len(self._sent) > _REMEMBERED_MAX:
                del self._sent[next(iter(self._sent))]  # rested, and traded as somebody's maker
        # All on one partition: a seller's order must come before the buyer's.
        self._producer.produce(self._orders, value, partition=0, on_delivery=confirm)

    # --- listening

    def _read_all(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(_POLL_S)
            if message is not None and message.error() is None:
                self._hear(message)

    def _hear(self, message: Message) -> None:
        value = message.value() or b""
        if not any(mark in value for mark in _MARKS):
            return  # somebody else's; not worth decoding
        heard_s = time.time()
        topic = TRADES.name if (message.topic() or "").endswith(TRADES.name) else EXECUTIONS.name
        try:
            payload: Any = self._codec.decode(topic, value).payload
        except UndecodableError:
            return
        with self._lock:
            if isinstance(payload, Trade):
                self._note(self._trades, self._sent.pop(payload.taker_order_id, None), heard_s)
            elif isinstance(payload, ExecutionReport) and payload.account in VOICES:
                kept = self._answers[VOICES.index(payload.account)]
                self._note(kept, self._sent.pop(payload.client_command_id, None), heard_s)

    @staticmethod
    def _note(kept: Heard, sent_s: float | None, heard_s: float) -> None:
        if sent_s is not None:
            kept.append((sent_s, heard_s))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._producer.purge()
        self._producer.poll(0)
        self._consumer.close()
