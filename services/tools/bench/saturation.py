"""`outcry bench saturation`: more than the exchange bears, for minutes, and what is left of it.

On a stack of its own with every trading room: what it takes at saturation through the gateway,
then twice as much, open-loop, from clients who give up after seconds. Nothing acknowledged may be
missing afterwards: each 2xx is held against the committed log, and the audit derives everything
again. Memory of each room is sampled; a probe of its own trades each 50 ms throughout, and says
how long after the load's end its latency is that of before.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import psutil
from rich.table import Table

from services.domain.genesis import TICKERS, default_genesis
from services.tools.bench.frame import Say
from services.tools.bench.gateway_load import LoadOrder, LoadResult
from services.tools.bench.tries import at_percent, try_apart
from services.tools.proof.chaos.acks import AckWriter
from services.tools.proof.chaos.judge import Judge
from services.tools.proof.chaos.own_site import own_site
from services.tools.proof.chaos.probe import PROBE_ACCOUNTS, TICKER, Probe
from services.tools.proof.chaos.site import Site
from services.tools.stack.rooms import TRADING_ROOMS

LOAD_ACCOUNT: Final = "flood"
RECOVERY_S: Final = 10.0
"""The goal: within so many seconds of the load's end latency is as it was before."""
_REMEMBER_US: Final = 60_000_000
"""The dedup window of the run's genesis: 60 s, so that memory can become stationary."""
_LOAD: Final = "services.tools.bench.gateway_load"
_GRACE_S: Final = 120.0
_SAMPLE_S: Final = 2.0
_NORMAL: Final = 1.5
"""Latency is normal again when it is no more than so many times its 99th percentile of before."""
_CALM_PER_S: Final = 20
_CALM_CONNECTIONS: Final = 64
"""At the calm rate each of these is used within the 5 s for which an idle one is kept."""
_CALM_S: Final = 3.0
"""For so long, that is, at a stretch."""
_WATCH_S: Final = 180.0
"""How long the return is waited for."""
_WARM_MS: Final = 1_000.0
"""Rooms that have just started are warm once trades come within so many milliseconds."""
_MIB: Final = 1024 * 1024


class SaturationOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    seconds: float = 300.0
    """Of the load that is too much."""
    times: float = 2.0
    """Of what was taken at saturation."""
    find_seconds: float = 15.0
    """Of each load before it: calm, and at saturation."""
    connections: int = 64
    patience_s: float = 5.0


class RoomMemory(msgspec.Struct, frozen=True):
    """Resident memory of one room, in MiB."""

    room: str
    before_mib: float
    half_mib: float
    end_mib: float
    max_mib: float


class SaturationReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    saturated_per_s: float
    offered_per_s: float
    load: LoadResult
    memory: tuple[RoomMemory, ...]
    normal_p99_ms: float
    """Of the probe, from its order to the trade, before the load."""
    loaded_p50_ms: float | None
    """Under the load, of those that traded within 180 s of it; None: none did."""
    loaded_p99_ms: float | None
    recovered_s: float | None
    """From the load's end until latency was normal again; None: it was not within 180 s."""
    calm: LoadResult
    """Orders at 20/s before."""
    after: LoadResult
    """The same from the moment when latency was normal again."""
    checks: dict[str, tuple[int, int]]
    """By the judge: how much was looked at, how much is wrong."""
    faults: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Nothing lost, nothing twice, and back in time."""
        in_time = self.recovered_s is not None and self.recovered_s <= RECOVERY_S
        return not self.faults and in_time


def run_saturation_bench(order: SaturationOrder, say: Say) -> SaturationReport:
    """Start a stack under the order's home, overload it, judge it, stop it; blocks for minutes.

    Raises:
        StackError: the stack does not start.
        OperatingError: the log or PostgreSQL can't be read afterwards.
    """
    genesis = msgspec.structs.replace(default_genesis("bench"), remember_ended_us=_REMEMBER_US)
    unlimited = {"OUTCRY_GATEWAY_RATE_OF_ADDRESS_MAX": "0", "OUTCRY_GATEWAY_RATE_OF_KEY_MAX": "0"}
    # A room that is slow for want of a core is not frozen: nobody judges that here.
    with own_site(order.home / "stack", genesis, environment=unlimited, frozen_timeout_s=0) as site:
        site.admit(1, (LOAD_ACCOUNT, *PROBE_ACCOUNTS))
        promises = order.home / "acks"
        acks = AckWriter(promises)
        with Probe(site, acks) as probe, Judge(site, promises) as judge:
            report = _run(order, site, probe, say)
            say("every promise held against the log, and everything derived again")
            verdict = judge.judge()
        acks.close()
    return msgspec.structs.replace(
        report,
        checks={check.name: (check.counted, check.faults) for check in verdict.checks},
        faults=tuple(verdict.faults),
    )


def _run(order: SaturationOrder, site: Site, probe: Probe, say: Say) -> SaturationReport:
    probe.resume()
    say("warming up")
    _await_calm(probe, time.time(), _WARM_MS / _NORMAL, say)
    say(f"calm, for {order.find_seconds:g} s")
    calm_since_s = time.time()
    calm = _calm_load(order, site, "calm")
    calm_until_s = time.time()
    # Once one sent later has traded, those sent before are all told of.
    probe.trade_after(calm_until_s, _WATCH_S)
    normal_ms = _delays_ms(probe, calm_since_s, calm_until_s)
    say(f"at saturation, for {order.find_seconds:g} s")
    saturated = _load(order, site, "full", order.find_seconds, 0, order.connections)
    rate_per_s = order.times * saturated.answered_per_s
    _await_calm(probe, time.time(), at_percent(normal_ms, 99), say)
    say(f"{rate_per_s:,.0f} orders/s for {order.seconds:g} s, {order.times:g} times what it took")
    since_s = time.time()
    with _sampled(site) as samples:
        load = _load(order, site, "over", order.seconds, rate_per_s, order.connections)
    until_s = time.time()
    limit_ms = at_percent(normal_ms, 99)
    recovered_s = _await_calm(probe, until_s, limit_ms, say)
    loaded_ms = _delays_ms(probe, since_s, until_s)
    after = _calm_load(order, site, "after")
    probe.pause()
    return SaturationReport(
        saturated_per_s=saturated.answered_per_s,
        offered_per_s=rate_per_s,
        load=load,
        memory=_memory(samples),
        normal_p99_ms=limit_ms,
        loaded_p50_ms=at_percent(loaded_ms, 50) if loaded_ms else None,
        loaded_p99_ms=at_percent(loaded_ms, 99) if loaded_ms else None,
        recovered_s=recovered_s,
        calm=calm,
        after=after,
        checks={},
        faults=(),
    )


def _calm_load(order: SaturationOrder, site: Site, run: str) -> LoadResult:
    return _load(order, site, run, order.find_seconds, _CALM_PER_S, _CALM_CONNECTIONS)


def _load(
    order: SaturationOrder,
    site: Site,
    run: str,
    seconds: float,
    rate_per_s: float,
    connections: int,
) -> LoadResult:
    """Orders that are canceled at once, so that books stay as they are.

    None of the probe's ticker, whose own orders must meet each other.
    """
    asked = LoadOrder(
        port=int(site.gateway.rpartition(":")[2]),
        kind="ours",
        run=f"{run}-{time.time_ns() // 1_000_000:x}",
        connections=connections,
        seconds=seconds,
        rate_per_s=rate_per_s,
        patience_s=order.patience_s,
        account=LOAD_ACCOUNT,
        tickers=tuple(name for name in TICKERS if name != TICKER),
        time_in_force="IOC",
        acks=str(order.home / "acks"),
    )
    argument = msgspec.json.encode(asked).decode()
    said = try_apart(_LOAD, [argument], seconds + _GRACE_S, f"the load {run!r}")
    return msgspec.convert(said, LoadResult)


def _delays_ms(probe: Probe, since_s: float, until_s: float) -> list[float]:
    return [delay_s * 1_000 for _, delay_s in probe.delays(since_s, until_s)]


def _await_calm(probe: Probe, since_s: float, normal_p99_ms: float, say: Say) -> float | None:
    """Seconds from then until every trade was normally quick for a stretch."""
    give_up_at_s = since_s + _WATCH_S
    while time.time() < give_up_at_s:
        time.sleep(0.2)
        found_s = calm_from(
            probe.delays(since_s, time.time()), time.time(), _NORMAL * normal_p99_ms / 1_000
        )
        if found_s is not None:
            say(f"latency normal again after {found_s - since_s:.1f} s")
            return max(0.0, found_s - since_s)
    return None


def calm_from(delays: Sequence[tuple[float, float]], now_s: float, limit_s: float) -> float | None:
    """The moment since when every order was answered within the limit; None: not for long enough.

    Args:
        delays: when each was sent, and after how long it was answered.
        now_s: the present.
        limit_s: for one answer.
    """
    slow = [sent_s + delay_s for sent_s, delay_s in delays if delay_s > limit_s]
    quick = [sent_s for sent_s, delay_s in delays if delay_s <= limit_s]
    first_s = min((sent_s for sent_s in quick if not slow or sent_s > max(slow)), default=None)
    if first_s is None or now_s - first_s < _CALM_S or now_s - max(quick) > _CALM_S / 2:
        return None
    return first_s


@contextmanager
def _sampled(site: Site) -> Iterator[list[dict[str, float]]]:
    """Memory of each room, every two seconds, on a thread; complete once left."""
    samples: list[dict[str, float]] = []
    stop = threading.Event()

    def sample() -> None:
        while True:
            samples.append({room: _resident_mib(site, room) for room in TRADING_ROOMS})
            if stop.wait(_SAMPLE_S):
                return

    thread = threading.Thread(target=sample, name="memory")
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def _resident_mib(site: Site, room: str) -> float:
    found = 0.0
    for process in site.family(room):
        try:
            found += process.memory_info().rss / _MIB
        except psutil.NoSuchProcess:
            continue
    return found


def _memory(samples: Sequence[dict[str, float]]) -> tuple[RoomMemory, ...]:
    half = samples[len(samples) // 2]
    return tuple(
        RoomMemory(
            room,
            samples[0][room],
            half[room],
            samples[-1][room],
            max(sample[room] for sample in samples),
        )
        for room in TRADING_ROOMS
    )


def saturation_table(report: SaturationReport) -> Table:
    """For people."""
    table = Table("figure", "value", "more", title="bench saturation")
    load = report.load
    others = ", ".join(f"{count:,} of {status}" for status, count in sorted(load.statuses.items()))
    table.add_row("orders taken at saturation", f"{report.saturated_per_s:,.0f}/s", "")
    table.add_row(
        "offered", f"{report.offered_per_s:,.0f}/s",
        f"{load.requests:,} sent ({others}), {load.given_up:,} given up unsent",
    )  # fmt: skip
    table.add_row(
        "acknowledged meanwhile", f"{load.answered_per_s:,.0f}/s",
        f"p50 {load.p50_ms:,.0f} ms, p99 {load.p99_ms:,.0f} ms, from when each was due",
    )  # fmt: skip
    table.add_row(
        "order to trade, the probe's", f"p99 {report.normal_p99_ms:,.0f} ms before",
        f"p50 {_ms(report.loaded_p50_ms)}, p99 {_ms(report.loaded_p99_ms)} under the load",
    )  # fmt: skip
    table.add_row(
        "normal again",
        "not within 180 s" if report.recovered_s is None
        else f"{report.recovered_s:.1f} s after the load's end",
        f"goal {RECOVERY_S:g} s; acknowledgements at 20/s: p99 {report.calm.p99_ms:,.0f} ms before,"
        f" {report.after.p99_ms:,.0f} after",
    )  # fmt: skip
    for room in report.memory:
        table.add_row(
            f"memory of {room.room}", f"{room.end_mib:,.0f} MiB at the end",
            f"{room.before_mib:,.0f} before, {room.half_mib:,.0f} half-way, at most"
            f" {room.max_mib:,.0f}",
        )  # fmt: skip
    for name, (counted, wrong) in report.checks.items():
        table.add_row(f"check: {name}", f"{wrong:,} wrong", f"of {counted:,}")
    for fault in report.faults:
        table.add_row("FAULT", fault, "")
    return table


def _ms(value: float | None) -> str:
    return "never" if value is None else f"{value:,.0f} ms"
