"""What a room is told from outside: the environment, read once at start and validated then."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.errors import ConfigurationError

ENV_PREFIX: Final = "OUTCRY_"


class RoomSettings(BaseSettings):
    """What every room needs. A room with wishes of its own subclasses this.

    Nothing that changes an outcome is here: that is in the genesis, which is in the log.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    kafka_bootstrap: str = Field(pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")
    """host:port of one or more brokers, separated by commas."""
    registry_url: str = Field(pattern=r"^https?://\S+$")
    """Where the schema registry speaks the Confluent API, its path included."""
    pg_dsn: SecretStr | None = None
    """PostgreSQL; a room that can do without snapshots runs without it."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """Port of /metrics, /health and /ready; 0: any free one, unset: none."""
    topic_prefix: str = Field(default="", pattern=r"^[a-z0-9.-]*$", max_length=40)
    """Put before every topic, group and transactional id: one broker, many deployments."""
    instance: str = Field(default="0", pattern=r"^[a-z0-9-]{1,40}$")
    """Tells apart the processes of one room; a process that replaces another takes its name."""
    batch_records_max: int = Field(default=2_000, ge=1, le=100_000)
    transaction_interval_ms: float = Field(default=10.0, ge=0, le=1_000)
    """Shortest time between the begins of two transactions. One costs the broker as much as dozens
    of records, so where they come faster than this, a few wait for each other; a record that comes
    after a pause does not wait."""
    snapshot_interval_s: float = Field(default=30.0, gt=0)
    """Shortest time between two snapshots of a partition, seconds."""
    snapshots_kept: int = Field(default=5, ge=2)
    """How many snapshots of a partition stay; at least two, so that a bad one has one before it."""
    snapshots_age_s_max: float = Field(default=7 * 24 * 3_600.0, gt=0)
    """Older ones go too, but for the newest two; by default as long as topics keep their records,
    since a snapshot from before that has no tail in Kafka."""
    standby_lock: Path | None = None
    """A file that the processes of one instance share: who locks it works, who waits for it follows
    and takes the snapshots. Local disk, one host. Unset: no standby."""
    traces_endpoint: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where spans are sent, by OTLP over HTTP, the path (usually /v1/traces) included; unset: no
    traces, and no header is read."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def deployment(self) -> str:
        """What tells this deployment's rows apart in a shared PostgreSQL."""
        return self.topic_prefix or "default"


def read_settings[S: BaseSettings](settings: type[S]) -> S:
    """Read a room's settings from the environment.

    Raises:
        ConfigurationError: one line that names every variable that is missing or wrong.
    """
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        # The value itself stays out: it may be a secret.
        faults = [
            f"{prefix}{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        msg = f"{'; '.join(faults)}. Set this in the environment (`outcry up` does for its rooms)"
        raise ConfigurationError(msg) from error
