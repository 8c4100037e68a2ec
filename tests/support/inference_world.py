"""Inference without Kafka or MLflow: a registry of folders, a log in memory, Feast on SQLite."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from services.domain.origin import Origin
from services.domain.predictions import Prediction
from services.featuresets.fingerprint import fingerprint
from services.inference.app import Inference, make_app
from services.inference.candidates import Candidate, time_row
from services.inference.core import Alias, Freshness
from services.inference.desk import Desk
from services.inference.metrics import METRICS
from services.inference.problems import KINDS
from services.inference.reload import Reloader
from services.inference.settings import InferenceSettings
from services.inference.shadow import Shadow
from services.inference.slots import Slots
from services.models.artifact import read_model
from services.models.errors import RegistryAwayError, UnknownVersionError
from services.models.predictors import Predictor
from services.online.errors import UnknownServiceError
from services.online.rows import Served
from services.runtime.telemetry import Telemetry
from tests.support.model_kit import COLUMNS, V1, put_model

HOST: Final = "127.0.0.1"
NOW_US: Final = 1_790_000_000_000_000
SECOND_US: Final = 1_000_000
FEATURES: Final = {name: 0.25 * place for place, name in enumerate(V1.columns)}
"""Of every ticker, unless a test says otherwise."""
INPUTS: Final = {name: FEATURES[name] for name in COLUMNS}


class FolderRegistry:
    """`reload.ModelSource` over folders; away at will."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.named: dict[str, int] = {}
        self.is_away = False
        self.loads = 0

    def add(self, version: int, predictor: Predictor | None = None, **changes: object) -> Path:
        """Write a model under this version."""
        path = self.folder / str(version)
        put_model(path, predictor, None, **changes)
        return path

    def aliases(self) -> Mapping[str, int]:
        if self.is_away:
            raise RegistryAwayError("the registry does not answer")
        return dict(self.named)

    def load(self, version: int) -> Candidate:
        self.loads += 1
        if not (self.folder / str(version)).exists():
            raise UnknownVersionError(f"there is no version {version}")
        loaded = read_model(self.folder / str(version))
        return Candidate(loaded, time_row(loaded))


class MemoryFeatures:
    """`reload.StatedFeatures` in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Served] = {}
        self.stated = fingerprint(V1)
        self.failure: Exception | None = None
        self.is_at_hand = False
        self.before_read: Callable[[], None] = lambda: None
        for ticker in ("AAPL", "MSFT", "GOOGL", "TSLA", "NVDA"):
            self.put(ticker)

    def put(self, ticker: str, age_s: int = 1, **changes: float | None) -> None:
        """The newest row of a ticker."""
        grid_time_us = NOW_US - age_s * SECOND_US
        self.rows[ticker] = Served(ticker, grid_time_us, self.stated, {**FEATURES, **changes})

    @property
    def fingerprint(self) -> str | None:
        return self.stated

    def read(self, tickers: Sequence[str]) -> list[Served]:
        self.before_read()
        if self.failure is not None:
            raise self.failure
        return [self.rows.get(ticker, Served(ticker, None, "", {})) for ticker in tickers]

    def at_hand(self, tickers: Sequence[str]) -> list[Served] | None:
        return self.read(tickers) if self.is_at_hand else None

    def open(self, feature_set: str) -> "MemoryFeatures":
        """As `OnlineFeatures.reader`."""
        if feature_set != V1.name:
            raise UnknownServiceError(f"no FeatureService {feature_set!r}")
        return self


class MemorySink:
    """`predictions.PredictionSink` with a bound, which may stand still or lose."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.taken: list[tuple[Origin, Prediction]] = []
        self.traces: list[bytes | None] = []
        """Of each that was taken."""
        self.settles: list[bool] = []
        """What `settle` says, in turn; True once there is nothing left."""

    @property
    def waiting(self) -> int:
        return len(self.taken)

    @property
    def predictions(self) -> list[Prediction]:
        return [prediction for _, prediction in self.taken]

    def offer(
        self, origin: Origin, prediction: Prediction, traceparent: bytes | None = None
    ) -> bool:
        if len(self.taken) >= self.room:
            return False
        self.taken.append((origin, prediction))
        self.traces.append(traceparent)
        return True

    def settle(self, timeout_s: float) -> bool:
        return self.settles.pop(0) if self.settles else True


class InferenceWorld:
    """One inference process's parts, put together as its service does."""

    def __init__(self, folder: Path, **changes: Any) -> None:  # noqa: ANN401 - any setting
        fields: dict[str, Any] = {
            "kafka_bootstrap": "127.0.0.1:1",
            "registry_url": "http://127.0.0.1:1",
            "home": folder,
            "inference_port": 0,
        }
        self.settings = InferenceSettings(**(fields | changes))
        self.registry = FolderRegistry(folder)
        self.features = MemoryFeatures()
        self.sink = MemorySink()
        self.slots = Slots()
        self.telemetry = Telemetry("inference", metrics=METRICS)
        settings = self.settings
        self.reloader = Reloader(
            "direction_10s",
            self.registry,
            self.features.open,
            self.slots,
            self.telemetry,
            aliases=tuple(Alias),
            row_ms_max=settings.inference_model_ms_max,
        )
        freshness = Freshness(
            settings.inference_feature_age_s_max * SECOND_US,
            settings.inference_feature_ahead_s_max * SECOND_US,
            takes_stale=settings.inference_unfit_policy == "degrade",
        )
        self.shadow = Shadow(
            self.slots, self.sink, freshness, settings.inference_shadow_waiting_max, self.telemetry
        )
        desk = Desk(
            self.slots, self.sink, self.shadow, self.telemetry,
            freshness=freshness,
            canary_percent=settings.inference_canary_percent,
            clock_us=lambda: NOW_US,
        )  # fmt: skip
        self.here = Inference(settings, desk, self.slots, self.reloader, self.sink, self.telemetry)

    def serve(self, version: int, alias: Alias = Alias.CHAMPION) -> None:
        """Give the alias to a version, and take it into service."""
        self.registry.named[alias] = version
        self.reloader.check()

    def client(self) -> httpx.AsyncClient:
        """An HTTP client of the application itself."""
        transport = httpx.ASGITransport(make_app(self.here))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}")

    def metric(self, line: str) -> float:
        """The value of a metric, by its name and labels as they are exposed; 0: not there."""
        for found in self.telemetry.exposition().decode().splitlines():
            if found.startswith(f"{line} "):
                return float(found.rpartition(" ")[2])
        return 0.0

    def close(self) -> None:
        self.here.close()
        self.shadow.close()


async def eventually(holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as it holds; fail after `timeout_s`, generous on purpose."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


def expect_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The answer's problem document, which is this one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert (document["status"], document["reason"]) == (status, reason)
    assert document["type"] == f"urn:outcry:problem:{reason.lower().replace('_', '-')}"
    assert document["title"] == KINDS[reason].title
    assert ("retry-after" in response.headers) == (KINDS[reason].retry_after_s is not None)
    return document


def expected(world: InferenceWorld, features: dict[str, float] = INPUTS) -> list[float]:
    """What the champion's folder says of these features, read by itself."""
    version = world.registry.named[Alias.CHAMPION]
    model = read_model(world.registry.folder / str(version))
    vector = [features[name] for name in model.manifest.columns]
    answer: list[float] = model.predictor.probabilities(np.array([vector]))[0].tolist()
    return answer
