"""Which models are in service: a place for each alias, exchanged in one step.

A request takes what stands in a place once, at its beginning, and finishes on it; what was taken
out lives on until its last request has ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

import msgspec
import numpy as np

from services.inference.core import Alias, ModelView
from services.models.artifact import LoadedModel
from services.models.vector import Matrix
from services.online.rows import Served


class Features(Protocol):
    """Where the rows of a feature set come from; `online.features.FeatureReader` is it."""

    def read(self, tickers: Sequence[str]) -> list[Served]: ...

    def at_hand(self, tickers: Sequence[str]) -> list[Served] | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A model in service. Nothing of it ever changes; any number of threads use it."""

    alias: Alias
    version: int
    loaded: LoadedModel
    features: Features
    loaded_us: int
    """When it was taken into service, microseconds since the epoch."""
    row_ms: float
    """What one row took as it was checked, the median."""

    @property
    def columns(self) -> tuple[str, ...]:
        return self.loaded.manifest.columns

    @property
    def name(self) -> str:
        return self.loaded.manifest.name

    @property
    def feature_set(self) -> str:
        return self.loaded.manifest.feature_set

    @property
    def fingerprint(self) -> str:
        return self.loaded.manifest.fingerprint

    @property
    def sha256(self) -> str:
        return self.loaded.manifest.model_sha256

    @property
    def is_shadow(self) -> bool:
        return self.alias is Alias.SHADOW

    @property
    def view(self) -> ModelView:
        return ModelView(self.name, self.version, self.alias, self.sha256)

    def predict(self, vectors: Sequence[Sequence[float]]) -> list[list[float]]:
        """The classes' probabilities for each vector."""
        if not vectors:
            return []
        matrix: Matrix = np.array(vectors, np.float64)
        found: list[list[float]] = self.loaded.predictor.probabilities(matrix).tolist()
        return found


class RefusalNote(msgspec.Struct, frozen=True):
    """The last model that was not taken into service under an alias, and why."""

    version: int
    reason: str
    detail: str
    at_us: int


@dataclass
class Slots:
    """The places. Only the reloader puts something there; anyone reads, from any thread."""

    _models: Mapping[Alias, ServedModel] = field(default_factory=dict)
    refusals: dict[Alias, RefusalNote] = field(default_factory=dict)
    decided: Event = field(default_factory=Event)
    """Set once the registry said what the champion is, or that there is none."""

    def get(self, alias: Alias) -> ServedModel | None:
        """What serves under this alias now."""
        return self._models.get(alias)

    def put(self, alias: Alias, model: ServedModel | None) -> None:
        """Exchange it, for whoever asks from now on."""
        kept = {name: served for name, served in self._models.items() if name is not alias}
        # One assignment: readers see all of the old places or all of the new ones.
        self._models = kept if model is None else kept | {alias: model}

    def all(self) -> Mapping[Alias, ServedModel]:
        """A picture of this moment."""
        return self._models
