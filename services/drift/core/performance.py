"""How good a model was in a window, beside its shadows, other versions and plain rules.

1. Each statement once (`predicted`). 2. Its label, if it can have one (`truths`). 3. Figures of the
version on what it served, and of the rest beside it (`figures`). 4. The test for a fall (`falls`).
5. The gravest of all that was found is the window's standing (`standing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.drift.core.arrays import Bools, Floats, Ints
from services.drift.core.falls import (
    BASELINE,
    BLOCKS_MIN,
    METRIC,
    PROMISE,
    FallTest,
    against_baseline,
    against_promise,
    worst,
)
from services.drift.core.figures import Answers, Compared, Rows, compared
from services.drift.core.memory import BLOCK_MEMORIES, block_seconds, memory_seconds
from services.drift.core.predicted import Predictions, Statements, once
from services.drift.core.standing import (
    Figures,
    Finding,
    Performance,
    RivalPart,
    Role,
    Standing,
    TickerPart,
    VersionPart,
    gravest,
)
from services.drift.core.truths import JOINED, Joined, Market, joined
from services.drift.core.windows import SECOND_US, Window
from services.models.manifest import Estimate, ModelManifest
from services.scoring.metrics import calibration_of, classes_of

LABELLED_SHARE_MIN: Final = 0.5
VERSIONS_MAX: Final = 50
"""Described in one window, the newest first."""

_JUDGED: Final = JOINED.index("judged")
_NOT_PASSED: Final = JOINED.index("horizon_not_passed")
_VERSIONS_SHOWN: Final = 5
_SHA_SHOWN: Final = 12


@dataclass(frozen=True)
class Rival:
    """What a plain rule says at each of the market's rows."""

    probabilities: Floats
    """[the market's rows, 3]."""
    states_probabilities: bool


@dataclass(frozen=True)
class Scored:
    """What a window's figures are of: what the version served and what came, in order of time."""

    label: Ints
    said: Ints
    probabilities: Floats
    """[rows, 3]."""
    states_probabilities: bool

    def __len__(self) -> int:
        """How many there are."""
        return len(self.label)


def track(
    model: str,
    version: int,
    manifests: Mapping[int, ModelManifest],
    window: Window,
    predictions: Predictions,
    market: Market,
    rivals: Mapping[str, Rival],
    seed: int = 1,
) -> tuple[Performance, Scored | None]:
    """Judge one version in one window; with the rows that it was judged on, if there are any.

    Args:
        model: the registered name.
        version: of that name; the champion's, as a rule.
        manifests: of every version that the registry has, by number.
        window: of event time.
        predictions: of that time and any other, of this model and any other.
        market: the lake's rows of the version's feature set, to one horizon past the window.
        rivals: plain rules by name, on the market's rows.
        seed: of the draws.
    """
    manifest = manifests.get(version)
    statements = once(predictions, model, window)
    if manifest is None:
        finding = (Standing.UNKNOWN_VERSION, f"the registry has no version {version} of {model}")
        standing, detail = gravest([finding, *_of_records(predictions, statements)])
        return Performance(
            standing=standing, detail=detail, is_final=False, model=model, version=version,
            window=window, counts=dict(statements.counts),
        ), None  # fmt: skip
    looked = _Looked(version, manifests, window, statements, market, rivals, seed)
    return looked.performance(_of_records(predictions, statements)), looked.scored()


def _of_records(predictions: Predictions, statements: Statements) -> list[Finding]:
    """What the records alone say."""
    counts, found = statements.counts, []
    if conflicting := counts["conflicting"]:
        found.append((Standing.CONFLICTING_PREDICTIONS, f"{conflicting:,} left out"))
    if damaged := counts["damaged"] + counts["undecodable"]:
        found.append((Standing.DAMAGED_PREDICTIONS, f"{damaged:,} left out"))
    if predictions.is_cut:
        found.append((Standing.LOG_CUT, "retention may have taken predictions of the window"))
    return found


class _Looked:
    """One version, and all that was said in the window."""

    def __init__(
        self,
        version: int,
        manifests: Mapping[int, ModelManifest],
        window: Window,
        statements: Statements,
        market: Market,
        rivals: Mapping[str, Rival],
        seed: int,
    ) -> None:
        self._version = version
        self._manifests = manifests
        self._manifest = manifests[version]
        self._window = window
        self._statements = statements
        self._market = market
        self._rivals = rivals
        self._seed = seed
        self._joined: Joined = joined(statements, market, self._manifest.label)
        self._is_known = self._known()
        is_own = (statements.version == version) & self._is_known
        self._served: Bools = is_own & statements.is_served
        self._is_labelled: Bools = self._joined.reason == _JUDGED
        self._judged: Bools = self._served & self._is_labelled
        rows = np.flatnonzero(self._judged)
        self._memory_s = self._remembered(rows)
        self._block_s = block_seconds(
            self._manifest.data.gap_s,
            self._memory_s,
            len(np.unique(statements.grid_time_us[rows])),
        )

    def performance(self, findings: list[Finding]) -> Performance:
        """Everything together."""
        beside = self._beside_rivals(np.flatnonzero(self._judged))
        figures = beside.figures[0] if beside else None
        rivals = self._rival_parts(beside)
        tests = self._tests(figures, rivals)
        pending = self._pending()
        findings = [*findings, *pending, *self._of_rows(), *self._of_versions()]
        findings += self._of_tests(figures, tests)
        standing, detail = gravest(findings)
        calibration = tuple(calibration_of(beside.sums)) if beside else ()
        counts = dict(self._statements.counts)
        reasons = np.bincount(self._joined.reason[self._served], minlength=len(JOINED))
        counts |= dict(zip(JOINED, reasons.tolist(), strict=True))
        return Performance(
            standing=standing,
            detail=detail,
            is_final=not pending,
            ratio=worst(tests).ratio if tests else None,
            model=self._manifest.name,
            version=self._version,
            model_sha256=self._manifest.model_sha256,
            window=self._window,
            rule=self._manifest.label,
            memory_s=self._memory_s,
            block_s=self._block_s,
            seed=self._seed,
            counts=counts,
            figures=figures,
            calibration=calibration,
            tests=tests,
            rivals=rivals,
            versions=self._version_parts(),
            tickers=self._ticker_parts(),
        )

    def scored(self) -> Scored | None:
        """The rows of the figures; None: there are none."""
        rows = np.flatnonzero(self._judged)
        if len(rows) == 0:
            return None
        rows = rows[np.argsort(self._statements.grid_time_us[rows], kind="stable")]
        answers = self._answers(rows, self._manifest)
        return Scored(
            self._joined.label[rows],
            answers.said,
            answers.probabilities,
            answers.states_probabilities,
        )

    # --- findings

    def _pending(self) -> list[Finding]:
        needed_us = self._window.last_us + self._manifest.label.horizon_s * SECOND_US
        newest_us = self._market.newest_us
        if newest_us is None or newest_us < needed_us:
            detail = f"the lake's newest row is at {newest_us} us; {needed_us} us is needed"
            return [(Standing.NO_LABELS_YET, detail)]
        if waiting := np.count_nonzero(self._served & (self._joined.reason == _NOT_PASSED)):
            return [(Standing.NO_LABELS_YET, f"{waiting:,} of tickers that are behind")]
        return []

    def _of_rows(self) -> list[Finding]:
        served, judged = np.count_nonzero(self._served), np.count_nonzero(self._judged)
        if served == 0:
            return [(Standing.NO_PREDICTIONS, f"version {self._version} served nothing")]
        if judged == 0:
            return [(Standing.NO_LABELS, f"none of {served:,} statements has one")]
        if judged < LABELLED_SHARE_MIN * served:
            return [(Standing.FEW_LABELS, f"{judged:,} of {served:,} statements have one")]
        return []

    def _of_versions(self) -> list[Finding]:
        said, found = self._statements, []
        if not self._is_known.all():
            first = int(np.flatnonzero(~self._is_known)[0])
            file = said.shas[said.sha[first]][:_SHA_SHOWN]
            detail = f"version {said.version[first]} with file {file} is not in the registry"
            found.append((Standing.UNKNOWN_VERSION, detail))
        others = np.unique(said.version[said.is_served & (said.version != self._version)])
        if len(others):
            named = ", ".join(str(version) for version in others[:_VERSIONS_SHOWN].tolist())
            found.append((Standing.TWO_MODELS, f"served too: version {named}"))
        return found

    def _of_tests(self, figures: Figures | None, tests: tuple[FallTest, ...]) -> list[Finding]:
        if figures is None:
            return []
        if not tests:
            return [(Standing.TOO_FEW_BLOCKS, self._too_short(figures.seconds))]
        found = [(Standing.FALLEN, _said(test)) for test in tests if test.is_fallen]
        if [test.name for test in tests] != [PROMISE, BASELINE]:
            found.append((Standing.NO_BASELINE, "no plain rule was given"))
        return found or [(Standing.OK, "")]

    def _too_short(self, seconds: int) -> str:
        has = f"{seconds:,} s with labels"
        if self._memory_s is None:
            return f"{has}; what came and what was said remembers for longer than they can show"
        needed = f"{has}; the test takes {BLOCKS_MIN} blocks of {self._block_s:,} s"
        if self._block_s == self._manifest.data.gap_s:
            return needed
        return f"{needed}, {BLOCK_MEMORIES:g} times what came and what was said remembers"

    # --- figures

    def _remembered(self, rows: Ints) -> int | None:
        """Of what is scored: what came, what the version said, and what the plain rules said."""
        if len(rows) == 0:
            return 0
        of, places = self._joined, self._joined.row[rows]
        said = [classes_of(rival.probabilities[places]) for rival in self._rivals.values()]
        return memory_seconds(
            self._statements.grid_time_us[rows],
            [of.label[rows], self._statements.said[rows], *said],
            self._manifest.label.horizon_s,
        )

    def _answers(self, rows: Ints, manifest: ModelManifest) -> Answers:
        """What was said in some statements."""
        said = self._statements
        return Answers(said.probabilities[rows], said.said[rows], _states(manifest))

    def _rows(self, rows: Ints) -> Rows:
        """What came of some statements."""
        of = self._joined
        return Rows(
            self._statements.grid_time_us[rows],
            of.label[rows],
            of.move[rows],
            of.half_spread[rows],
        )

    def _compared(self, rows: Ints, *others: Answers) -> Compared:
        """The version's answers first, then others' on the same rows."""
        own = self._answers(rows, self._manifest)
        return compared(self._rows(rows), [own, *others], self._block_s, self._seed)

    def _beside_rivals(self, rows: Ints) -> Compared | None:
        if len(rows) == 0:
            return None
        places = self._joined.row[rows]
        rivals = [
            Answers.of(rival.probabilities[places], states=rival.states_probabilities)
            for rival in self._rivals.values()
        ]
        return self._compared(rows, *rivals)

    def _rival_parts(self, beside: Compared | None) -> tuple[RivalPart, ...]:
        if beside is None:
            return ()
        return tuple(
            RivalPart(name, beside.figures[place], beside.margin(0, place))
            for place, name in enumerate(self._rivals, 1)
        )

    def _tests(
        self, figures: Figures | None, rivals: tuple[RivalPart, ...]
    ) -> tuple[FallTest, ...]:
        blocks = figures.seconds // self._block_s if figures else 0
        if figures is None or figures.metrics is None or blocks < BLOCKS_MIN:
            return ()
        promised = self._manifest.metrics.macro_f1
        found = figures.metrics.macro_f1
        made = [against_promise(found, promised, blocks, self._wider(found))]
        if rivals:
            best = max(rivals, key=lambda rival: rival.figures.scores[METRIC])
            assert best.margin is not None, "the model's interval is of the same blocks"
            theirs = best.figures.scores[METRIC]
            made.append(against_baseline(best.name, theirs, best.margin, blocks, len(rivals)))
        return tuple(made)

    def _wider(self, found: Estimate) -> float:
        """The interval by these blocks through that by blocks of the manifest's length."""
        gap_s = self._manifest.data.gap_s
        if self._block_s == gap_s:
            return 1.0
        rows = np.flatnonzero(self._judged)
        own = self._answers(rows, self._manifest)
        metrics = compared(self._rows(rows), [own], gap_s, self._seed).figures[0].metrics
        assert metrics is not None, "shorter blocks are more"
        short = metrics.macro_f1
        width = short.high - short.low
        return (found.high - found.low) / width if width > 0 else 1.0

    def _ticker_parts(self) -> tuple[TickerPart, ...]:
        parts = []
        for place, ticker in enumerate(self._statements.tickers):
            of_ticker = self._judged & (self._statements.ticker == place)
            found = self._beside_rivals(np.flatnonzero(of_ticker))
            if found is not None:
                of_rivals = zip(self._rivals, found.figures[1:], strict=True)
                baselines = {name: figures.scores[METRIC] for name, figures in of_rivals}
                parts.append(TickerPart(ticker, found.figures[0], baselines))
        return tuple(sorted(parts, key=lambda part: part.ticker))

    # --- other versions

    def _known(self) -> Bools:
        """Statements of a version that the registry has, with its file."""
        said = self._statements
        file_of = {name: place for place, name in enumerate(said.shas)}
        is_known = np.zeros(len(said), dtype=np.bool_)
        for version, manifest in self._manifests.items():
            place = file_of.get(manifest.model_sha256, -1)
            is_known |= (said.version == version) & (said.sha == place)
        return is_known

    def _version_parts(self) -> tuple[VersionPart, ...]:
        """All that was said, but what this version served: by version, file and role."""
        said = self._statements
        kinds = np.stack([said.version, said.sha, said.is_served.astype(np.int64)], axis=1)
        kinds = kinds[~self._served]
        parts = []
        for version, sha, served in np.unique(kinds, axis=0)[::-1][:VERSIONS_MAX].tolist():
            of_kind = (said.version == version) & (said.sha == sha)
            of_kind &= said.is_served == bool(served)
            role: Role = "served" if served else "shadow"
            parts.append(self._version_part(version, said.shas[sha], role, of_kind))
        return tuple(sorted(parts, key=lambda part: (-part.version, part.role, part.model_sha256)))

    def _version_part(self, version: int, sha256: str, role: Role, of_kind: Bools) -> VersionPart:
        count = int(np.count_nonzero(of_kind))
        if not self._is_known[of_kind].all():
            return VersionPart(version, sha256, role, count, Standing.UNKNOWN_VERSION)
        manifest = self._manifests[version]
        if manifest.label != self._manifest.label:
            return VersionPart(version, sha256, role, count, "other_label_rule")
        rows = np.flatnonzero(of_kind & self._is_labelled)
        figures = beside = margin = None
        if len(rows):
            answers = self._answers(rows, manifest)
            figures = compared(self._rows(rows), [answers], self._block_s, self._seed).figures[0]
        own, theirs = self._common(np.flatnonzero(self._judged), rows)
        if len(own):
            found = self._compared(own, self._answers(theirs, manifest))
            beside, margin = found.figures[0], found.margin(1, 0)
        return VersionPart(version, sha256, role, count, "described", figures, beside, margin)

    def _common(self, own: Ints, theirs: Ints) -> tuple[Ints, Ints]:
        """Of both, the statements on the same ticker and second: the same row of the market."""
        of_row = self._joined.row
        _, ours, others = np.intersect1d(of_row[own], of_row[theirs], return_indices=True)
        return own[ours], theirs[others]


def _states(manifest: ModelManifest) -> bool:
    """Whether it states probabilities; a plain rule says a class."""
    return manifest.kind != "rule"


def _said(test: FallTest) -> str:
    margin = test.margin
    figures = f"{margin.value:+.4f} [{margin.low:+.4f}, {margin.high:+.4f}]"
    return f"macro-F1 less that of {test.against}: {figures}"
