"""Where a stack lives and which ports it takes: all of it, so that two can run side by side."""

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

HOST: Final = "127.0.0.1"
"""Everything binds to loopback alone: no part of the local stack asks who is calling."""

PORT_OFFSETS: Final = MappingProxyType(
    {
        "ingest": 11,
        "risk": 12,
        "matcher": 13,
        "recorder": 14,
        "gateway-metrics": 15,
        "risk-standby": 16,
        "matcher-standby": 17,
        "features": 18,
        "materializer": 19,
        "inference": 20,
        "drift": 21,
        "stack-metrics": 22,
        "gateway-2": 23,
        "gateway-3": 24,
        "gateway-4": 25,
        "gateway-5": 26,
        "gateway-6": 27,
        "gateway-7": 28,
        "gateway-8": 29,
        "postgres": 54,
        "gateway": 80,
        "registry": 81,
        "predict": 82,
        "prometheus": 90,
        "kafka": 92,
        "kafka-controller": 93,
    }
)
"""Each port is OUTCRY_PORT_BASE plus one of these; a room's own name is its metrics port."""

KEYS_FILE_NAME: Final = "keys.secret"

GATEWAYS_MAX: Final = 8
"""As many have a port for their metrics."""

PORT_SPAN: Final = 100
"""Bases at least this far apart never meet."""


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


type AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class StackSettings(BaseSettings):
    """Read from the environment (`OUTCRY_HOME`, `OUTCRY_PORT_BASE`, ...), once, by the caller."""

    model_config = SettingsConfigDict(env_prefix="OUTCRY_", frozen=True, validate_default=True)

    home: AbsolutePath = Path(".outcry")
    """All data, logs and process files of one stack."""
    port_base: int = Field(default=19000, ge=1024, le=65535 - PORT_SPAN)
    components: AbsolutePath = Path(".components")
    """Kafka and the registry as downloaded. Outside `home`, so that all stacks share them."""
    pg_dsn: str | None = None
    """An existing PostgreSQL to use instead of the embedded one."""
    topic_prefix: str = Field(default="", pattern=r"^[a-z0-9.-]*$", max_length=40)
    frozen_timeout_s: float = Field(default=2.0, ge=0, le=600)
    """A room that neither answers nor uses processor time for so long is killed and started again,
    since it may hold back everyone else; 0: never (to stop a room by hand, or to debug it)."""
    kafka_compiler: Literal["full", "quick"] = "full"
    """How Java compiles the broker. `quick` has it up with half of the processor time, and never as
    fast as `full` makes it in time: for stacks that live for minutes."""
    gateway_access: Literal["keys", "open"] = "open"
    """What the gateway of this stack asks its callers for; as the gateway's own setting, which
    differs in that nothing is its default there but `keys`."""
    gateway_keys_secret_file: AbsolutePath | None = None
    """What API keys are hashed with; unset: a file in `home`, made by the first `up`."""
    gateways: int = Field(default=1, ge=1, le=GATEWAYS_MAX)
    """Processes of the gateway, which listen on one port; each does what one core can."""
    standby: bool = False
    """Run risk and matcher twice: the second process takes the snapshots and takes over at once."""

    @property
    def keys_secret_file(self) -> Path:
        return self.gateway_keys_secret_file or self.home / KEYS_FILE_NAME

    def port(self, name: str) -> int:
        """The port of a name in `PORT_OFFSETS`."""
        return self.port_base + PORT_OFFSETS[name]


class ToldAddresses(BaseSettings):
    """What a room is told of the stack, and with it the commands that it starts; empty: nothing."""

    model_config = SettingsConfigDict(env_prefix="OUTCRY_", frozen=True, extra="ignore")

    kafka_bootstrap: str = ""
    registry_url: str = ""
