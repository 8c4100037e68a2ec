"""What the materializer is told from outside, beside what every room is."""

from pathlib import Path

from pydantic import Field

from services.online.address import ONLINE_URL_PATTERN
from services.runtime.settings import RoomSettings


class MaterializerSettings(RoomSettings):
    """Read once, at start."""

    home: Path
    """Where the lake and Feast's files are."""
    online_url: str = Field(default="", pattern=ONLINE_URL_PATTERN)
    """`redis://[:password@]host:port[/db][?socket_timeout=SECONDS]`; empty: SQLite in the home."""
    gather_ms: int = Field(default=100, ge=1, le=10_000)
    """How long rows are gathered before they go online together."""
    lake_interval_s: float = Field(default=60.0, gt=0, le=86_400)
    """Rows wait so long for their file: each file costs readers something."""
    lake_rows_max: int = Field(default=20_000, ge=1, le=1_000_000)
    """A file is written at once when so many rows wait; and no more are read until it is."""
