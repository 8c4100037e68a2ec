"""`outcry soak`: hours of steady mixed load, a kill every few minutes, and flat figures to show.

The load is that of `outcry chaos`: the seeded crowd (orders, cancels, reduces, replaces, junk) to
Kafka, an account by REST, the probe's pairs; beside them a WebSocket reader of each ticker's
trades, which must hear each once and in order over all its gateway's deaths. At the end every
promise is held against the log, everything is derived again, and the figures must be flat.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from services.domain.genesis import default_genesis
from services.runtime.errors import OperatingError
from services.tools.bench.frame import Say
from services.tools.operate.errors import OperateError
from services.tools.proof.chaos.own_site import own_site
from services.tools.proof.chaos.run import Account, Run, open_run
from services.tools.soak.pictures import draw_run
from services.tools.soak.readers import Readers
from services.tools.soak.rules import Flat, judge_flat
from services.tools.soak.samples import SAMPLE_S, Mark, Sample, Sampler, series
from services.tools.stack.rooms import ROOM_NAMES, TRADING_ROOMS

SAMPLES_NAME: Final = "samples.jsonl"
PICTURE_NAME: Final = "soak.svg"
REPORT_NAME: Final = "report.json"
_REMEMBER_US: Final = 60_000_000
"""The dedup window of the run's genesis: 60 s, so that memory can be stationary from early on."""
_S_PER_HOUR: Final = 3_600.0
_EDGE_S: Final = 20.0
"""No kill so short before the end: its recovery would be cut off."""


class SoakOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    """Of the stack."""
    folder: Path
    """Takes the samples, the picture and the report."""
    hours: float
    seed: int
    rate_per_s: float = 100.0
    """Commands of the crowd; 10 orders/s by REST and the probe come on top."""
    kill_every_s: float = 180.0
    """On average; 0: nothing is killed, so that a slow leak is not hidden by restarts."""
    all_rooms: bool = False
    """Also features, materializer, inference and drift."""


class SoakReport(msgspec.Struct):
    """What the run found."""

    seed: int
    run_s: float
    kills: dict[str, int]
    figures: dict[str, int]
    checks: dict[str, tuple[int, int]]
    """By the last verdict: how much was looked at, how much is wrong."""
    flat: list[Flat]
    """Empty: the run was too short to judge."""
    recovery_s: dict[str, float]
    """Longest time from a kill to the next trade, by what was killed."""
    trades_read: int
    """By the WebSocket readers, after their first snapshots."""
    readers_returned: int
    faults: list[str]

    @property
    def is_sound(self) -> bool:
        """No promise broken, and every figure flat."""
        return not self.faults and all(one.holds for one in self.flat)


def run_soak(order: SoakOrder, say: Say) -> SoakReport:
    """Start a stack under the order's home, keep it under load, judge it, stop it. Blocks.

    Raises:
        StackError: the stack does not start.
    """
    genesis = msgspec.structs.replace(default_genesis("soak"), remember_ended_us=_REMEMBER_US)
    rooms = ROOM_NAMES if order.all_rooms else TRADING_ROOMS
    with (
        own_site(order.home, genesis, rooms, frozen_timeout_s=10.0) as site,
        open_run(site, order.folder, order.seed, say, order.rate_per_s) as run,
        Readers(site.gateway) as readers,
    ):
        sampler = Sampler(site, run.probe, order.folder / SAMPLES_NAME)
        marks = _soak(order, run, sampler, say)
        for fault in readers.faults:
            run.fault(fault)
        heard, returned = readers.heard, readers.returns
        _settle_all(run)
    report = _report(order, run.account, sampler.samples, marks, rooms)
    report.trades_read, report.readers_returned = heard, returned
    if not heard:
        report.faults.append("the WebSocket readers heard no trade")
    picture = draw_run(f"outcry soak, seed {order.seed}", series(sampler.samples), marks)
    (order.folder / PICTURE_NAME).write_bytes(picture)
    (order.folder / REPORT_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return report


def _soak(order: SoakOrder, run: Run, sampler: Sampler, say: Say) -> list[Mark]:
    """Load and kills until the time is up; what was done, and when."""
    marks: list[Mark] = []
    try:
        with run.under_load("soak"), sampler:
            for wait_s, room in kills(order):
                if sampler.now_s() + wait_s > order.hours * _S_PER_HOUR - _EDGE_S:
                    break
                time.sleep(wait_s)
                marks.append(Mark(sampler.now_s(), f"SIGKILL {room}"))
                run.kill(room)
            left_s = order.hours * _S_PER_HOUR - sampler.now_s()
            time.sleep(max(SAMPLE_S, left_s))
    except (OperateError, OperatingError) as error:
        run.fault(str(error))
    say(f"{len(marks)} kills in {sampler.now_s() / 60:.0f} minutes")
    return marks


def _settle_all(run: Run) -> None:
    """Everything from the beginning; that it can't be read is a fault like any other."""
    try:
        run.settle_all()
    except (OperateError, OperatingError) as error:
        run.fault(str(error))


def kills(order: SoakOrder) -> Iterator[tuple[float, str]]:
    """How long to wait, and what to kill then: the same from the same seed."""
    random = Random(f"soak/{order.seed}")
    while order.kill_every_s:
        # Each room before any comes again.
        for room in random.sample(TRADING_ROOMS, len(TRADING_ROOMS)):
            yield random.uniform(0.5, 1.5) * order.kill_every_s, room


def _report(
    order: SoakOrder,
    account: Account,
    samples: list[Sample],
    marks: list[Mark],
    rooms: tuple[str, ...],
) -> SoakReport:
    run_s = samples[-1].at_s if samples else 0.0
    recovery_s: dict[str, float] = {}
    for measured in account.measured:
        if measured.what.endswith("next trade"):
            most = recovery_s.get(measured.what, 0.0)
            recovery_s[measured.what] = max(most, measured.seconds)
    return SoakReport(
        seed=order.seed,
        run_s=run_s,
        kills=account.kills,
        figures=account.figures,
        checks=account.checks,
        flat=judge_flat(series(samples), [mark.at_s for mark in marks], run_s, rooms),
        recovery_s=recovery_s,
        trades_read=0,
        readers_returned=0,
        faults=list(account.faults),
    )
