"""One run against one site: the load under it, what is done to it, and what was measured."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from services.tools.proof.chaos.acks import AckWriter
from services.tools.proof.chaos.clients import Clients
from services.tools.proof.chaos.judge import Judge, Verdict
from services.tools.proof.chaos.load import REST_ACCOUNT, LoadOrder
from services.tools.proof.chaos.probe import PROBE_ACCOUNTS, Probe
from services.tools.proof.chaos.site import Site
from services.tools.proof.chaos.timeline import mark, spell, steps_after
from services.tools.stack.identity import ProcessIdentity

TRADE_TIMEOUT_S: Final = 300.0
"""Only a bound: a cold JVM on a machine that is busy otherwise took more than a minute."""
RATE_PER_S: Final = 100.0
REST_RATE_PER_S: Final = 10.0

HOLDERS: Final = tuple(f"resting-{number:02}" for number in range(40))
"""Accounts that hold the resting orders of full books; 100,000 are 2,500 each, of 10,000 that one
account may have."""

type Say = Callable[[str], None]


class Measured(msgspec.Struct, frozen=True):
    """How long something took, from the fault's moment."""

    scenario: str
    what: str
    seconds: float
    limit_s: float
    """More is a fault; 0: it is only stated."""


class Account(msgspec.Struct):
    """What a run did, measured and found."""

    events: list[str] = msgspec.field(default_factory=list)
    measured: list[Measured] = msgspec.field(default_factory=list)
    faults: list[str] = msgspec.field(default_factory=list)
    kills: dict[str, int] = msgspec.field(default_factory=dict)
    figures: dict[str, int] = msgspec.field(default_factory=dict)
    checks: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Of each check, by the last verdict: how much was looked at, how much is wrong."""


class Run:
    """Handed to each scenario. Load and probe flow while a scenario runs."""

    def __init__(
        self, site: Site, clients: Clients, probe: Probe, judge: Judge, random: Random, say: Say
    ) -> None:
        self.site = site
        self.probe = probe
        self.random = random
        self.account = Account()
        self.scenario = ""
        self._clients = clients
        self._judge = judge
        self._say = say
        self._started_s = time.monotonic()

    # --- what scenarios say

    def say(self, line: str) -> None:
        """One event, with its time in the run."""
        line = f"[{time.monotonic() - self._started_s:7.1f} s] {self.scenario}: {line}"
        self.account.events.append(line)
        self._say(line)

    def measure(self, what: str, seconds: float, limit_s: float = 0.0) -> None:
        """Keep a time."""
        self.account.measured.append(Measured(self.scenario, what, seconds, limit_s))
        if limit_s and seconds > limit_s:
            self.fault(f"{what} took {seconds:.2f} s, more than {limit_s:g} s")

    def fault(self, what: str) -> None:
        """Something that must not be."""
        self.account.faults.append(f"{self.scenario}: {what}")
        self.say(f"FAULT: {what}")

    # --- what scenarios do

    def pause_randomly(self, least_s: float, most_s: float) -> None:
        """Let a random time pass."""
        time.sleep(self.random.uniform(least_s, most_s))

    def kill(self, *names: str, what: str = "") -> None:
        """SIGKILL at this moment, all at once; wait for the next trade and until all are back.

        Of a room with a standby, killed alone, it is the process that works.
        """
        room = names[0]
        targets = (self.site.leader(room),) if len(names) == 1 else names
        places = mark(self.site.rooms.log), mark(self.site.log_of(targets[0]))
        victims = tuple(self.site.process(target) for target in targets)
        signal_s = time.time()
        for name, target in zip(names, targets, strict=True):
            self.site.signal(target, signal.SIGKILL)
            self.account.kills[name] = self.account.kills.get(name, 0) + 1
        self.recover(what or f"SIGKILL {', '.join(names)}", signal_s, victims)
        if targets == (room,) and not self.site.rooms.plan.standby:
            steps = steps_after(room, signal_s, *places)
            if steps:
                self.say(f"  {spell(steps)}")

    def recover(
        self, what: str, signal_s: float, victims: tuple[ProcessIdentity, ...] = ()
    ) -> float:
        """Wait for the next trade and until everything is up; seconds to that trade."""
        trade_s = self.probe.trade_after(signal_s, TRADE_TIMEOUT_S) - signal_s
        self.site.wait_until_back(victims)
        back_s = time.time() - signal_s
        self.say(f"{what}: next trade after {trade_s:.2f} s, all up after {back_s:.2f} s")
        self.measure(f"{what}: next trade", trade_s)
        self.measure(f"{what}: all up", back_s)
        return trade_s

    @contextmanager
    def under_load(self, scenario: str) -> Iterator[None]:
        """Load and probe flow within; afterwards everything must be up and every promise kept."""
        self.scenario = scenario
        self.site.wait_until_back()
        self.resume()
        yield
        self.site.wait_until_back()
        self.pause()
        self.settle()

    def judge_now(self) -> None:
        """In the middle of a scenario: load and probe rest until the verdict is there."""
        self.site.wait_until_back()
        self.pause()
        self.settle()
        self.resume()

    def resume(self) -> None:
        """Let load and probe flow, and wait for the first trade."""
        self._clients.resume()
        self.probe.resume()
        self.probe.trade_after(time.time(), TRADE_TIMEOUT_S)

    def pause(self) -> None:
        """Stop load and probe, and wait until Kafka has confirmed all of it."""
        self.probe.pause()
        self._clients.pause()

    def settle(self) -> Verdict:
        """Wait until all is quiet, and judge what is new. Load and probe must be paused."""
        count = self._clients.count
        if count.rest_refused:
            self.fault(f"{count.rest_refused} orders by REST were refused: {count.rest_refusal}")
        verdict = self._judge.judge()
        self.account.figures |= verdict.figures | {
            "confirmed by Kafka": count.confirmed,
            "unconfirmed by Kafka": count.unconfirmed,
            "accepted by REST": count.rest_accepted,
            "sent again by REST": count.rest_repeated,
        }
        self._report(verdict)
        return verdict

    def settle_all(self) -> None:
        """At the end: everything from the beginning, by `outcry audit` and `outcry reconcile`."""
        self.scenario = "the whole log"
        verdict = self._judge.judge_all()
        self.account.figures |= verdict.figures
        self._report(verdict)

    def _report(self, verdict: Verdict) -> None:
        self.account.checks |= {c.name: (c.counted, c.faults) for c in verdict.checks}
        for fault in verdict.faults:
            self.fault(fault)
        looked = ", ".join(f"{check.counted:,} {check.name}" for check in verdict.checks)
        word = "nothing lost, nothing twice" if verdict.holds else "PROMISES BROKEN"
        self.say(f"{word} in {verdict.took_s:.1f} s: {looked}")


@contextmanager
def open_run(
    site: Site, folder: Path, seed: int, say: Say, rate_per_s: float = RATE_PER_S
) -> Iterator[Run]:
    """Accounts, load, probe and judge on a site that is up; `folder` takes promises and logs.

    Raises:
        OperateError: the exchange does not answer.
    """
    site.admit(seed, (REST_ACCOUNT, *PROBE_ACCOUNTS, *HOLDERS))
    order = LoadOrder(
        bootstrap=site.addresses.kafka_bootstrap,
        registry_url=site.addresses.registry_url,
        prefix=site.prefix,
        gateway=site.gateway,
        seed=seed,
        rate_per_s=rate_per_s,
        rest_rate_per_s=REST_RATE_PER_S,
        acks=str(folder / "acks"),
    )
    acks = AckWriter(folder / "acks")
    with (
        Clients(order, folder / "load.log") as clients,
        Probe(site, acks) as probe,
        Judge(site, folder / "acks") as judge,
    ):
        yield Run(site, clients, probe, judge, Random(seed), say)
    acks.close()
