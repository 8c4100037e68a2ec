"""What the recorder is told from outside, beside what every room is."""

from pydantic import Field, SecretStr

from services.runtime.settings import RoomSettings


class RecorderSettings(RoomSettings):
    """Read once, at start."""

    pg_dsn: SecretStr
    """PostgreSQL 14 or later, the primary; through a pooler only if it keeps sessions."""
    batch_records_max: int = Field(default=5_000, ge=1, le=100_000)
    """Most records of one database transaction."""
    flush_interval_ms: int = Field(default=100, ge=1, le=10_000)
    """How long a transaction gathers records, once there is one."""
    session_timeout_s: int = Field(default=30, ge=3, le=600)
    """A recorder that is silent this long loses its session, and with it its place to another."""
