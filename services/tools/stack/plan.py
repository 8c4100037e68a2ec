"""What one supervisor runs: decided by the caller, handed over as a file, obeyed as it stands."""

from pathlib import Path
from typing import Final

import msgspec

from services.tools.stack.settings import HOST, StackSettings

INFRA: Final = ("kafka", "registry", "postgres")
REGISTRY_PATH: Final = "/apis/ccompat/v7"
"""Where Apicurio has its Confluent API."""


class Addresses(msgspec.Struct, frozen=True):
    """Where the infrastructure answers."""

    kafka_bootstrap: str
    registry_url: str
    """Where the registry speaks the Confluent API, its path included."""
    pg_dsn: str


class Plan(msgspec.Struct, frozen=True):
    """One stack, or one more set of rooms on another stack's infrastructure."""

    home: str
    port_base: int
    components: str
    addresses: Addresses
    topic_prefix: str
    infra: tuple[str, ...]
    """Which of `INFRA` this supervisor runs itself."""
    rooms: tuple[str, ...]
    frozen_timeout_s: float
    """As in `StackSettings`."""
    keys_secret_file: str = ""
    """What API keys are hashed with; empty: a file in `home`."""
    gateway_access: str = "open"
    """As in `StackSettings`."""
    gateways: int = 1
    """As in `StackSettings`."""
    standby: bool = False
    """Run each room that has a standby twice."""
    kafka_compiler: str = "full"
    """As in `StackSettings`."""

    @property
    def home_path(self) -> Path:
        return Path(self.home)


def stack_plan(settings: StackSettings, rooms: tuple[str, ...]) -> Plan:
    """Infrastructure and `rooms`; with an external PostgreSQL, no embedded one."""
    embedded = settings.pg_dsn is None
    dsn = settings.pg_dsn or f"postgresql://outcry@{HOST}:{settings.port('postgres')}/outcry"
    return Plan(
        home=str(settings.home),
        port_base=settings.port_base,
        components=str(settings.components),
        addresses=Addresses(
            kafka_bootstrap=f"{HOST}:{settings.port('kafka')}",
            registry_url=f"http://{HOST}:{settings.port('registry')}{REGISTRY_PATH}",
            pg_dsn=dsn,
        ),
        topic_prefix=settings.topic_prefix,
        infra=INFRA if embedded else tuple(name for name in INFRA if name != "postgres"),
        rooms=rooms,
        frozen_timeout_s=settings.frozen_timeout_s,
        keys_secret_file=str(settings.keys_secret_file),
        gateway_access=settings.gateway_access,
        gateways=settings.gateways,
        standby=settings.standby,
        kafka_compiler=settings.kafka_compiler,
    )
