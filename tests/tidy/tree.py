"""The files that make up this repository, as text."""

import subprocess
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]


class Source(NamedTuple):
    """One text file; `path` is relative to the repository's root."""

    path: PurePosixPath
    text: str

    def at(self, line: int, complaint: str) -> str:
        """A finding in the form editors can jump to."""
        return f"{self.path}:{line}: {complaint}"


@cache
def sources() -> tuple[Source, ...]:
    """Every text file that is tracked or about to be (not ignored), in path order."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    found: list[Source] = []
    for name in sorted({name for name in listed if name}):
        file = ROOT / name
        if not file.is_file() or file.is_symlink():
            continue
        try:
            found.append(Source(PurePosixPath(name), file.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # golden bytes and pictures: nothing here reads them
    return tuple(found)


def sources_with(suffix: str) -> tuple[Source, ...]:
    return tuple(source for source in sources() if source.path.suffix == suffix)
