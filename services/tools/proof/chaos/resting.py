"""Matcher and risk killed with full books: how soon the next order is matched."""

import time
from typing import Final

from confluent_kafka import Producer

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.genesis import TICKERS
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import TopicPartition
from services.runtime.snapshots import PostgresSnapshots
from services.tools.market.population import OPENING_CENTS
from services.tools.proof.chaos.errors import ChaosError
from services.tools.proof.chaos.run import HOLDERS, Run
from services.tools.proof.chaos.site import Site, wait_for
from services.wire.topics import ACCOUNTS, MATCHING, ORDERS

BACK_GOAL_S: Final = 3.0
_FAR_MIN_CENTS: Final = 1_000
"""From the opening price: far enough that nobody reaches them, inside the collar."""
_LEVELS: Final = 400
_CONFIRM_S: Final = 120.0
_SNAPSHOT_WAIT_S: Final = 120.0
_TAIL: Final = 64
_HEALTHY_S: Final = 11.0
"""Between two kills of one room: the supervisor starts it at once only if it was well."""


def fill_books(run: Run, orders: int) -> None:
    """Publish `orders` orders, the load paused, and wait until they rest and snapshots hold them.

    Raises:
        ChaosError: they do not rest.
    """
    run.pause()
    site = run.site
    producer = Producer(
        {
            "bootstrap.servers": site.addresses.kafka_bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
        }
    )
    began_s = time.time()
    for number in range(orders):
        order = _resting_order(number, f"{began_s:.0f}")
        value = site.codec.encode_command(ORDERS.name, order)
        producer.produce(site.prefix + ORDERS.name, value, partition=number % ORDERS.partitions)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(_CONFIRM_S):
        raise ChaosError("Kafka does not confirm the resting orders")
    verdict = run.settle()
    resting = verdict.figures.get("orders open", 0)
    if resting < orders:
        raise ChaosError(f"only {resting:,} of {orders:,} orders rest")
    run.say(f"{resting:,} orders rest after {time.time() - began_s:.0f} s")
    _wait_for_snapshots(run)
    run.resume()


def _resting_order(number: int, run_name: str) -> PlaceOrder:
    ticker = TICKERS[number % len(TICKERS)]
    step = number // len(TICKERS)
    away = _FAR_MIN_CENTS + step // 2 % _LEVELS
    is_buy = step % 2 == 0
    cents = OPENING_CENTS[ticker] + (-away if is_buy else away)
    account = HOLDERS[number // len(TICKERS) % len(HOLDERS)]
    return PlaceOrder(
        account=account,
        client_order_id=f"{account}-{run_name}-{number}",
        ticker=ticker,
        side=codes.BUY if is_buy else codes.SELL,
        order_type=codes.LIMIT,
        time_in_force=codes.GTC,
        post_only=False,
        price=cents * 100,
        quantity=1,
        self_trade_prevention=codes.CANCEL_RESTING,
    )


def _wait_for_snapshots(run: Run) -> None:
    """Until every fold of risk and matcher has a snapshot that holds what is in the log now."""
    site = run.site
    began_s = time.time()
    store = PostgresSnapshots(site.addresses.pg_dsn, site.prefix or "default", kept=2)
    wanted = [
        (room, place, offset)
        for room, topic in (("risk", ACCOUNTS), ("matcher", MATCHING))
        for number in range(topic.partitions)
        if (offset := _last_record(site, place := TopicPartition(topic.name, number))) >= 0
    ]
    state_bytes = {}
    for room, place, offset in wanted:

        def holds(room: str = room, place: TopicPartition = place, offset: int = offset) -> bool:
            newest = store.newest(room, place.topic, place.partition, 1)
            if not newest or newest[0].offset <= offset:
                return False
            state_bytes[room, place] = len(newest[0].state)
            return True

        wait_for(holds, f"a snapshot of {place.topic}-{place.partition}", _SNAPSHOT_WAIT_S)
    mebibytes = sum(state_bytes.values()) / 2**20
    run.say(
        f"{len(state_bytes)} snapshots of {mebibytes:.1f} MiB after {time.time() - began_s:.0f} s"
    )


def _last_record(site: Site, place: TopicPartition) -> int:
    """Offset of the last committed record; -1: there is none near the end."""
    reader = KafkaReader(site.connection)
    try:
        first, end = reader.bounds(place)
        found = -1
        for chunk in reader.read(place, max(first, end - _TAIL), end):
            found = chunk[-1].offset
        return found
    finally:
        reader.close()


def kill_with_full_books(run: Run, times: int, goal_s: float = BACK_GOAL_S) -> None:
    """Kill matcher and risk in turn; the goal is stated, not required: the machine may be busy."""
    met = total = 0
    for _ in range(times):
        for room in ("matcher", "risk"):
            run.pause_randomly(_HEALTHY_S / 2, _HEALTHY_S / 2 + 1)
            run.kill(room)
            trade_s = next(
                m.seconds for m in reversed(run.account.measured) if m.what.endswith("next trade")
            )
            met += trade_s < goal_s
            total += 1
    run.say(f"{met} of {total} were back in under {goal_s:g} s")
