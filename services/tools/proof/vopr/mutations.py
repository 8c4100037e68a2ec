"""Bugs as people write them, each planted in the place of a real part, and each to be found.

A simulator that finds nothing proves nothing unless it is known what it would find.
"""

from typing import Final

import msgspec

from services.tools.proof.vopr.bugs import (
    BatchMarkers,
    BelievesHashes,
    CollectsReplay,
    ForgetfulRisk,
    FreshToken,
    KeepsFolds,
    KeepsStateAfterErrors,
    LeakyRisks,
    LenientRisks,
    OffsetsBeforeIds,
    OffsetsFirst,
    OutputsFirst,
    RiskCountsAnew,
    SaysReplay,
    SnapshotBeforeCommit,
    TwoTransactions,
    UncheckedToken,
    UnfairMatcher,
    UnknownIsFailure,
    UnknownIsSuccess,
    UnstableOffsets,
    WithoutLock,
)
from services.tools.proof.vopr.parts import Parts


class Mutation(msgspec.Struct, frozen=True):
    """One planted bug."""

    name: str
    breaks: str
    parts: Parts
    found_by: tuple[str, ...]
    """What may find it, as it strikes: checks, and the errors that it makes a room crash of."""

    def explains(self, finding: str) -> bool:
        """Whether this is what the bug leads to, and not a plant that no longer fits its part."""
        return _finder_of(finding) in self.found_by


def _finder_of(finding: str) -> str:
    """The check, or of `crash: risk-0: AssertionError: ...` the error."""
    parts = finding.split(": ", 3)
    return parts[2] if parts[0] == "crash" and len(parts) > 2 else parts[0]


_BROKEN: Final = "AssertionError"
"""An invariant of a core."""
_STATE: Final = ("stages", "states", "snapshots", "views", _BROKEN)
"""What finds that somewhere a state is not the fold of what was read."""


MUTATIONS: Final = (
    Mutation(
        "offsets-before-outputs",
        "offsets and outputs are committed in two transactions, offsets first",
        Parts(loop=OffsetsFirst),
        ("stages", "views", _BROKEN),
    ),
    Mutation(
        "outputs-before-offsets",
        "offsets and outputs are committed in two transactions, outputs first",
        Parts(loop=OutputsFirst),
        ("stages", _BROKEN),
    ),
    Mutation(
        "unknown-is-success",
        "a commit of unknown outcome is taken for one that happened",
        Parts(loop=UnknownIsSuccess),
        _STATE,
    ),
    Mutation(
        "unknown-is-failure",
        "a commit of unknown outcome is done again, without a restore",
        Parts(loop=UnknownIsFailure),
        ("stages", _BROKEN),
    ),
    Mutation(
        "state-kept-after-error",
        "an aborted batch stays in memory, and its records count as read",
        Parts(loop=KeepsStateAfterErrors),
        (*_STATE, "rest"),
    ),
    Mutation(
        "snapshot-before-commit",
        "a snapshot is taken of what is not committed yet",
        Parts(loop=SnapshotBeforeCommit),
        ("snapshots",),
    ),
    Mutation(
        "offsets-before-ids",
        "committed offsets are read before the transactional ids are taken over",
        Parts(loop=OffsetsBeforeIds),
        ("takeover",),
    ),
    Mutation(
        "offsets-read-unstable",
        "committed offsets are read while a decided transaction has yet to change them",
        Parts(consumer=UnstableOffsets),
        _STATE,
    ),
    Mutation(
        "fresh-token",
        "a batch fetched before a rebalance is committed under the metadata after it",
        Parts(consumer=FreshToken),
        (*_STATE, "KeyError"),
    ),
    Mutation(
        "token-unchecked",
        "a zombie's offsets are sent without the group's check",
        Parts(producer=UncheckedToken),
        _STATE,
    ),
    Mutation(
        "state-kept-after-revoke",
        "the state of before a revoke is taken for that of the committed offset",
        Parts(restorer=KeepsFolds),
        _STATE,
    ),
    Mutation(
        "replay-speaks",
        "the tail that a restore folds is said again",
        Parts(loop=SaysReplay, restorer=CollectsReplay),
        ("stages", _BROKEN),
    ),
    Mutation(
        "bad-hash-accepted",
        "a snapshot is believed whose bytes do not have its hash",
        Parts(restorer=BelievesHashes),
        _STATE,
    ),
    Mutation(
        "dedup-not-in-snapshot",
        "risk's snapshot lacks the commands it remembers",
        Parts(risk=ForgetfulRisk()),
        _STATE,
    ),
    Mutation(
        "departures-not-in-snapshot",
        "risk's snapshot lacks how many messages it sent to each partition",
        Parts(risk=RiskCountsAnew()),
        _STATE,
    ),
    Mutation(
        "queue-not-in-snapshot",
        "the matcher's snapshot keeps each order's price, and not its place in the line",
        Parts(matcher=UnfairMatcher()),
        _STATE,
    ),
    Mutation(
        "reservation-leak",
        "a replace that races a fill leaves a reservation behind, in the checks' folds too",
        Parts(risk=LeakyRisks(), reference_risk=LeakyRisks()),
        (*_STATE, "audit"),
    ),
    Mutation(
        "short-for-all",
        "risk lets everybody sell short, in the room and in what the checks fold with",
        Parts(risk=LenientRisks(), reference_risk=LenientRisks()),
        ("audit",),
    ),
    Mutation(
        "mark-by-batch",
        "the mark is sent at the end of a batch and not by log time",
        Parts(matcher=BatchMarkers()),
        _STATE,
    ),
    Mutation(
        "rows-apart-from-offsets",
        "the recorder moves its offsets in another transaction than its rows",
        Parts(ledger=TwoTransactions),
        ("rows",),
    ),
    Mutation(
        "two-recorders",
        "the recorder neither takes the lock nor checks where the offsets were",
        Parts(ledger=WithoutLock),
        ("rows",),
    ),
)
"""Every planted bug."""

BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}
