"""Outcry's steps: ingest, backfill, parity, data set, train, evaluate, register, promote, reload.

Each step's inputs hold the content it works on by hash, so that a file which is the same is not
taken in twice and a lake that has grown is trained on again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.lake.lock import BACKFILL, HISTORY, locked
from services.lake.places import Lake
from services.models.artifact import read_model
from services.models.classes import CLASS_NAMES, model_name
from services.models.errors import PromotionRefusedError
from services.models.registry import Registry
from services.models.settings import mlflow_url_of_environment
from services.scoring.errors import TooLittleDataError
from services.scoring.intervals import BLOCKS_MIN
from services.tools.history.source import digest
from services.tools.pipeline.errors import PipelineError
from services.tools.pipeline.history import take_in
from services.tools.pipeline.order import PipelineOrder
from services.tools.pipeline.reload import Wanted, reload_service
from services.tools.pipeline.rows import backfill, ends_of_trades, hold_parity
from services.tools.pipeline.steps import Earlier, Say, Step, Values
from services.trainer.champion import champion_to_compare
from services.trainer.dataset import Dataset, DatasetPlan, load_dataset
from services.trainer.provenance import code_version
from services.trainer.service import train_on


def steps_of(order: PipelineOrder, say: Say) -> list[Step]:
    """The steps of an order. Nothing is read before they are run."""
    acts = _Acts(order, say)
    return [
        Step("ingest", acts.files, acts.ingest),
        Step("backfill", acts.trades, acts.backfill),
        Step("parity", acts.rows, acts.parity),
        Step("dataset", acts.data, acts.dataset),
        Step("train", acts.training, acts.train),
        Step("evaluate", acts.trained, acts.evaluate),
        Step("register", acts.trained, acts.register),
        Step("promote", acts.candidate, acts.promote),
        Step("reload", acts.champion, acts.reload),
    ]


class _Acts:
    def __init__(self, order: PipelineOrder, say: Say) -> None:
        self._order = order
        self._say = say
        self._lake = Lake(order.home)
        self._set = SETS[order.plan.data.feature_set]
        self._registry = Registry(
            order.home, mlflow_url_of_environment(), model_name(order.plan.data.horizon_s)
        )
        self._data: Dataset | None = None
        """As the step `dataset` found it, if it was done in this run."""

    # --- ingest

    def files(self, _: Earlier) -> Values:
        return {
            "files": [
                {"kind": file.kind, "name": file.path.name, "sha256": digest(file.path)}
                for file in self._order.files
            ]
        }

    def ingest(self, _: Earlier) -> Values:
        with locked(self._lake, HISTORY):
            return {"files": [take_in(self._lake, file, self._say) for file in self._order.files]}

    # --- backfill

    def trades(self, earlier: Earlier) -> Values:
        of_lake = self._order.source == "lake"
        return {
            "feature_set": self._set.name,
            "fingerprint": fingerprint(self._set),
            "source": self._order.source,
            "tickers": list(self._order.plan.data.tickers),
            "ingested": earlier["ingest"],
            "trades": _content(self._lake, "trades") if of_lake else ends_of_trades(),
        }

    def backfill(self, _: Earlier) -> Values:
        with locked(self._lake, BACKFILL):
            return backfill(self._lake, self._order)

    # --- parity

    def rows(self, earlier: Earlier) -> Values:
        return {"backfill": earlier["backfill"], "rows": self._rows()}

    def parity(self, _: Earlier) -> Values:
        return hold_parity(self._lake, self._order)

    # --- data set

    def data(self, earlier: Earlier) -> Values:
        plan = msgspec.to_builtins(self._order.plan.data)
        return {"plan": plan, "parity": earlier["parity"], "rows": self._rows()}

    def dataset(self, _: Earlier) -> Values:
        with self._too_little_told("dataset"):
            data = self._data = load_dataset(self._lake, self._order.plan.data)
        counts = np.bincount(data.label, minlength=len(CLASS_NAMES))
        return {
            "sha256": data.sha256,
            "rows": len(data),
            "tickers": list(data.tickers),
            "classes": dict(zip(CLASS_NAMES, counts.tolist(), strict=True)),
            "left_out": dict(data.left_out),
            "first_grid_us": int(data.grid_time_us[0]),
            "last_grid_us": int(data.grid_time_us[-1]),
        }

    # --- train and evaluate

    def training(self, earlier: Earlier) -> Values:
        return {
            "plan": msgspec.to_builtins(self._order.plan),
            "dataset": earlier["dataset"]["sha256"],
            "code": code_version(),
        }

    def train(self, earlier: Earlier) -> Values:
        # A lake that the stream writes to has grown by now; what was described is trained on.
        data = self._data or load_dataset(self._lake, self._order.plan.data)
        if data.sha256 != earlier["dataset"]["sha256"]:
            raise PipelineError("step train: the lake's rows have changed meanwhile; run it again")
        champion = champion_to_compare(self._registry, self._say)
        into = self._order.home / "models" / "trained"
        with self._too_little_told("train"):
            made = train_on(data, self._lake, into, self._order.plan, champion, self._say)
        return {
            "folder": str(made.folder.relative_to(self._order.home)),
            "model_sha256": made.manifest.model_sha256,
            "dataset_sha256": made.manifest.data.sha256,
        }

    def trained(self, earlier: Earlier) -> Values:
        return dict(earlier["train"])

    def evaluate(self, earlier: Earlier) -> Values:
        manifest = read_model(self._folder(earlier)).manifest
        best = max(manifest.baselines, key=lambda one: one.metrics.macro_f1.value, default=None)
        return {
            "metrics": msgspec.to_builtins(manifest.metrics),
            "best_baseline": None if best is None else msgspec.to_builtins(best),
            "beats_baseline": manifest.beats_baseline,
        }

    # --- register and promote

    def register(self, earlier: Earlier) -> Values:
        return {"version": self._registry.register(self._folder(earlier))}

    def candidate(self, earlier: Earlier) -> Values:
        return {"version": earlier["register"]["version"], "promotes": self._order.promotes}

    def promote(self, earlier: Earlier) -> Values:
        version = earlier["register"]["version"]
        if not self._order.promotes:
            return {"promoted": False, "why": "promotion was not asked for"}
        try:
            change = self._registry.promote(version, why="pipeline")
        except PromotionRefusedError as error:
            return {"promoted": False, "why": str(error)}
        return {"promoted": True, "why": "it was the champion" if change is None else "better"}

    # --- reload

    def champion(self, earlier: Earlier) -> Values:
        return {
            "url": self._order.inference_url,
            "champion": self._registry.alias(),
            "promoted": earlier["promote"],
        }

    def reload(self, earlier: Earlier) -> Values:
        url = self._order.inference_url
        if not url:
            return {"reloaded": False, "why": "no inference service was named"}
        champion = self._registry.alias()
        promoted = bool(earlier["promote"]["promoted"])
        return reload_service(url, Wanted(self._registry.name, champion, promoted))

    # --- parts

    @contextmanager
    def _too_little_told(self, step: str) -> Iterator[None]:
        """A fresh stack has nothing to learn from yet: say how much it takes, and from where."""
        try:
            yield
        except TooLittleDataError as error:
            plan, window_s = self._order.plan.data, self._set.longest_window_s
            raise PipelineError(
                f"step {step}: {error}. Some {needed_s(plan, window_s) / 60:.0f} minutes of trading"
                " are needed: let it trade on and run this again, or take history in (`outcry"
                " history simulate crowd.csv.gz`, then --trades crowd.csv.gz)"
            ) from error

    def _folder(self, earlier: Earlier) -> Path:
        return self._order.home / str(earlier["train"]["folder"])

    def _rows(self) -> str:
        return _content(self._lake, f"features/{self._set.name}")


def needed_s(plan: DatasetPlan, window_s: int) -> float:
    """How long trading must have gone on for a plan with windows so long, seconds.

    Ten blocks of the bootstrap in the tests, which are so many parts of the rows; and before the
    first row a window, and after the last one a horizon.
    """
    block_s = plan.horizon_s + window_s
    return BLOCKS_MIN * block_s * (plan.folds + 2) / plan.folds + block_s


def _content(lake: Lake, dataset: str) -> str:
    """A hash over every file of a dataset, by name and bytes."""
    return content_hash(lake.root, lake.files(dataset))


def content_hash(root: Path, paths: Iterable[Path]) -> str:
    """SHA-256 over files' names below a folder and their bytes."""
    total = sha256()
    for path in paths:
        total.update(f"{path.relative_to(root)} {digest(path)}\n".encode())
    return total.hexdigest()
