"""A training, a repeat or a scoring of one deployment: its lake and its registry."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.lake.places import Lake
from services.models.artifact import LoadedModel, read_manifest
from services.models.changes import CHAMPION
from services.models.classes import model_name
from services.models.errors import PromotionRefusedError
from services.models.manifest import Comparison, Metrics
from services.models.registry import Registry
from services.models.settings import mlflow_url_of_environment
from services.tools.operate.errors import OperateError
from services.trainer.champion import champion_to_compare
from services.trainer.leakage import LeakCheck
from services.trainer.score import Scored, score
from services.trainer.service import Trained, TrainingPlan, repeat, require_plan, train

MANIFEST_BYTES_MAX: Final = 4 << 20

type Tell = Callable[[str], None]


class TrainReport(msgspec.Struct, frozen=True):
    """What a run made, for people and programs."""

    folder: str
    name: str
    model: str
    version: int | None
    """In the registry; None: a repeat, which is not registered."""
    promoted: bool
    not_promoted_because: str
    """Empty: it was, or nobody asked."""
    model_sha256: str
    dataset_sha256: str
    rows: int
    test_rows: int
    beats_baseline: bool
    why: str
    metrics: Metrics
    baselines: Sequence[Comparison]
    champion: Comparison | None
    """On test rows that were new to it."""
    champion_not_compared: str
    """Why not row by row; empty: it was, or there is none."""
    checks: Sequence[LeakCheck]
    repeated: str
    """The manifest whose model came out again; empty: it is no repeat."""


def train_and_register(home: Path, plan: TrainingPlan, tell: Tell, *, promote: bool) -> TrainReport:
    """Train, register, and promote if asked and the gates are open.

    Raises:
        TrainerError: as `services.trainer.service.train`.
        OperatingError: the registry is away, or the disk does not take it.
    """
    require_plan(plan)
    registry = open_registry(home, plan.data.horizon_s)
    champion = champion_to_compare(registry, tell)
    trained = train(Lake(home), trained_folder(home), plan, champion, tell)
    tell("registering")
    version = registry.register(trained.folder)
    refusal = ""
    if promote:
        try:
            registry.promote(version, why="outcry train --promote")
        except PromotionRefusedError as error:
            refusal = str(error)
    return _report(trained, version, promoted=promote and not refusal, refusal=refusal, repeated="")


def repeat_from(home: Path, file: Path, tell: Tell) -> TrainReport:
    """Train as a manifest says and compare; nothing is registered.

    Raises:
        OperateError: the file can't be read.
        ModelRefusedError: it is no manifest.
        TrainerError: as `services.trainer.service.repeat`.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MANIFEST_BYTES_MAX + 1)
    except OSError as error:
        raise OperateError(
            f"{file} can't be read ({error.strerror}): name the manifest.json of a model's folder"
        ) from error
    if len(text) > MANIFEST_BYTES_MAX:
        raise OperateError(f"{file} is no manifest: more than {MANIFEST_BYTES_MAX:,} bytes")
    again = repeat(Lake(home), trained_folder(home), read_manifest(text), tell)
    return _report(again, None, promoted=False, refusal="", repeated=str(file))


def score_rows(
    home: Path,
    horizon_s: int,
    version: int | None,
    tickers: Sequence[str],
    times_us: tuple[int | None, int | None],
) -> tuple[Scored, LoadedModel, int]:
    """Score with a version, or with the champion.

    Raises:
        OperateError: there is no champion.
        TrainerError: as `services.trainer.score.score`.
        OperatingError: the registry is away, or has no such version.
    """
    registry = open_registry(home, horizon_s)
    chosen = registry.alias(CHAMPION) if version is None else version
    if chosen is None:
        raise OperateError(
            f"{registry.name} has no champion: name a version (`outcry models list`, --version N)"
            " or promote one"
        )
    model = registry.load(chosen)
    return score(Lake(home), model, chosen, tickers, *times_us), model, chosen


def open_registry(home: Path, horizon_s: int) -> Registry:
    """The registry of the models of a horizon."""
    return Registry(home, mlflow_url_of_environment(), model_name(horizon_s))


def trained_folder(home: Path) -> Path:
    """Where runs put their models."""
    return home / "models" / "trained"


def _report(
    trained: Trained, version: int | None, *, promoted: bool, refusal: str, repeated: str
) -> TrainReport:
    manifest = trained.manifest
    return TrainReport(
        folder=str(trained.folder),
        name=manifest.name,
        model=str(manifest.parameters["model"]),
        version=version,
        promoted=promoted,
        not_promoted_because=refusal,
        model_sha256=manifest.model_sha256,
        dataset_sha256=manifest.data.sha256,
        rows=manifest.data.rows,
        test_rows=len(trained.evaluation.rows),
        beats_baseline=manifest.beats_baseline,
        why=trained.verdict.why,
        metrics=manifest.metrics,
        baselines=manifest.baselines,
        champion=manifest.champion,
        champion_not_compared=trained.beside.why_not,
        checks=trained.checks,
        repeated=repeated,
    )
