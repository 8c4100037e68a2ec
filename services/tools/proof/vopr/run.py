"""Running seeds: one, many, on several processes; and how soon each planted bug is found."""

import gc
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from multiprocessing import get_context
from statistics import median
from typing import Final

import msgspec

from services.tools.proof.compiled import load, loaded
from services.tools.proof.vopr.checks import check
from services.tools.proof.vopr.mutations import BY_NAME
from services.tools.proof.vopr.parts import Parts
from services.tools.proof.vopr.second import audit
from services.tools.proof.vopr.stage import Finding, crash, shared_codec
from services.tools.proof.vopr.world import World, opened_log
from services.wire.topics import TRADING

_COLLECT_EVERY: Final = 25
_CHUNK_SEEDS: Final = 10


class Outcome(msgspec.Struct, frozen=True):
    """What became of one seed."""

    seed: int
    steps: int
    mutation: str
    """The planted bug; empty: none."""
    finding: str
    """The first thing that was not as it must be; empty: all was."""
    digest: str
    """Of all that happened and of the whole log: the same for the same seed, steps and code."""
    figures: dict[str, int]
    met: dict[str, int]
    """How often each misfortune came, by kind and place."""

    @property
    def command(self) -> str:
        """What repeats it."""
        planted = f" --mutation {self.mutation}" if self.mutation else ""
        return f"outcry vopr --seed {self.seed} --steps {self.steps}{planted}"


def run_seed(seed: int, steps: int, mutation: str = "", trace: list[str] | None = None) -> Outcome:
    """Run one seed and check what it left; `trace` gets a line for each thing that happened."""
    parts = BY_NAME[mutation].parts if mutation else Parts()
    world: World | None = None
    finding = ""
    try:
        opened_log(parts)
        shared_codec().forget()
        world = World(seed, steps, parts)
        world.run()
        world.come_to_rest()
        check(world)
        audit(world)
    except Finding as error:
        finding = str(error)
    except Exception as error:  # noqa: BLE001 - a crash is a finding, and has a seed to repeat it
        finding = str(crash(error))
    if world is None:
        return Outcome(seed, steps, mutation, finding, "", {}, {})
    if trace is not None:
        trace.extend(world.trace)
    return Outcome(seed, steps, mutation, finding, _digest(world), _count(world), dict(world.met))


def _digest(world: World) -> str:
    """Of the trace and of every committed record."""
    digest = blake2b("\n".join(world.trace).encode(), digest_size=16)
    log = world.stage.log
    for topic in TRADING:
        for at in log.partitions_of(topic.name):
            for record in log.scan(at, 0, log.end_offset(at)):
                digest.update(b"%d %d " % (record.offset, record.timestamp_ms))
                digest.update(record.value or b"")
    return digest.hexdigest()


def _count(world: World) -> dict[str, int]:
    log = world.stage.log
    figures = {
        topic.name: sum(
            1 for at in log.partitions_of(topic.name) for _ in log.scan(at, 0, log.end_offset(at))
        )
        for topic in TRADING
    }
    return figures | world.happened


def run_seeds(
    seeds: Sequence[int], steps: int, processes: int = 1, mutation: str = ""
) -> Iterator[Outcome]:
    """Run many seeds; outcomes come as they are done."""
    jobs = [(seed, steps, mutation) for seed in seeds]
    if processes == 1 or len(jobs) == 1:
        yield from map(_run_job, jobs)
        return
    with get_context("spawn").Pool(processes, load, (loaded(),)) as pool:
        yield from pool.imap_unordered(_run_job, jobs, chunksize=_CHUNK_SEEDS)


def _run_job(job: tuple[int, int, str]) -> Outcome:
    """One seed, with garbage collected between seeds alone: a seed's is small."""
    gc.disable()
    try:
        return run_seed(*job)
    finally:
        gc.enable()
        if job[0] % _COLLECT_EVERY == 0:
            gc.collect()


class Hunt(msgspec.Struct, frozen=True):
    """How soon a planted bug was found, from several first seeds on."""

    name: str
    breaks: str
    seeds: list[int]
    """How many seeds it took from each first seed; 0: not found, or only something else was."""
    finding: str
    """What was found first."""
    command: str
    """What repeats it."""

    @property
    def is_found(self) -> bool:
        """From every first seed."""
        return all(self.seeds)

    @property
    def seeds_median(self) -> int:
        """How many seeds it takes; 0: it was not found."""
        return int(median(self.seeds)) if self.is_found else 0


def hunt(name: str, steps: int, first_seeds: Sequence[int], seeds_max: int) -> Hunt:
    """Look for a planted bug until it is found, from each of these seeds on."""
    planted = BY_NAME[name]
    taken: list[int] = []
    found: Outcome | None = None
    for first in first_seeds:
        count = 0
        for seed in range(first, first + seeds_max):
            outcome = run_seed(seed, steps, name)
            if outcome.finding:
                found = found or outcome
                count = seed - first + 1 if planted.explains(outcome.finding) else 0
                break
        taken.append(count)
    finding, command = (found.finding, found.command) if found else ("", "")
    return Hunt(name, planted.breaks, taken, finding, command)


def hunt_all(
    names: Sequence[str], steps: int, first_seeds: Sequence[int], seeds_max: int, processes: int
) -> Iterator[Hunt]:
    """Hunt several planted bugs; they come as they are found."""
    jobs = [(name, steps, first_seeds, seeds_max) for name in names]
    if processes == 1:
        yield from (hunt(*job) for job in jobs)
        return
    with get_context("spawn").Pool(processes, load, (loaded(),)) as pool:
        yield from pool.imap_unordered(_hunt_job, jobs)


def _hunt_job(job: tuple[str, int, Sequence[int], int]) -> Hunt:
    return hunt(*job)
