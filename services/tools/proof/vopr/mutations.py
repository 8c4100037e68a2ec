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
    """The checks that it may be found by, as it strikes; a crash must be a broken invariant."""

    def explains(self, finding: str) -> bool:
        """Whether this is what the bug leads to, and not a plant that no longer fits its part."""
        check = finding.partition(":")[0]
        return check in self.found_by and (check != "crash" or "AssertionError" in finding)


MUTATIONS: Final = (
    Mutation(
        "offsets-before-outputs",
        "offsets and outputs are committed in two transactions, offsets first",
        Parts(loop=OffsetsFirst),
        ("stages", "crash"),
    ),
    Mutation(
        "outputs-before-offsets",
        "offsets and outputs are committed in two transactions, outputs first",
        Parts(loop=OutputsFirst),
        ("crash", "stages"),
    ),
    Mutation(
        "unknown-is-success",
        "a commit of unknown outcome is taken for one that happened",
        Parts(loop=UnknownIsSuccess),
        ("stages", "snapshots", "states", "crash"),
    ),
    Mutation(
        "unknown-is-failure",
        "a commit of unknown outcome is done again, without a restore",
        Parts(loop=UnknownIsFailure),
        ("crash", "stages"),
    ),
    Mutation(
        "state-kept-after-error",
        "an aborted batch stays in memory, and its records count as read",
        Parts(loop=KeepsStateAfterErrors),
        ("snapshots", "states", "stages", "crash"),
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
        ("stages", "crash"),
    ),
    Mutation(
        "fresh-token",
        "a batch fetched before a rebalance is committed under the metadata after it",
        Parts(consumer=FreshToken),
        ("crash", "stages"),
    ),
    Mutation(
        "token-unchecked",
        "a zombie's offsets are sent without the group's check",
        Parts(producer=UncheckedToken),
        ("crash", "stages"),
    ),
    Mutation(
        "state-kept-after-revoke",
        "the state of before a revoke is taken for that of the committed offset",
        Parts(restorer=KeepsFolds),
        ("crash", "states", "snapshots", "stages"),
    ),
    Mutation(
        "replay-speaks",
        "the tail that a restore folds is said again",
        Parts(loop=SaysReplay, restorer=CollectsReplay),
        ("crash", "stages"),
    ),
    Mutation(
        "bad-hash-accepted",
        "a snapshot is believed whose bytes do not have its hash",
        Parts(restorer=BelievesHashes),
        ("states", "snapshots", "stages", "views", "crash"),
    ),
    Mutation(
        "dedup-not-in-snapshot",
        "risk's snapshot lacks the commands it remembers",
        Parts(risk=ForgetfulRisk()),
        ("snapshots", "states", "stages", "crash"),
    ),
    Mutation(
        "departures-not-in-snapshot",
        "risk's snapshot lacks how many messages it sent to each partition",
        Parts(risk=RiskCountsAnew()),
        ("crash", "snapshots", "states", "stages"),
    ),
    Mutation(
        "queue-not-in-snapshot",
        "the matcher's snapshot keeps each order's price, and not its place in the line",
        Parts(matcher=UnfairMatcher()),
        ("snapshots", "states", "stages", "views", "crash"),
    ),
    Mutation(
        "reservation-leak",
        "a replace that races a fill leaves a reservation behind, in the checks' folds too",
        Parts(risk=LeakyRisks(), reference_risk=LeakyRisks()),
        ("audit",),
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
        ("snapshots", "states", "stages"),
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
