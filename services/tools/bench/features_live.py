"""`outcry bench features-live`: trades until their feature rows are readable, through Faust.

On a stack of its own with every room of the trading path up. No orders come: the benchmark writes
`trades` itself, in transactions as the matcher does, and the recorder reads them too. Event time
runs faster than the clock, so that there are more rows than five a second to measure.

- latency: at a steady rate, from the moment before the commit of the trade that closes a row to
  the moment that the row is readable in `features`;
- freshness: at the same rate again, to the moment that the row, or a newer one of its ticker, was
  read from the online store through Feast;
- throughput: as many trades as the log takes, until the last of their rows is readable.
"""

import random
import time
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles
from typing import Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer
from rich.table import Table

from services.domain import codes, origin
from services.domain.events import Trade
from services.domain.genesis import default_genesis
from services.domain.origin import Origin
from services.tools.bench.answers import AnswerReader
from services.tools.bench.deployment import Bench, open_bench
from services.tools.bench.frame import Say
from services.tools.bench.freshness import Freshness, Poller, freshness
from services.wire.codec import Codec
from services.wire.topics import FEATURES, TRADES

LIVE_ROOMS: Final = ("ingest", "risk", "matcher", "recorder", "features", "materializer")
_ONLINE_SET: Final = "microstructure_v1"
_EVENT_SPEED: Final = 10
"""Seconds of event time a second."""
_TRANSACTION_S: Final = 0.01
_BURST_TRADES: Final = 500
"""Of one transaction, when trades come as fast as the log takes them."""
_WARM_UP_S: Final = 3.0
_IDLE_S: Final = 3.0
_TIMEOUT_S: Final = 600.0
_ANSWER_WAIT_S: Final = 30.0

type Place = tuple[int, int]
"""Partition and offset of a trade."""


class LiveLatency(msgspec.Struct, frozen=True):
    """Milliseconds from before a trade's commit to its rows being readable."""

    trades_per_s: int
    rows: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class LiveThroughput(msgspec.Struct, frozen=True):
    """Trades folded and their rows readable, per second, with a backlog all the while."""

    trades: int
    rows: int
    written_per_s: float
    """As they were offered: above what is folded, or there was no backlog."""
    whole_per_s: float
    """From the first commit to the last row."""
    steady_per_s: float
    """Of the middle three fifths of the trades."""
    cpu_us_per_trade: Mapping[str, float]
    """User and system time of each process, the broker included."""


class LiveReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    latency: LiveLatency
    freshness: Freshness
    throughput: LiveThroughput


class LiveOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    seed: int
    rate_per_s: int
    seconds: int
    trades: int


class Tape:
    """Seeded trades of every ticker, by partition, ready to be written."""

    def __init__(self, codec: Codec, seed: int, began_us: int) -> None:
        self._codec = codec
        self._random = random.Random(seed)
        self._tickers = [found.ticker for found in default_genesis("bench").instruments]
        self._prices = [1_000_000] * len(self._tickers)
        self._sequences = [0] * len(self._tickers)
        self._seconds = [0] * len(self._tickers)
        self.next_us = began_us
        """Event time of the next trade."""
        self.rows = 0
        """How many rows the trades so far close: a second each, as there are no long silences."""

    def take(self, count: int, spacing_us: int) -> list[tuple[int, bytes]]:
        """The next trades, so far apart in event time."""
        taken = []
        for _ in range(count):
            taken.append(self._trade(self.next_us))
            self.next_us += spacing_us
        return taken

    def _trade(self, event_time_us: int) -> tuple[int, bytes]:
        """The next trade: its partition and its bytes."""
        draw = self._random
        partition = draw.randrange(len(self._tickers))
        self._sequences[partition] += 1
        number = self._sequences[partition]
        price = max(100_000, self._prices[partition] + draw.randrange(-2, 3) * 100)
        self._prices[partition] = price
        ticker = self._tickers[partition]
        second = event_time_us // 1_000_000
        self.rows += second - (self._seconds[partition] or second)
        self._seconds[partition] = second
        caused = Origin(origin.MATCHING, partition, number, 0, number, event_time_us, 0)
        trade = Trade(
            trade_id=f"{ticker}-{number}-0",
            ticker=ticker,
            price=price,
            quantity=draw.randrange(1, 500),
            aggressor_side=codes.BUY if draw.random() < 0.5 else codes.SELL,
            maker_order_id=f"{ticker}-maker",
            taker_order_id=f"{ticker}-taker",
            maker_account="maker",
            taker_account="taker",
            bid=price - 100,
            bid_quantity=draw.randrange(1, 900),
            ask=price + 100,
            ask_quantity=draw.randrange(1, 900),
        )
        return partition, self._codec.encode(TRADES.name, caused, trade)


class _Writer:
    """Writes trades in transactions, and remembers when each was about to be committed."""

    def __init__(self, bench: Bench) -> None:
        self._topic = bench.prefix + TRADES.name
        self._producer = Producer(
            {
                "bootstrap.servers": bench.addresses.kafka_bootstrap,
                "transactional.id": f"{bench.prefix}bench-trades",
                "transaction.timeout.ms": 10_000,
                "linger.ms": 1,
                "retry.backoff.ms": 1,
                "log_level": 2,
            }
        )
        self._producer.init_transactions(_ANSWER_WAIT_S)
        self._open: list[Place] = []
        self.committed_s: dict[Place, float] = {}

    def write(self, trades: list[tuple[int, bytes]]) -> None:
        """One transaction."""
        self._producer.begin_transaction()
        for partition, value in trades:
            self._producer.produce(self._topic, value, None, partition, on_delivery=self._delivered)
        self._producer.flush(_ANSWER_WAIT_S)
        now_s = time.time()
        self._producer.commit_transaction(_ANSWER_WAIT_S)
        self.committed_s |= dict.fromkeys(self._open, now_s)
        self._open.clear()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self._open.append((partition, offset))


def run_features_live_bench(order: LiveOrder, say: Say) -> LiveReport:
    """Start a stack under `order.home`, measure, stop it. Blocks for minutes.

    Raises:
        StackError: the stack does not start.
        AssertionError: rows are missing; there is no figure for a run that lost one.
    """
    with open_bench(order.home, LIVE_ROOMS, default_genesis("bench"), order.seed) as bench:
        tape = Tape(bench.codec, order.seed, int(time.time()) * 1_000_000)
        writer = _Writer(bench)
        say("warming up")
        warm_up = _row_reader(bench)
        _write_steadily(writer, tape, order.rate_per_s, _WARM_UP_S)
        warm_up.wait_until_idle(_IDLE_S, _TIMEOUT_S)  # no row of it may come later
        warm_up.close()
        say(f"latency at {order.rate_per_s} trades/s for {order.seconds} s")
        latency = _measure_latency(bench, writer, tape, order)
        say(f"freshness at {order.rate_per_s} trades/s for {order.seconds} s")
        fresh = _measure_freshness(bench, writer, tape, order)
        say(f"throughput of {order.trades:,} trades")
        throughput = _measure_throughput(bench, writer, tape, order)
    return LiveReport(latency, fresh, throughput)


def _write_steadily(writer: _Writer, tape: Tape, rate_per_s: int, seconds: float) -> None:
    """Open-loop: what is due, in a transaction every 10 ms."""
    spacing_us = 1_000_000 * _EVENT_SPEED // rate_per_s
    began_s = time.monotonic()
    written = 0
    while (passed_s := time.monotonic() - began_s) < seconds:
        due = int(rate_per_s * passed_s)
        if due > written:
            writer.write(tape.take(due - written, spacing_us))
            written = due
        time.sleep(max(0.0, _TRANSACTION_S - (time.monotonic() - began_s - passed_s)))


def _measure_latency(bench: Bench, writer: _Writer, tape: Tape, order: LiveOrder) -> LiveLatency:
    reader, rows_before = _row_reader(bench), tape.rows
    writer.committed_s.clear()
    _write_steadily(writer, tape, order.rate_per_s, order.seconds)
    arrivals = sorted(_arrivals(bench, reader, tape.rows - rows_before).values())
    passed_ms = sorted((at_s - writer.committed_s[place]) * 1_000 for at_s, place in arrivals)
    assert len(passed_ms) > 100, f"{len(passed_ms)} rows are too few to tell a p99; run for longer"
    cuts = quantiles(passed_ms, n=100, method="inclusive")
    rate = order.rate_per_s
    return LiveLatency(rate, len(passed_ms), cuts[49], cuts[94], cuts[98], passed_ms[-1])


def _measure_freshness(bench: Bench, writer: _Writer, tape: Tape, order: LiveOrder) -> Freshness:
    tickers = [found.ticker for found in default_genesis("bench").instruments]
    with Poller(bench.rooms_home, _ONLINE_SET, tickers) as poller:
        reader, rows_before = _row_reader(bench), tape.rows
        writer.committed_s.clear()
        _write_steadily(writer, tape, order.rate_per_s, order.seconds)
        arrivals = _arrivals(bench, reader, tape.rows - rows_before)
        polled = poller.stop()
    committed_s = {row: writer.committed_s[place] for row, (_, place) in arrivals.items()}
    return freshness(order.rate_per_s, committed_s, polled)


def _measure_throughput(
    bench: Bench, writer: _Writer, tape: Tape, order: LiveOrder
) -> LiveThroughput:
    reader, rows_before = _row_reader(bench), tape.rows
    spacing_us = 1_000_000 * _EVENT_SPEED // order.rate_per_s
    batches = [tape.take(_BURST_TRADES, spacing_us) for _ in range(order.trades // _BURST_TRADES)]
    writer.committed_s.clear()
    cpu_before = bench.cpu_seconds()
    began_s = time.time()
    for batch in batches:
        writer.write(batch)
    written_s = time.time() - began_s
    arrivals = sorted(_arrivals(bench, reader, tape.rows - rows_before).values())
    used = {name: cpu_s - cpu_before[name] for name, cpu_s in bench.cpu_seconds().items()}
    trades = len(writer.committed_s)
    return LiveThroughput(
        trades,
        len(arrivals),
        trades / written_s,
        trades / (arrivals[-1][0] - began_s),
        steady_per_s(list(writer.committed_s), arrivals),
        {name: cpu_s * 1_000_000 / trades for name, cpu_s in used.items()},
    )


def _row_reader(bench: Bench) -> AnswerReader:
    return AnswerReader(bench.addresses.kafka_bootstrap, bench.prefix, keep=True, topic=FEATURES)


def _arrivals(
    bench: Bench, reader: AnswerReader, rows: int
) -> dict[tuple[str, int], tuple[float, Place]]:
    """When each row was first readable, and the trade that closed it, by ticker and grid time.

    Raises:
        AssertionError: rows are missing, or there are too many.
    """
    reader.wait_until_idle(_IDLE_S, _TIMEOUT_S)
    reader.close()
    first: dict[tuple[str, int], tuple[float, Place]] = {}
    for at_s, value in reader.arrived:
        decoded = bench.codec.decode(FEATURES.name, value)
        row, caused = decoded.payload, decoded.origin
        assert caused is not None
        place = (caused.partition, caused.offset)
        first.setdefault((row.ticker, row.grid_time_us), (at_s, place))
    assert len(first) == rows, f"{len(first)} rows came, and the trades close {rows}"
    return first


def steady_per_s(written: list[Place], arrivals: list[tuple[float, Place]]) -> float:
    """Between a fifth and four fifths of the trades; a row tells how far its partition has come."""
    offsets: dict[int, list[int]] = {}
    for partition, offset in sorted(written):
        offsets.setdefault(partition, []).append(offset)
    folded = dict.fromkeys(offsets, 0)
    marks: list[tuple[float, int]] = []
    for at_s, (partition, offset) in arrivals:
        folded[partition] = bisect_right(offsets[partition], offset)
        marks.append((at_s, sum(folded.values())))
    begin = next(mark for mark in marks if mark[1] >= len(written) * 0.2)
    end = next(mark for mark in marks if mark[1] >= len(written) * 0.8)
    return (end[1] - begin[1]) / (end[0] - begin[0])


def live_table(report: LiveReport) -> Table:
    """The figures for people."""
    latency, throughput = report.latency, report.throughput
    cpu = ", ".join(
        f"{name} {cpu_us:.0f}" for name, cpu_us in throughput.cpu_us_per_trade.items() if cpu_us > 1
    )
    table = Table(title="Trades to feature rows, through Faust", caption=f"CPU, us a trade: {cpu}")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("of")
    table.add_row(
        f"before a trade's commit to its row readable, at {latency.trades_per_s:,} trades/s",
        f"p50 {latency.p50_ms:.0f}  p95 {latency.p95_ms:.0f}  p99 {latency.p99_ms:.0f} "
        f" longest {latency.max_ms:.0f} ms",
        f"{latency.rows:,} rows",
    )
    fresh, cost = report.freshness, report.freshness.cost
    table.add_row(
        f"before a trade's commit to its row read online, at {fresh.trades_per_s:,} trades/s",
        f"p50 {fresh.p50_ms:.0f}  p95 {fresh.p95_ms:.0f}  p99 {fresh.p99_ms:.0f} "
        f" longest {fresh.max_ms:.0f} ms",
        f"{fresh.rows:,} rows, of {fresh.superseded:,} only a newer one was read",
    )
    table.add_row(
        f"the poller of the online store, each {fresh.poll_interval_ms:.0f} ms",
        f"{cost.cores:.2f} cores",
        f"{cost.polls:,} reads, p50 {cost.read_p50_ms:.1f}  p99 {cost.read_p99_ms:.1f} ms",
    )
    table.add_row(
        "sustained, with a backlog",
        f"{throughput.steady_per_s:,.0f} trades/s",
        f"{throughput.trades:,} trades, {throughput.rows:,} rows, all there",
    )
    table.add_row("from the first commit to the last row", f"{throughput.whole_per_s:,.0f}/s", "")
    table.add_row("as they were written", f"{throughput.written_per_s:,.0f}/s", "")
    return table
