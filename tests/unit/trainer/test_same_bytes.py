"""A run again from its manifest, in other processes, gives the same model file."""

import os
import subprocess
import sys
from typing import Final

import pytest

from services.lake.places import Lake
from services.trainer.dataset import DatasetPlan
from services.trainer.service import Trained, TrainingPlan, train
from tests.support.hidden_signal import moved_market
from tests.support.markets import put_table
from tests.tidy.tree import ROOT

MODELS: Final = ("xgboost", "logistic")
AGAIN: Final = """
import sys
from pathlib import Path
from services.lake.places import Lake
from services.models.artifact import read_manifest
from services.trainer.service import repeat

home, into, *manifests = (Path(argument) for argument in sys.argv[1:])
for manifest in manifests:
    again = repeat(Lake(home), into, read_manifest(manifest.read_bytes())).manifest
    print(again.model_sha256)
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    home = tmp_path_factory.mktemp("home")
    put_table(Lake(home), moved_market(3_400))
    plans = [TrainingPlan(DatasetPlan("microstructure_v1"), model, 11, 1) for model in MODELS]
    return [train(Lake(home), home / "first", plan) for plan in plans]


@pytest.fixture(scope="module", params=["1", "2"])
def again(first: list[Trained], request: pytest.FixtureRequest) -> list[str]:
    """What another process, in which sets have another order, comes to."""
    home = first[0].folder.parents[1]
    manifests = [trained.folder / "manifest.json" for trained in first]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, home, home / request.param, *manifests],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": request.param, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_another_process_gives_the_same_model_file(first: list[Trained], again: list[str]) -> None:
    assert again == [trained.manifest.model_sha256 for trained in first]
