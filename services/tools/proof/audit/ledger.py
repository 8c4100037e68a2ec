"""What an audit has found so far: plain values that can be sent between processes and added up."""

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from services.tools.proof.audit.flows import Flows, Reach

if TYPE_CHECKING:
    from services.runtime.ports import Snapshot

type Place = tuple[str, int]
"""A topic and a partition."""

FINDINGS_MAX: Final = 200
"""Most findings of one check in one partition that are spelled out: what follows from one break is
many, and may not push out the earlier finding of a partition that is read later."""
JUNK_MAX: Final = 10_000
"""Most offsets of undecodable records that a partition's audit remembers."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as the log says it must be."""

    check: str
    topic: str
    """Where it is: in the log, or the record that a row or snapshot stands for."""
    partition: int
    offset: int
    expected: str
    found: str
    where: str = ""
    """What holds it, if not the topic: a table, a snapshot."""
    time_ms: int = 0
    """Log time, by which the first finding is told."""
    rank: int = 0
    """Among findings of the same time: what the others may follow from comes first."""


class Digest(msgspec.Struct, frozen=True):
    """One partition as read, so that two people can compare what they audited."""

    topic: str
    partition: int
    first_offset: int
    """Of the first record that was read; retention may have taken what was before."""
    next_offset: int
    records: int
    digest: str
    """Hexadecimal BLAKE2b-256 over each record's offset, time, key and value, in order."""


class Ledger:
    """The findings, the counts, and both sides of every flow."""

    def __init__(self) -> None:
        self.flows = Flows()
        self.reaches: dict[Place, Reach] = {}
        self.checked: Counter[str] = Counter()
        """How many things each check has looked at."""
        self.notes: Counter[str] = Counter()
        """What was not looked at, and why; not findings."""
        self.findings: list[Finding] = []
        self._reported: Counter[tuple[str, int, str]] = Counter()
        """How many findings there were, by place and check."""
        self.junk: dict[Place, list[int]] = {}
        self.starts: dict[Place, Snapshot] = {}
        """The snapshots at which folds began, where they did not begin at zero."""
        self.digests: dict[Place, Digest] = {}
        self.totals: Counter[str] = Counter()

    def report(self, finding: Finding) -> None:
        """Keep one finding."""
        key = finding.topic, finding.partition, finding.check
        self._reported[key] += 1
        if self._reported[key] <= FINDINGS_MAX:
            self.findings.append(finding)
        else:
            self.notes["findings not spelled out"] += 1

    def note_junk(self, place: Place, offset: int) -> None:
        """A record that is no message of its topic."""
        self.notes[f"records of {place[0]} that are no message, passed over"] += 1
        kept = self.junk.setdefault(place, [])
        if len(kept) < JUNK_MAX:
            kept.append(offset)

    def absorb(self, other: "Ledger") -> None:
        """Add what another process found of other partitions."""
        self.flows.absorb(other.flows)
        self.reaches |= other.reaches
        self.checked += other.checked
        self.notes += other.notes
        self.findings += other.findings
        self.junk |= other.junk
        self.starts |= other.starts
        self.digests |= other.digests
        self.totals += other.totals
