"""What came of a file: rows read, kept, refused and repaired, by rule, with the first examples."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.tools.history.rules import BY_NAME, Action

EXAMPLES_MAX: Final = 5


class Example(msgspec.Struct, frozen=True):
    """One case of a finding."""

    row: int
    """Line of a CSV, row of a Parquet file; 0 where the finding is of no row."""
    shown: str


class Finding(msgspec.Struct):
    """How often a rule applied."""

    count: int = 0
    examples: list[Example] = []


class Report(msgspec.Struct):
    """One file, taken in."""

    file: str
    kind: str
    sha256: str = ""
    interval: str = ""
    """Of bars."""
    rows_read: int = 0
    kept: int = 0
    """Rows that the lake holds now: new ones, and those that it held already."""
    new: int = 0
    known: int = 0
    findings: dict[str, Finding] = {}
    """By rule."""
    tickers: dict[str, int] = {}
    """Rows kept, by ticker."""
    first_time: str = ""
    last_time: str = ""
    commands: int = 0
    """Of a session's order flow."""
    trades: int = 0
    """That the matcher printed of it."""
    files_written: int = 0
    error: str = ""
    """Why the file was refused as a whole; then nothing of it is in the lake."""

    def note(self, rule: str, count: int, examples: Sequence[Example] = ()) -> None:
        """Count a rule's cases; the first examples are kept."""
        assert rule in BY_NAME, f"no rule {rule}"
        if count:
            finding = self.findings.setdefault(rule, Finding())
            finding.count += count
            finding.examples += examples[: EXAMPLES_MAX - len(finding.examples)]

    def count(self, action: Action) -> int:
        """How many rows the rules of an action applied to."""
        return sum(f.count for name, f in self.findings.items() if BY_NAME[name].action == action)

    @property
    def refused(self) -> int:
        """Rows that did not enter."""
        return self.count("refuse")

    @property
    def dropped(self) -> int:
        """Rows that repeated another of the file."""
        return self.findings["repetition"].count if "repetition" in self.findings else 0
