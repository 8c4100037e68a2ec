"""One training in a process of its own: `python -m ... WAY HOME MODEL SEED BUDGET`.

`run` is what `outcry train` does up to the registry; `library` fits the same final model with
scikit-learn's histogram trees. Prints the time of each step and the greatest memory.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.lake.places import Lake
from services.trainer.dataset import DatasetPlan, load_dataset
from services.trainer.fit import DEFAULTS, ROUNDS_MAX, part_of
from services.trainer.service import TrainingPlan, train
from services.trainer.splits import final_split

_STEPS: Final = (
    ("reading", "read"),
    ("checking for leaks", "leak checks"),
    ("to train on", "walk-forward"),
    ("drawing intervals", "intervals"),
    ("fitting the model", "final fit"),
    ("drawing the card", "card and files"),
)
"""What the run tells when a step begins, and the step's name."""


def main() -> None:
    """Do it, and print one line of JSON."""
    way, home, model, seed, budget = sys.argv[1:]
    if way == "run":
        answer = _run(Path(home), model, int(seed), int(budget))
    else:
        answer = _library(Path(home), int(seed))
    print(json.dumps(answer | {"peak_mib": _peak_mib()}))  # noqa: T201 - the answer


def _run(home: Path, model: str, seed: int, budget: int) -> dict[str, Any]:
    begins: list[tuple[str, float]] = []

    def tell(line: str) -> None:
        begins.append((next(name for said, name in _STEPS if said in line), perf_counter()))

    plan = TrainingPlan(DatasetPlan(MICROSTRUCTURE_V1.name), model, seed, budget)
    start_s = perf_counter()
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as into:
        trained = train(Lake(home), Path(into), plan, None, tell)
    ends = [*(begin_s for _, begin_s in begins[1:]), perf_counter()]
    steps: dict[str, float] = {}
    for (name, begin_s), end_s in zip(begins, ends, strict=True):
        steps[name] = steps.get(name, 0.0) + end_s - begin_s
    rounds = trained.manifest.best_iteration
    return {
        "rows": trained.manifest.data.rows,
        "rounds": 0 if rounds is None else rounds + 1,
        "wall_s": perf_counter() - start_s,
        "cpu_s": process_time(),
        "steps": steps,
    }


def _library(home: Path, seed: int) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    dataset = load_dataset(Lake(home), DatasetPlan(MICROSTRUCTURE_V1.name))
    last = final_split(dataset)
    known = DEFAULTS["xgboost"]
    trees = HistGradientBoostingClassifier(
        learning_rate=known["learning_rate"], max_depth=known["max_depth"], max_iter=ROUNDS_MAX,
        early_stopping=True, n_iter_no_change=25, scoring="loss", random_state=seed,
    )  # fmt: skip
    start_s = perf_counter()
    with threadpool_limits(limits=1):
        trees.fit(
            part_of(dataset.inputs, last.train), dataset.label[last.train],
            X_val=part_of(dataset.inputs, last.validation), y_val=dataset.label[last.validation],
        )  # fmt: skip
    return {
        "rows": len(dataset),
        "rounds": int(trees.n_iter_),
        "wall_s": perf_counter() - start_s,
        "cpu_s": process_time(),
        "steps": {"final fit": perf_counter() - start_s},
    }


def _peak_mib() -> float:
    # Of this process alone: the kernel's ru_maxrss begins with the parent's.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
