"""What the feature room is told from outside, beside what every room is."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.features.core import LiveSet
from services.featuresets import TRADE_SETS
from services.featuresets.fingerprint import fingerprint
from services.runtime.settings import RoomSettings


class FeaturesSettings(RoomSettings):
    """Read once, at start."""

    features_sets: Annotated[tuple[str, ...], NoDecode] = ("microstructure_v1",)
    """Which feature sets to fold, separated by commas: a new version beside the old one."""
    gather_ms: float = Field(default=50.0, gt=0, le=1_000)
    """How long trades are gathered before they are folded: half of it is waited on average. Writing
    costs as much for one trade as for hundreds."""
    commit_interval_ms: int = Field(default=1_000, ge=100, le=60_000)
    """How often the done offset is committed; so much is done again after a crash."""
    session_timeout_ms: int = Field(default=6_000, ge=6_000, le=300_000)
    """A process that is silent this long loses its partitions to another one."""

    @field_validator("features_sets", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        if isinstance(given, str):
            return tuple(name.strip() for name in given.split(",") if name.strip())
        return given

    @field_validator("features_sets")
    @classmethod
    def _know(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        strangers = [name for name in names if name not in TRADE_SETS]
        if strangers or not names or len(set(names)) < len(names):
            known = ", ".join(TRADE_SETS)
            raise ValueError(f"name one or more of these, each once: {known}")
        return names

    def live_sets(self) -> tuple[LiveSet, ...]:
        """The sets with their fingerprints, in the order of their rows."""
        chosen = (TRADE_SETS[name] for name in self.features_sets)
        return tuple(LiveSet(found, fingerprint(found)) for found in chosen)
