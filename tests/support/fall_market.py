"""Markets in which it is known whether a model has fallen: how often the test says so.

`python -m tests.support.fall_market TRIALS` prints the table of docs/performance.md.
"""

import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from services.drift.core.arrays import Floats, Ints
from services.drift.core.figures import Answers, Rows, compared
from services.drift.core.intervals import share_interval
from services.drift.core.performance import Rival, track
from services.drift.core.predicted import Predictions
from services.drift.core.standing import Performance, Standing
from services.drift.core.truths import Market
from services.drift.core.windows import SECOND_US, Window, windows_of
from services.models.manifest import Estimate, ModelManifest
from tests.support.spoken import CERTAIN, FIRST_S, MODEL, file_of, model, window

HORIZON_S: Final = 10
_TICK: Final = 100
_ANSWERS: Final = np.array(CERTAIN)


class Case(NamedTuple):
    """A model of a certain skill that may lose some of it."""

    name: str
    seconds: int = 3_600
    block_s: int = 70
    skill: float = 0.6
    """Correlation of what it goes by with what drives the mid."""
    now: float = 0.6
    """The same, in the window."""
    memory_s: float = 60.0
    """Of both; what is further apart is less than 37 % alike."""
    twins: int = 0
    """Plain rules that are as good as the model was: the hardest case for its second test."""
    tickers: int = 5
    tested_s: int = 3 * 3_600
    """Of the walk-forward test that the promise comes of."""


class Counted(NamedTuple):
    """What windows came to."""

    windows: int
    tested: int
    """The others have too few blocks."""
    fallen: int
    lost: float | None
    """Macro-F1, on average of those that were tested; None: none was."""


class Tally(NamedTuple):
    """Windows, and those that fell."""

    windows: int
    fallen: int

    def __str__(self) -> str:
        low, high = share_interval(self.fallen, self.windows)
        share = self.fallen / self.windows
        return f"{self.fallen} of {self.windows}, {share:.1%} ({low:.1%} to {high:.1%})"


class Rolled(NamedTuple):
    """What windows came to that begin each quarter of an hour."""

    rolling: Tally
    apart: Tally
    """Of the same, those that follow each other."""
    falls: int
    """Successive windows that fell are one fall."""
    hours: float


class World(NamedTuple):
    """[seconds, tickers] of each."""

    move: Ints
    mid: Ints
    said: Ints
    last_move: Ints
    twins: list[Ints]


HOUR_S: Final = 3_600
CASES: Final = (
    Case("memory 30 s, 1 h", memory_s=30.0),
    Case("memory 60 s, 2 h", 2 * HOUR_S),
    Case("memory 70 s, 2 h", 2 * HOUR_S, memory_s=70.0),
    Case("memory 300 s, 1 h", memory_s=300.0),
    Case("memory 300 s, 4 h", 4 * HOUR_S, memory_s=300.0),
    Case("memory 900 s, 1 h", memory_s=900.0),
    Case("memory 900 s, 15 h", 15 * HOUR_S, memory_s=900.0, tested_s=24 * HOUR_S),
    Case("memory 60 s, 2 h, two plain rules as good as the model", 2 * HOUR_S, twins=2),
    Case("memory 60 s, 2 h, gap of 310 s", 2 * HOUR_S, 310),
    Case("a sixth of its skill gone, 2 h", 2 * HOUR_S, now=0.5),
    Case("a third of its skill gone, 2 h", 2 * HOUR_S, now=0.4),
    Case("half of its skill gone, 2 h", 2 * HOUR_S, now=0.3),
    Case("all of its skill gone, 2 h", 2 * HOUR_S, now=0.0),
    Case("half of its skill gone, 2 h, a plain rule as good", 2 * HOUR_S, now=0.3, twins=1),
    Case("all of its skill gone, memory 300 s, 5 h", 5 * HOUR_S, now=0.0, memory_s=300.0),
)
"""Lines of the table; the memory is 60 s unless it is named."""
STEP_S: Final = 900
ROLLED_S: Final = 10 * HOUR_S
ROLLED: Final = (CASES[0], Case("memory 60 s, 1 h"))
LONG_S: Final = 4 * HOUR_S
"""Windows that are longer take long to make: a third of the trials."""


def world(chance: np.random.Generator, case: Case, seconds: int, skill: float) -> World:
    """A market whose mid drifts by what nobody sees, and what the model says of it."""
    length = seconds + HORIZON_S
    drift = _remembering(chance, length, case)
    drawn = 15.0 * drift + 100.0 * chance.normal(size=drift.shape)
    steps = np.rint(drawn / _TICK).astype(np.int64) * _TICK
    mid = 3_000_000 + np.cumsum(steps, axis=0)
    return World(
        mid[HORIZON_S:] - mid[:-HORIZON_S],
        mid,
        _said(chance, drift, skill, case)[:seconds],
        np.sign(steps[:seconds]) + 1,
        [_said(chance, drift, case.skill, case)[:seconds] for _ in range(case.twins)],
    )


def promise_of(chance: np.random.Generator, case: Case) -> Estimate:
    """What training would have found."""
    tested = world(chance, case, case.tested_s, case.skill)
    found = compared(
        Rows(
            np.repeat(np.arange(case.tested_s), case.tickers) * SECOND_US,
            np.sign(tested.move).ravel() + 1,
            tested.move.ravel(),
            np.full(tested.move.size, 50),
        ),
        [Answers.of(_ANSWERS[tested.said.ravel()], states=True)],
        case.block_s,
        seed=1,
    )
    metrics = found.figures[0].metrics
    assert metrics is not None, "the test is long enough"
    return metrics.macro_f1


def manifest_of(promised: Estimate, block_s: int) -> ModelManifest:
    made = model()
    return replace(
        made,
        data=replace(made.data, gap_s=block_s),
        metrics=replace(made.metrics, macro_f1=promised),
    )


def trial(seed: int, case: Case) -> Performance:
    """One model and one window of it."""
    return Life(seed, case, case.seconds).judged(window(0, case.seconds))


class Life:
    """One model for so many seconds, of which any window can be judged."""

    def __init__(self, seed: int, case: Case, seconds: int) -> None:
        chance = np.random.default_rng((seed, seconds, case.block_s))
        promised = promise_of(chance, case)
        now = world(chance, case, seconds, case.now)
        rows, columns = now.mid.shape
        time_us = (FIRST_S + np.repeat(np.arange(rows), columns)) * SECOND_US
        ticker = np.tile(np.arange(columns), rows)
        names = tuple(f"T{number}" for number in range(columns))
        everywhere = np.ones(rows * columns, dtype=np.bool_)
        half_spread = np.full(rows * columns, 50)
        self._market = Market(
            names, ticker, time_us, now.mid.ravel(), everywhere, half_spread, everywhere
        )
        served = seconds * columns
        said = now.said.ravel()
        zeros = np.zeros(served, dtype=np.int64)
        self._predictions = Predictions(
            names, (MODEL,), (file_of(1),), ticker[:served], zeros, zeros, time_us[:served],
            zeros + 1, zeros > 0, said, _ANSWERS[said], zeros,
        )  # fmt: skip
        self._rivals = {
            "majority": _rival(np.ones_like(now.last_move), rows),
            "last_move": _rival(now.last_move, rows),
            **{f"twin_{place}": _rival(twin, rows) for place, twin in enumerate(now.twins)},
        }
        self._manifests: Mapping[int, ModelManifest] = {1: manifest_of(promised, case.block_s)}
        self._seed = seed

    def judged(self, asked: Window) -> Performance:
        """What the job says of the window."""
        return track(
            MODEL, 1, self._manifests, asked, self._predictions, self._market, self._rivals,
            seed=self._seed,
        )[0]  # fmt: skip


def _rival(said: Ints, rows: int) -> Rival:
    """Of the market's rows; after the last that is served it says flat."""
    whole = np.ones((rows, said.shape[1]), dtype=np.int64)
    whole[: len(said)] = said
    return Rival(_ANSWERS[whole.ravel()], states_probabilities=False)


def _said(chance: np.random.Generator, drift: Floats, skill: float, case: Case) -> Ints:
    noise = _remembering(chance, len(drift), case)
    heard = skill * drift + np.sqrt(1 - skill**2) * noise
    said: Ints = np.digitize(heard, (-0.3, 0.3)).astype(np.int64)
    return said


def _remembering(chance: np.random.Generator, length: int, case: Case) -> Floats:
    """A series a ticker of mean 0 and deviation 1."""
    keeps = float(np.exp(-1 / case.memory_s))
    fresh = chance.normal(size=(length, case.tickers)) * np.sqrt(1 - keeps**2)
    values: Floats = np.empty_like(fresh)
    value = chance.normal(size=case.tickers)
    for at, new in enumerate(fresh):
        value = keeps * value + new
        values[at] = value
    return values


def counted(case: Case, trials: int) -> Counted:
    """So many windows of one case, by seeds from 0."""
    found = [trial(seed, case) for seed in range(trials)]
    tested = [one for one in found if one.tests]
    refused = [one for one in found if not one.tests]
    assert {one.standing for one in refused} <= {Standing.TOO_FEW_BLOCKS}, "nothing else is amiss"
    lost = [-one.tests[0].margin.value for one in tested]
    return Counted(
        len(found),
        len(tested),
        sum(one.standing is Standing.FALLEN for one in found),
        float(np.mean(lost)) if lost else None,
    )


def rolled(case: Case, lives: int) -> Rolled:
    """Windows that roll over lives of ten hours, by seeds from 0; of each that it was tested."""
    found = []
    for seed in range(lives):
        life = Life(seed, case, ROLLED_S)
        first_us, last_us = FIRST_S * SECOND_US, (FIRST_S + ROLLED_S - 1) * SECOND_US
        windows = windows_of(first_us, last_us, case.seconds, STEP_S)
        found.append([life.judged(one).standing is Standing.FALLEN for one in windows])
    fallen = np.array(found)
    apart = fallen[:, :: case.seconds // STEP_S]
    begins = fallen.copy()
    begins[:, 1:] &= ~fallen[:, :-1]
    return Rolled(
        Tally(fallen.size, int(fallen.sum())),
        Tally(apart.size, int(apart.sum())),
        int(begins.sum()),
        lives * ROLLED_S / HOUR_S,
    )


def line_of(case: Case, counts: Counted) -> str:
    """A line of the table of docs/performance.md."""
    windows, tested, fallen, lost = counts
    low, high = share_interval(fallen, windows)
    shown = "0" if case.now == case.skill else "-" if lost is None else f"{lost:.3f}"
    of_tested = f"{fallen / tested:.1%}" if tested else "-"
    return (
        f"| {case.name} | {shown} | {windows} | {tested / windows:.0%}"
        f" | {fallen / windows:.1%} ({low:.1%} to {high:.1%}) | {of_tested} |"
    )


def main(trials: int) -> None:
    """Print the table; where skill is lost or windows are long, of a third of the trials.

    Below it what windows of an hour come to that roll, of a fifth as many lives.
    """
    sys.stdout.write(
        "| market and window | macro-F1 lost | windows | tested | fallen, of all (95 %)"
        " | fallen, of those tested |\n|---|---|---|---|---|---|\n"
    )
    for case in CASES:
        is_short = case.now == case.skill and case.seconds <= LONG_S
        counts = counted(case, trials if is_short else -(-trials // 3))
        sys.stdout.write(line_of(case, counts) + "\n")
        sys.stdout.flush()
    for case in ROLLED:
        found = rolled(case, -(-trials // 5))
        sys.stdout.write(
            f"{case.name}: each {STEP_S:,} s {found.rolling}; each {case.seconds:,} s"
            f" {found.apart}; {found.falls} falls in {found.hours:g} h\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
