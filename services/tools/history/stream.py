"""The lake's trades through a deployment's own rooms, as if they happened now.

A topic of trades has one writer, the matcher; so what is sent are orders that make it print these
trades. The n-th command of a plan is the n-th record of its partition of `orders`, and nobody else
writes there: how far a stream came is where that partition ends. To go on is to send the rest.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from services.domain.events import Trade
from services.lake.places import Lake
from services.runtime.kafka import KafkaConnection
from services.runtime.kafka_tail import KafkaGroupTail
from services.runtime.ports import TopicPartition
from services.tools.history.deployment import StreamDeployment
from services.tools.history.errors import HistoryError
from services.tools.history.flow import Days, Move, Print, plan, prints
from services.tools.history.times import spell_time
from services.tools.market.publish import Publisher
from services.wire.topics import ORDERS, TRADES

PARTITION: Final = 0
"""Of `orders`: order is promised within one partition alone."""

SILENCE_S_MAX: Final = 30.0
"""How long no trade may come while some are awaited."""

_TELL_EVERY: Final = 500
_WAIT_S_MAX: Final = 0.05
_US_PER_S: Final = 1_000_000

type Progress = Callable[[int, str], None]
"""Takes the number of commands sent and the time they have reached."""


class Streamed(msgspec.Struct, frozen=True):
    """How it came out."""

    prefix: str
    tickers: tuple[str, ...]
    skipped: int
    """Commands that an earlier stream had sent."""
    sent: int
    reached: str
    """Event time of the last command sent; empty if there was none."""
    interrupted: bool
    trades_expected: int
    trades_equal: int
    """Printed as the lake has them: ticker, time, price, size and side, in order."""
    difference: str
    """The first one, in words; empty if there is none."""
    duration_s: float

    @property
    def holds(self) -> bool:
        """Whether all was sent, and all was printed as the lake has it."""
        return not self.interrupted and not self.difference


def stream(
    place: StreamDeployment,
    lake: Lake,
    tickers: list[str],
    days: Days,
    speed: float,
    progress: Progress = lambda _sent, _reached: None,
) -> Streamed:
    """Send what is not sent yet, then compare what was printed. Ctrl-C ends it in good order.

    `speed` is how many times faster than it happened; 0: as fast as it goes.

    Raises:
        HistoryError: the prefix holds the beginning of another stream.
        RetriableError: Kafka did not take the commands.
        LakeError: a file of the lake is damaged.
    """
    started_s = time.monotonic()
    moves = plan(lake, tickers, days)
    skipped = _skip(place, moves)
    publisher = Publisher(place.deployment.bootstrap, place.deployment.prefix, place.codec)
    sent, reached_us, interrupted = 0, 0, False
    try:
        for move in _paced(moves, speed, publisher):
            value = place.codec.encode_command(ORDERS.name, move.command, move.time_us)
            publisher.send(move.ticker, value, PARTITION)
            sent, reached_us = sent + 1, move.time_us
            if sent % _TELL_EVERY == 0:
                publisher.poll()
                progress(skipped + sent, spell_time(reached_us))
    except KeyboardInterrupt:
        interrupted = True
    publisher.flush()
    reached = spell_time(reached_us) if sent else ""
    progress(skipped + sent, reached)
    expected, equal, difference = (0, 0, "")
    if not interrupted:
        with suppress(KeyboardInterrupt):  # everything is sent: only the comparison ends
            expected, equal, difference = compare(place, lake, tickers, days)
            if not difference and "features" in place.rooms:
                difference = await_features(place)
    return Streamed(
        prefix=place.deployment.prefix,
        tickers=tuple(tickers),
        skipped=skipped,
        sent=sent,
        reached=reached,
        interrupted=interrupted,
        trades_expected=expected,
        trades_equal=equal,
        difference=difference,
        duration_s=time.monotonic() - started_s,
    )


def compare(
    place: StreamDeployment, lake: Lake, tickers: list[str], days: Days
) -> tuple[int, int, str]:
    """Wait for every trade: how many are expected, how many came as expected, first difference."""
    total = equal = 0
    difference = ""
    for partition, ticker in enumerate(tickers):
        awaited = prints(lake, ticker, days)
        for printed in _printed(place, partition, sum(1 for _ in prints(lake, ticker, days))):
            wanted = next(awaited, None)
            total += wanted is not None
            if printed == wanted:
                equal += 1
            elif not difference:
                difference = f"{printed} was printed, {wanted} expected"
        missing = sum(1 for _ in awaited)
        total += missing
        if missing and not difference:
            difference = f"{missing} trades of {ticker} did not come: see the rooms' logs"
    return total, equal, difference


def await_features(place: StreamDeployment) -> str:
    """Wait until the feature room has written the rows of every trade; empty, or what is behind.

    Raises:
        RetriableError: Kafka does not answer.
    """
    connection = KafkaConnection(place.deployment.bootstrap, place.deployment.prefix)
    partitions = [TopicPartition(TRADES.name, number) for number in range(TRADES.partitions)]
    ends = {at: place.reader.bounds(at)[1] for at in partitions}
    tail = KafkaGroupTail(connection, "features")
    try:
        done, heard_s = tail.committed(partitions), time.monotonic()
        while behind := [at for at in partitions if max(done[at], 0) < ends[at]]:
            if time.monotonic() - heard_s > SILENCE_S_MAX:
                return (
                    f"the room features has not done partition {behind[0].partition}: see its log"
                )
            time.sleep(_WAIT_S_MAX)
            before, done = done, tail.committed(partitions)
            heard_s = heard_s if done == before else time.monotonic()
    finally:
        tail.close()
    return ""


def _printed(place: StreamDeployment, partition: int, awaited: int) -> Iterator[Print]:
    """Trades of a partition, from its beginning until as many came as are awaited."""
    at = TopicPartition(TRADES.name, partition)
    found, (position, _) = 0, place.reader.bounds(at)
    heard_s = time.monotonic()
    while True:
        _, end = place.reader.bounds(at)
        for records in place.reader.read(at, position, end):
            for record in records:
                decoded = place.codec.decode(record.topic, record.value)
                trade, origin = decoded.payload, decoded.origin
                assert isinstance(trade, Trade)
                assert origin is not None
                yield Print(
                    trade.ticker, origin.time_us, trade.price, trade.quantity, trade.aggressor_side
                )
                found += 1
                heard_s = time.monotonic()
        position = max(position, end)
        if found >= awaited or time.monotonic() - heard_s > SILENCE_S_MAX:
            return
        time.sleep(_WAIT_S_MAX)


def _skip(place: StreamDeployment, moves: Iterator[Move]) -> int:
    """Leave out what was sent before; the last of it has to be this plan's."""
    at = TopicPartition(ORDERS.name, PARTITION)
    first, end = place.reader.bounds(at)
    last = next(islice(moves, end - 1, None), None) if end else None
    if not end:
        return 0
    for records in place.reader.read(at, max(first, end - 1), end):
        for record in records:
            found = place.codec.decode(record.topic, record.value).payload
            if last is None or found != last.command:
                raise HistoryError(
                    f"{place.deployment.prefix} holds {end} commands of another stream, or the lake"
                    " has changed since: choose another --prefix"
                )
    return end


def _paced(moves: Iterator[Move], speed: float, publisher: Publisher) -> Iterator[Move]:
    """Each command, not before its time."""
    if not speed:
        yield from moves
        return
    started_s, first_us = time.monotonic(), -1
    for move in moves:
        if first_us < 0:
            first_us = move.time_us
        due_s = started_s + (move.time_us - first_us) / _US_PER_S / speed
        while (left_s := due_s - time.monotonic()) > 0:
            publisher.poll(min(left_s, _WAIT_S_MAX))
        yield move
