"""What a window's performance can come to, and all that is said of it.

One name alone is green. A window that nobody could judge says why.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from services.drift.core.falls import FallTest
from services.drift.core.windows import Window
from services.models.manifest import Estimate, LabelRule, Metrics
from services.scoring.metrics import Calibration


class Standing(StrEnum):
    """Of a model in a window, the gravest first: of several the first is the window's."""

    FALLEN = "fallen"
    """Worse than its manifest promises, or than a plain rule, by more than chance."""
    CONFLICTING_PREDICTIONS = "conflicting_predictions"
    """One version said two things of one second of a ticker."""
    DAMAGED_PREDICTIONS = "damaged_predictions"
    """Records that are no predictions, or that no model says."""
    UNKNOWN_VERSION = "unknown_version"
    """Answers of a version that the registry does not have, or has with another file."""
    NO_LABELS_YET = "no_labels_yet"
    """A horizon has not passed in event time: ask again later."""
    LOG_CUT = "log_cut"
    """The log begins after the window: what was said may be gone."""
    NO_PREDICTIONS = "no_predictions"
    """The version served nothing in it."""
    NO_LABELS = "no_labels"
    """Its horizons have passed, and no statement has a label."""
    FEW_LABELS = "few_labels"
    """Less than half of what was served has a label: what is left may be a choice."""
    TOO_FEW_BLOCKS = "too_few_blocks"
    """Too short for the test, by what its rows remember."""
    TWO_MODELS = "two_models"
    """Other versions served too: this one stands, and the window is not all its own."""
    NO_BASELINE = "no_baseline"
    """There was no plain rule to hold it against: half of the test is missing."""
    OK = "ok"
    """Judged by both tests, and not fallen."""


ALARMS: Final = frozenset(
    {
        Standing.FALLEN,
        Standing.CONFLICTING_PREDICTIONS,
        Standing.DAMAGED_PREDICTIONS,
        Standing.UNKNOWN_VERSION,
    }
)
"""The others are `ok`, or say why there is no judgement."""

_GRAVITY: Final = {standing: place for place, standing in enumerate(Standing)}

type Role = Literal["served", "shadow"]


class Figures(msgspec.Struct, frozen=True):
    """Of some rows."""

    rows: int
    seconds: int
    """Distinct grid times."""
    scores: dict[str, float]
    """By name as in `scoring.metrics`; without those of probabilities, if none are stated."""
    metrics: Metrics | None
    """The same with intervals; None: fewer than ten blocks."""


class RivalPart(msgspec.Struct, frozen=True):
    """A plain baseline on the rows that the model was judged on."""

    name: str
    figures: Figures
    margin: Estimate | None
    """The model's macro-F1 less its, by the same blocks; None: too few of them."""


class VersionPart(msgspec.Struct, frozen=True):
    """What else was said: by another version, by this one as a shadow, or by a strange file."""

    version: int
    model_sha256: str
    role: Role
    statements: int
    standing: str
    """`unknown_version`, a Standing; else `described`, or `other_label_rule`: its classes mean
    something else, so it has no figures here."""
    figures: Figures | None = None
    """On all of its own rows."""
    beside: Figures | None = None
    """Of the judged model, on the rows that both spoke of; None: there are none."""
    margin: Estimate | None = None
    """This version's macro-F1 less the judged model's on those, by the same blocks."""


class TickerPart(msgspec.Struct, frozen=True):
    """The model on one ticker: described, not tested."""

    ticker: str
    figures: Figures
    baselines: dict[str, float]
    """Macro-F1 of each plain baseline on the same rows."""


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One version in one window of event time."""

    format: int = 1
    standing: Standing
    detail: str
    """One line: every reason that was found, the gravest first."""
    is_final: bool = True
    """False: some of its labels may still come, and the same window will be another."""
    ratio: float | None = None
    """Of the worse test; above 1 exactly if it has fallen. None: not tested."""
    model: str
    version: int
    model_sha256: str = ""
    window: Window
    rule: LabelRule | None = None
    memory_s: int | None = 0
    """How long what came and what was said remembers; None: longer than the window can show."""
    block_s: int = 0
    seed: int = 0
    counts: dict[str, int] = {}
    """What became of records (`predicted.once`) and of this version's served statements
    (`truths.JOINED`)."""
    figures: Figures | None = None
    calibration: tuple[Calibration, ...] = ()
    tests: tuple[FallTest, ...] = ()
    rivals: tuple[RivalPart, ...] = ()
    versions: tuple[VersionPart, ...] = ()
    tickers: tuple[TickerPart, ...] = ()

    @property
    def is_alarm(self) -> bool:
        """Whether somebody must look."""
        return self.standing in ALARMS


type Finding = tuple[Standing, str]


def gravest(findings: list[Finding]) -> Finding:
    """The window's standing and its line. Nothing found at all is a broken invariant, no `ok`."""
    assert findings, "a judgement finds something"
    ordered = sorted(findings, key=lambda found: _GRAVITY[found[0]])
    said = [f"{standing}: {detail}" for standing, detail in ordered if detail]
    return ordered[0][0], "; ".join(said)
