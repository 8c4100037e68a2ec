"""Which Kafka wrote a broker's data: an older one can't read what a newer one formatted.

Kafka itself says so in its log alone, in terms of its metadata's feature levels.
"""

from pathlib import Path
from typing import Final

from services.tools.stack.errors import StackError

_UNNOTED: Final = "4.3.1"
"""What formatted every directory before its version was noted beside it."""


def note_version(directory: Path, version: str) -> None:
    """Beside the data of this directory, which this version has just formatted."""
    _note(directory).write_text(version, encoding="utf-8")


def require_readable(directory: Path, version: str) -> None:
    """Refuse to start a broker of `version` on what it can't read.

    Raises:
        StackError: a newer Kafka formatted the data of this directory.
    """
    note = _note(directory)
    wrote = note.read_text(encoding="utf-8").strip() if note.is_file() else _UNNOTED
    if _number(wrote) > _number(version):
        raise StackError(
            f"Kafka {wrote} formatted {directory}; Outcry runs Kafka {version}, which can't read"
            " it (docs/adr/0006): move the whole home away, or set OUTCRY_HOME to another"
        )


def _note(directory: Path) -> Path:
    return directory / "version"


def _number(version: str) -> tuple[int, int]:
    """Major and minor: the metadata's format is the same within these."""
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
