"""A training run, from a plan to a model's folder.

1. read the data set and cut it into folds
2. check it for leaks; a leak stops the run
3. evaluate walk-forward: the model and its baselines; then the model beside the champion, on the
   test rows that the champion was not trained on
4. fit the model that is to serve, on all but the last block of rows, stopping early on that
5. say by the stated rule whether it beats its best baseline
6. write the folder, with manifest, golden vectors, reference rows and card

There is no clock in it. The same rows and plan give the same bytes of the model's file, and the
folder is named for them: a run that is repeated finds its own folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.lake.places import Lake
from services.models.artifact import REFERENCE, LoadedModel, read_model, write_model
from services.models.classes import CLASS_NAMES, model_name
from services.models.forms import encode_predictor
from services.models.manifest import (
    LabelRule,
    ModelManifest,
    Parameter,
    encode_manifest,
)
from services.models.rules import Verdict, beats_baselines
from services.scoring.arrays import Floats, Ints
from services.trainer.card import Told, card_of
from services.trainer.champion import Beside, beside_champion
from services.trainer.dataset import Dataset, DatasetPlan, check_plan, load_dataset
from services.trainer.errors import NotTheSameError, PlanError
from services.trainer.evaluate import Evaluation, evaluate
from services.trainer.fit import (
    BUDGET_MAX,
    SEED_MAX,
    XGBOOST,
    Fitted,
    require_model,
    search,
)
from services.trainer.importance import Importance, importance
from services.trainer.leakage import LeakCheck, check_gaps, check_leaks, require_no_leak
from services.trainer.provenance import code_version, library_versions, training_data
from services.trainer.splits import Fold, final_split, walk_forward

GOLDEN_ROWS: Final = 32
REFERENCE_ROWS_MAX: Final = 10_000
BUDGET: Final = 4
_EXPLAINED: Final = frozenset({"xgboost", "linear"})
"""Kinds that weigh inputs; the others look at one or none."""

type Tell = Callable[[str], None]


class TrainingPlan(msgspec.Struct, frozen=True):
    """What a run is to do. Whoever has the same lake and plan gets the same model."""

    data: DatasetPlan
    model: str = XGBOOST
    seed: int = 1
    budget: int = BUDGET
    """How many parameters are tried for each model that is fitted."""


@dataclass(frozen=True)
class Trained:
    """What a run made."""

    folder: Path
    manifest: ModelManifest
    verdict: Verdict
    checks: Sequence[LeakCheck]
    evaluation: Evaluation
    beside: Beside


def require_plan(plan: TrainingPlan) -> None:
    """Refuse what can't be, before anything is read.

    Raises:
        PlanError: the message says which part, and what it may be.
    """
    check_plan(plan.data)
    require_model(plan.model)
    if type(plan.seed) is not int or not 0 <= plan.seed <= SEED_MAX:
        raise PlanError(f"a seed of {plan.seed}: ask for a whole number from 0 to {SEED_MAX:,}")
    if type(plan.budget) is not int or not 1 <= plan.budget <= BUDGET_MAX:
        raise PlanError(f"a budget of {plan.budget}: ask for 1 to {BUDGET_MAX} tries")


def train(
    lake: Lake,
    into: Path,
    plan: TrainingPlan,
    champion: LoadedModel | None = None,
    tell: Tell = lambda _line: None,
) -> Trained:
    """Run it on a lake.

    Args:
        lake: where the rows are.
        into: the folder that gets the model's folder.
        plan: what to do.
        champion: the model that serves now, to be compared on rows that are new to it.
        tell: is told what is going on, for people.

    Raises:
        PlanError: the plan can't be.
        TooLittleDataError: there are too few rows for it.
        LeakError: a leak check failed; nothing was trained.
        DamagedRowsError: the lake holds rows that no fold gives.
        LakeError: a file of the lake is damaged.
        ModelNotWrittenError: the disk does not take it.
    """
    require_plan(plan)
    tell(f"reading {plan.data.feature_set}")
    return train_on(load_dataset(lake, plan.data), lake, into, plan, champion, tell)


def train_on(
    dataset: Dataset,
    lake: Lake | None,
    into: Path,
    plan: TrainingPlan,
    champion: LoadedModel | None = None,
    tell: Tell = lambda _line: None,
) -> Trained:
    """Run it on a data set of the plan; the lake has the trades that leak checks fold again.

    Raises:
        As `train`.
    """
    require_plan(plan)
    folds, last = walk_forward(dataset), final_split(dataset)
    tell(f"{len(dataset):,} rows: checking for leaks")
    checks = check_leaks(dataset, folds, lake)
    require_no_leak([*checks, check_gaps(dataset, [last])])
    found = evaluate(dataset, folds, plan.model, plan.seed, plan.budget, tell)
    beside = beside_champion(dataset, found, champion, plan.seed)
    tell(f"fitting the model that is to serve on {len(last.train):,} rows")
    fitted = search(plan.model, dataset, last.train, last.validation, plan.seed, plan.budget)
    verdict = beats_baselines(found.metrics, found.baselines)
    manifest = _manifest(dataset, plan, fitted, found, len(folds), verdict, beside)
    weights = _importance(dataset, found, folds[-1], plan.seed)
    tell("drawing the card")
    card = card_of(Told(dataset, manifest, found, verdict, checks, weights, beside))
    golden = dataset.inputs[_thinned(last.validation, GOLDEN_ROWS)]
    reference = _reference(dataset, fitted, _thinned(last.train, REFERENCE_ROWS_MAX))
    folder = into / _folder_name(manifest, fitted)
    if folder.exists():
        written = read_model(folder).manifest
    else:
        attachments = {**card, REFERENCE: reference}
        written = write_model(folder, fitted.predictor, manifest, golden, attachments)
    return Trained(folder, written, verdict, checks, found, beside)


def plan_of(manifest: ModelManifest) -> TrainingPlan:
    """The plan that a manifest came of.

    Rows after the last one that was labelled then are not looked at, so a lake that has grown
    since gives the same data set.

    Raises:
        PlanError: the manifest does not say how to train it.
    """
    model, budget = manifest.parameters.get("model"), manifest.parameters.get("budget")
    if not isinstance(model, str) or not isinstance(budget, int):
        raise PlanError("the manifest has no model and budget: it was not made by `outcry train`")
    horizon_s = manifest.label.horizon_s
    data = DatasetPlan(
        manifest.feature_set,
        horizon_s,
        manifest.label.threshold,
        tuple(sorted(manifest.data.offsets)),
        manifest.data.first_grid_us,
        manifest.data.last_grid_us + horizon_s * 1_000_000,
        manifest.data.folds,
    )
    plan = TrainingPlan(data, model, manifest.seed, budget)
    require_plan(plan)
    return plan


def repeat(
    lake: Lake, into: Path, manifest: ModelManifest, tell: Tell = lambda _line: None
) -> Trained:
    """Train again as a manifest says, and hold the outcome against it.

    Raises:
        NotTheSameError: the lake's rows or the model's file have another hash than stated.
        Else as `train`.
    """
    plan = plan_of(manifest)
    tell(f"reading {plan.data.feature_set}")
    dataset = load_dataset(lake, plan.data)
    if dataset.sha256 != manifest.data.sha256:
        raise NotTheSameError(
            f"the lake's rows hash to {dataset.sha256[:12]} and the manifest's data set to"
            f" {manifest.data.sha256[:12]}: {_what_differs(dataset, manifest)}"
        )
    again = train_on(dataset, lake, into, plan, None, tell)
    if again.manifest.model_sha256 != manifest.model_sha256:
        raise NotTheSameError(
            f"the model's file hashes to {again.manifest.model_sha256[:12]} and the manifest says"
            f" {manifest.model_sha256[:12]}: {_what_changed(again.manifest, manifest)}"
        )
    return again


# --- parts ---------------------------------------------------------------------------------------


def _manifest(
    dataset: Dataset,
    plan: TrainingPlan,
    fitted: Fitted,
    found: Evaluation,
    folds: int,
    verdict: Verdict,
    beside: Beside,
) -> ModelManifest:
    given: dict[str, Parameter] = {"model": plan.model, "budget": plan.budget}
    return ModelManifest(
        kind=fitted.predictor.kind,
        name=model_name(plan.data.horizon_s),
        feature_set=plan.data.feature_set,
        fingerprint=dataset.fingerprint,
        columns=dataset.columns,
        label=LabelRule(plan.data.horizon_s, plan.data.threshold),
        data=training_data(dataset, folds),
        seed=plan.seed,
        parameters={**given, **fitted.parameters},
        best_iteration=fitted.best_iteration,
        libraries=library_versions(),
        code_version=code_version(),
        metrics=found.metrics,
        baselines=found.baselines,
        champion=beside.compared,
        beats_baseline=verdict.holds,
    )


def _importance(dataset: Dataset, found: Evaluation, fold: Fold, seed: int) -> Sequence[Importance]:
    predictor = found.fits[-1].predictor
    if predictor.kind not in _EXPLAINED:
        return ()
    return importance(dataset, predictor, fold.test, seed)


def _reference(dataset: Dataset, fitted: Fitted, rows: Ints) -> bytes:
    """Training rows with what the model says of them: what drift is measured from."""
    inputs = dataset.inputs[rows]
    probabilities: Floats = fitted.predictor.probabilities(inputs)
    codes = pa.array(dataset.ticker[rows].astype(np.int32))
    table = pa.table(
        {
            "ticker": pa.DictionaryArray.from_arrays(codes, pa.array(dataset.tickers)),
            "grid_time_us": dataset.grid_time_us[rows],
            "trade_offset": dataset.trade_offset[rows],
            "label": dataset.label[rows],
            **{name: probabilities[:, place] for place, name in enumerate(CLASS_NAMES)},
            **{name: inputs[:, place] for place, name in enumerate(dataset.columns)},
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def _thinned(rows: Ints, count: int) -> Ints:
    """At most so many of them, evenly spread."""
    places = np.linspace(0, len(rows) - 1, min(count, len(rows)))
    return rows[np.unique(places.astype(np.int64))]


def _folder_name(manifest: ModelManifest, fitted: Fitted) -> str:
    digest = sha256(encode_manifest(manifest))
    digest.update(encode_predictor(fitted.predictor))
    return f"{manifest.name}-{manifest.parameters['model']}-{digest.hexdigest()[:16]}"


def _what_differs(dataset: Dataset, manifest: ModelManifest) -> str:
    if dataset.fingerprint != manifest.fingerprint:
        return (
            f"{manifest.feature_set} is defined otherwise in this code; use the manifest's commit"
        )
    return (
        f"{len(dataset):,} rows here and {manifest.data.rows:,} there; it needs the lake that it"
        " was made from"
    )


def _what_changed(again: ModelManifest, manifest: ModelManifest) -> str:
    changed = [
        f"{name} {stated} is now {again.libraries.get(name, 'absent')}"
        for name, stated in manifest.libraries.items()
        if again.libraries.get(name) != stated
    ]
    if again.code_version != manifest.code_version:
        changed.append(f"code {manifest.code_version[:12]} is now {again.code_version[:12]}")
    return ", ".join(changed) or "code and libraries are the same, so this is a fault: report it"
