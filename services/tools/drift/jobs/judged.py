"""Windows of features, predictions and labels as results: what the calibration says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np

from services.drift.core.calibration import BLOCKS_SHARES, LevelUnknown
from services.drift.core.judge import judge
from services.drift.core.outcomes import (
    ALARMS,
    Check,
    Family,
    Outcome,
    Refusal,
    Verdict,
    verdict_of,
)
from services.drift.core.panel import SECOND_US, Panel, panel_of
from services.drift.core.predicted import Predictions, once
from services.drift.core.windows import Window
from services.drift.ledger import FALLEN, Job, Kind, Result
from services.drift.ledger import Check as KeptCheck
from services.lake.errors import LakeError
from services.models.classes import CLASSES
from services.tools.drift.jobs.parity import MISMATCH
from services.tools.drift.jobs.place import Place
from services.tools.drift.jobs.reference import SAID, Known, Question
from services.tools.drift.jobs.rows import features_panel, labels_panel, rows_between
from services.tools.drift.jobs.told import NoJudgement
from services.trainer.errors import TrainerError

QUALITY: Final = frozenset({Family.MISSING, Family.STALE, Family.SWAP})
"""Families that tell of a broken source, not of the market."""
_DETAIL_LETTERS_MAX: Final = 4_000


_ALARMING: Final = frozenset({*ALARMS, FALLEN, MISMATCH})
"""Outcomes of checks, of any job."""


@dataclass(frozen=True)
class Looked:
    """A window, and what came of it; the panel is for pictures."""

    result: Result
    panel: Panel | None


class Calibrated(msgspec.Struct, frozen=True):
    """What a reference is worth, see `calibration.Calibration`."""

    method: str
    stretches: int
    threshold: float
    level: float | None
    """The share of windows that alarm where nothing has changed, on average over references."""
    level_unknown: LevelUnknown
    """Why there is none."""
    level_measured: tuple[float, float] | None
    """Instead of it: least and greatest share where this way was measured, on longer references."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger keeps of a verdict as JSON."""

    format: int = 1
    decided_by: str = "blocks of the reference, not Evidently's tests"
    look: str
    tickers: tuple[str, ...]
    dataset_sha256: str
    reference_rows: int
    reference_first_us: int
    reference_last_us: int
    window_s: int
    alpha: float
    calibrated: Calibrated | None
    """None: there is no reference, or it can't be calibrated by."""
    seconds: int | None
    """Of the window, with rows of any ticker."""
    verdict: Verdict


def look_at(
    place: Place,
    question: Question,
    known: Known | Refusal,
    window: Window,
    said: Predictions | None,
) -> list[Looked]:
    """The results of one window: of features two, `data` and `quality`."""
    if isinstance(known, Refusal):
        panel: Panel | Refusal = known
        verdict = known.verdict()
    else:
        try:
            panel = _panel(place, question, window, said)
        except (LakeError, TrainerError) as error:
            return _damaged(question, window, str(error))
        verdict = judge(known.calibration, panel)
    kinds = _kinds_of(question)
    return [
        Looked(
            _result(question, known, kind, window, _of_kind(kind, verdict), panel),
            panel if isinstance(panel, Panel) else None,
        )
        for kind in kinds
    ]


def ratios_of(checks: Sequence[KeptCheck]) -> dict[str, float]:
    """The greatest ratio of each ticker."""
    found: dict[str, float] = {}
    for check in checks:
        if check.ratio is not None:
            found[check.ticker] = max(found.get(check.ticker, 0.0), check.ratio)
    return found


def _of_kind(kind: Kind, verdict: Verdict) -> Verdict:
    if kind not in {"data", "quality"} or not verdict.checks:
        return verdict
    is_quality = kind == "quality"
    return verdict_of(tuple(c for c in verdict.checks if (c.family in QUALITY) == is_quality))


def _panel(
    place: Place, question: Question, window: Window, said: Predictions | None
) -> Panel | Refusal:
    manifest, feature_set = question.serving.manifest, question.feature_set
    if question.look == "predictions":
        assert said is not None, "predictions are read before they are looked at"
        return said_panel(said, question, window)
    horizon_us = manifest.label.horizon_s * SECOND_US if question.look == "labels" else 0
    rows = rows_between(
        place.lake, feature_set, question.tickers, window.begin_us, window.last_us + horizon_us
    )
    if question.look == "data":
        return features_panel(rows, feature_set, question.tickers, manifest.columns)
    return labels_panel(rows, feature_set, question.tickers, manifest.label, window.end_us)


def said_panel(said: Predictions, question: Question, window: Window) -> Panel | Refusal:
    """What the serving version said, once a second; a class that nobody knows stands as it is.

    A second of which it said two things has no value: `performance` alarms at that.
    """
    statements = once(said, question.serving.name, window)
    place_of = {name: at for at, name in enumerate(question.tickers)}
    of_name = np.array([place_of.get(name, -1) for name in said.tickers], dtype=np.int64)
    if len(of_name) == 0:
        return Refusal(Outcome.EMPTY_WINDOW, "nothing was said")
    served = statements.is_served & (of_name[statements.ticker] >= 0)
    is_strange = ~said.is_shadow & ((said.said < 0) | (said.said >= CLASSES))
    is_strange &= (said.grid_time_us >= window.begin_us) & (said.grid_time_us < window.end_us)
    models = np.array([name == question.serving.name for name in said.models], dtype=np.bool_)
    is_strange &= models[said.model] & (of_name[said.ticker] >= 0)
    versions = {*statements.version[served].tolist(), *said.version[is_strange].tolist()}
    if versions:  # Another's answers are no window of this one, though they be alike.
        versions.add(question.serving.version)
    ticker = np.concatenate([of_name[said.ticker[is_strange]], of_name[statements.ticker[served]]])
    time_us = np.concatenate([said.grid_time_us[is_strange], statements.grid_time_us[served]])
    value = np.concatenate([said.said[is_strange], statements.said[served]])
    # A strange class stands before what else was said of its second: it must not be passed over.
    _, first = np.unique(np.stack([ticker, time_us]), axis=1, return_index=True)
    return panel_of(
        question.tickers, [SAID], ticker[first], time_us[first],
        value[first].astype(np.float64)[:, None], sorted(versions),
    )  # fmt: skip


def families_of(result: Result) -> tuple[str, ...]:
    """Those of the checks that alarm, if the job does."""
    if not result.job.is_alarm:
        return ()
    return tuple(sorted({one.family for one in result.checks if one.outcome in _ALARMING}))


def _result(
    question: Question,
    known: Known | Refusal,
    kind: Kind,
    window: Window,
    verdict: Verdict,
    panel: Panel | Refusal,
) -> Result:
    manifest = question.serving.manifest
    report = Report(
        look=question.look,
        tickers=question.tickers,
        dataset_sha256=manifest.data.sha256,
        reference_rows=manifest.data.rows,
        reference_first_us=manifest.data.first_grid_us,
        reference_last_us=manifest.data.last_grid_us,
        window_s=question.window_s,
        alpha=question.alpha,
        calibrated=_calibrated(known),
        seconds=len(panel) if isinstance(panel, Panel) else None,
        verdict=verdict,
    )
    basis = question.basis_sha256
    if isinstance(known, Refusal):
        # Once the reference is back, or longer, the window is another question.
        basis = basis_without(basis, known)
    return _kept(question, kind, window, basis, verdict, msgspec.json.encode(report))


def _calibrated(known: Known | Refusal) -> Calibrated | None:
    if isinstance(known, Refusal):
        return None
    found = known.calibration
    return Calibrated(
        found.method,
        found.stretches,
        found.threshold,
        found.level,
        found.level_unknown,
        BLOCKS_SHARES if found.level_unknown else None,
    )


def basis_without(basis_sha256: str, why: Refusal) -> str:
    """Of a window that nothing could be held against."""
    return sha256(f"{basis_sha256} {why.outcome} {why.detail}".encode()).hexdigest()


def _damaged(question: Question, window: Window, error: str) -> list[Looked]:
    """Rows that no fold gives: an alarm of quality, and no judgement of anything else."""
    basis = basis_without(question.basis_sha256, Refusal(Outcome.CLOCK_JUMP, error))
    report = msgspec.json.encode({"format": 1, "look": question.look, "damaged": error})
    looked = []
    for kind in _kinds_of(question):
        verdict = Verdict(Outcome.CLOCK_JUMP, error, None, ())
        made = _kept(question, kind, window, basis, verdict, report)
        job = msgspec.structs.replace(
            made.job, outcome=NoJudgement.DAMAGED_ROWS, is_alarm=kind == "quality"
        )
        looked.append(Looked(msgspec.structs.replace(made, job=job), None))
    return looked


def _kinds_of(question: Question) -> tuple[Kind, ...]:
    return ("data", "quality") if question.look == "data" else (question.look,)


def _kept(
    question: Question,
    kind: Kind,
    window: Window,
    basis_sha256: str,
    verdict: Verdict,
    report: bytes,
) -> Result:
    serving = question.serving
    job = Job(
        kind=kind,
        model=serving.name,
        model_version=serving.version,
        model_sha256=serving.manifest.model_sha256,
        basis_sha256=basis_sha256,
        window=window,
        outcome=str(verdict.outcome),
        is_alarm=verdict.is_alarm,
        ratio=verdict.ratio,
        detail=verdict.detail[:_DETAIL_LETTERS_MAX],
    )
    return Result(job, report, tuple(_kept_check(check) for check in verdict.checks))


def _kept_check(check: Check) -> KeptCheck:
    return KeptCheck(
        check.ticker,
        check.column,
        str(check.family),
        str(check.outcome),
        check.statistic,
        check.threshold,
        check.ratio,
        check.effect,
        check.detail[:_DETAIL_LETTERS_MAX],
    )
