"""What `outcry bench inference` measures: the room, rows, models, and the reference's servers."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.models.artifact import write_model
from services.models.classes import HORIZON_S, model_name
from services.models.manifest import Estimate, LabelRule, Metrics, ModelManifest, TrainingData
from services.models.predictors import XGBoostPredictor
from services.models.registry import Registry
from services.models.vector import inputs_of
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow
from services.tools.bench.frame import Say
from services.tools.bench.servers import (
    Server,
    free_port,
    room_environment,
    started,
    wait_until_ok,
)
from services.tools.stack.deployment import create_topics, register_schemas
from services.tools.stack.plan import Addresses
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack

FEATURE_SET: Final = "microstructure_v1"
TICKERS: Final = ("AAPL", "MSFT", "GOOGL", "TSLA", "NVDA")
ROUNDS: Final = 150
_ROWS: Final = 5_000
_PROMOTED_S: Final = 120.0
_NICE: Final = 10
_PREFIX: Final = "bench."


class Stage(msgspec.Struct, frozen=True):
    """A deployment whose room answers."""

    home: Path
    """Of the room, models and rows."""
    server: Server
    """The room."""
    boosters: tuple[Any, ...]
    """XGBoost's, of the models; the first one is in service."""
    versions: tuple[int, ...]
    """Theirs in the registry."""


@contextmanager
def serving_stage(folder: Path, say: Say) -> Iterator[Stage]:
    """Two models, the first in service; a broker, rows every second, and the room; then no more."""
    home = folder / "deployment"
    home.mkdir()
    settings = StackSettings(home=folder / "stack", port_base=free_run_base())
    say("training two models")
    boosters = tuple(make_booster(seed) for seed in (1, 2))
    versions = tuple(register(home, booster, seed) for seed, booster in enumerate(boosters, 1))
    promote(home, versions[0])
    with running_stack(settings, rooms=()) as stack, fresh_rows(home):
        create_topics(stack.addresses, _PREFIX)
        register_schemas(stack.addresses, _PREFIX)
        with room(home, stack.addresses, _PREFIX) as server:
            yield Stage(home, server, boosters, versions)


def make_booster(seed: int) -> Any:  # noqa: ANN401 - XGBoost's
    """Trees of a served model's size, over noise: what they say does not matter here."""
    import xgboost

    columns = inputs_of(SETS[FEATURE_SET])
    inputs = np.random.default_rng(seed).normal(size=(_ROWS, len(columns)))
    label = np.digitize(inputs[:, 0] + 0.3 * inputs[:, 1], (-0.5, 0.5))
    rows = xgboost.DMatrix(inputs, label=label, feature_names=list(columns), nthread=1)
    parameters = {
        "objective": "multi:softprob", "num_class": 3, "tree_method": "hist", "nthread": 1,
        "max_depth": 5, "seed": seed,
    }  # fmt: skip
    return xgboost.train(parameters, rows, ROUNDS)


def register(home: Path, booster: Any, seed: int) -> int:  # noqa: ANN401 - XGBoost's
    """Write the model and put it into the registry; its version."""
    columns = inputs_of(SETS[FEATURE_SET])
    nothing = Estimate(0.0, 0.0, 0.0)
    manifest = ModelManifest(
        kind="xgboost",
        name=model_name(HORIZON_S),
        feature_set=FEATURE_SET,
        fingerprint=fingerprint(SETS[FEATURE_SET]),
        columns=columns,
        label=LabelRule(HORIZON_S),
        data=TrainingData("0" * 64, _ROWS, 0, 0, {}, 0, 0),
        seed=seed,
        parameters={"rounds": ROUNDS},
        libraries={},
        code_version="bench",
        metrics=Metrics(nothing, nothing, nothing),
    )
    golden = np.random.default_rng(seed + 1).normal(size=(16, len(columns)))
    folder = home / f"bench-model-{seed}"
    write_model(folder, XGBoostPredictor(booster), manifest, golden)
    return Registry(home).register(folder)


def promote(home: Path, version: int) -> None:
    """Make it the champion, whatever the gates of quality say of noise."""
    Registry(home).promote(version, force=True, why="bench")


@contextmanager
def promoter(home: Path, version: int) -> Iterator[Callable[[int], None]]:
    """Promotes from a process of its own, which has its libraries once it has promoted this one.

    Its gates hold the interpreter for a tenth of a second, and a generator of requests beside it
    would take its own waiting for the server's. It steps back, as a person's machine would.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=os.nice, initargs=(_NICE,)) as pool:

        def promote_there(version: int) -> None:
            pool.submit(promote, home, version).result(_PROMOTED_S)

        promote_there(version)
        yield promote_there


@contextmanager
def fresh_rows(home: Path) -> Iterator[None]:
    """Rows of five tickers online, and new ones every second from a process of their own."""
    OnlineFeatures(home).declare()
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_rows, args=(home,), daemon=True)
    writer.start()
    try:
        yield
    finally:
        writer.kill()
        writer.join()


def _write_rows(home: Path) -> None:
    online, feature_set = OnlineFeatures(home), SETS[FEATURE_SET]
    chance = np.random.default_rng(3)
    while True:
        now_us = int(time.time()) * 1_000_000
        rows = [
            OnlineRow(
                ticker,
                now_us,
                now_us,
                tuple(chance.normal(size=len(feature_set.features)).tolist()),
            )
            for ticker in TICKERS
        ]
        online.write(feature_set, rows)
        time.sleep(1.0)


@contextmanager
def room(home: Path, addresses: Addresses, prefix: str) -> Iterator[Server]:
    """`python -m services.inference` as the stack runs it."""
    port, metrics_port = free_port(), free_port()
    env = room_environment(home, addresses, prefix) | {
        "OUTCRY_INFERENCE_PORT": str(port),
        "OUTCRY_METRICS_PORT": str(metrics_port),
        "OUTCRY_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "services.inference"]
    with started(home / "inference.log", command, env) as pid:
        wait_until_ok(f"http://127.0.0.1:{port}/ready", home / "inference.log")
        yield Server(port, pid)


@contextmanager
def feast_server(home: Path) -> Iterator[Server]:
    """Feast's own feature server on the same store, one worker."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("feast")), "-c", str(home / "feast"), "serve",
        "-h", "127.0.0.1", "-p", str(port), "-w", "1", "--no-access-log", "--max-requests", "0",
    ]  # fmt: skip
    with started(home / "feast.log", command, {"FEAST_USAGE": "False"}) as pid:
        wait_until_ok(f"http://127.0.0.1:{port}/health", home / "feast.log")
        yield Server(port, pid)


@contextmanager
def mlflow_server(home: Path, booster: Any) -> Iterator[Server]:  # noqa: ANN401 - XGBoost's
    """MLflow's own scoring server with the same trees, one worker."""
    import mlflow.xgboost

    folder = home / "mlflow-model"
    mlflow.xgboost.save_model(booster, str(folder), pip_requirements=["xgboost-cpu"])
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", str(folder),
        "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port), "-w", "1",
    ]  # fmt: skip
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with started(home / "mlflow.log", command, {"PATH": path}) as pid:
        wait_until_ok(f"http://127.0.0.1:{port}/ping", home / "mlflow.log")
        yield Server(port, pid)
