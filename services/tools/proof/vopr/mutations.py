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


MUTATIONS: Final = (
    Mutation(
        "offsets-before-outputs",
        "offsets and outputs are committed in two transactions, offsets first",
        Parts(loop=OffsetsFirst),
    ),
    Mutation(
        "outputs-before-offsets",
        "offsets and outputs are committed in two transactions, outputs first",
        Parts(loop=OutputsFirst),
    ),
    Mutation(
        "unknown-is-success",
        "a commit of unknown outcome is taken for one that happened",
        Parts(loop=UnknownIsSuccess),
    ),
    Mutation(
        "unknown-is-failure",
        "a commit of unknown outcome is done again, without a restore",
        Parts(loop=UnknownIsFailure),
    ),
    Mutation(
        "state-kept-after-error",
        "an aborted batch stays in memory, and its records count as read",
        Parts(loop=KeepsStateAfterErrors),
    ),
    Mutation(
        "snapshot-before-commit",
        "a snapshot is taken of what is not committed yet",
        Parts(loop=SnapshotBeforeCommit),
    ),
    Mutation(
        "offsets-before-ids",
        "committed offsets are read before the transactional ids are taken over",
        Parts(loop=OffsetsBeforeIds),
    ),
    Mutation(
        "offsets-read-unstable",
        "committed offsets are read while a decided transaction has yet to change them",
        Parts(consumer=UnstableOffsets),
    ),
    Mutation(
        "fresh-token",
        "a batch fetched before a rebalance is committed under the metadata after it",
        Parts(consumer=FreshToken),
    ),
    Mutation(
        "token-unchecked",
        "a zombie's offsets are sent without the group's check",
        Parts(producer=UncheckedToken),
    ),
    Mutation(
        "state-kept-after-revoke",
        "the state of before a revoke is taken for that of the committed offset",
        Parts(restorer=KeepsFolds),
    ),
    Mutation(
        "replay-speaks",
        "the tail that a restore folds is said again",
        Parts(loop=SaysReplay, restorer=CollectsReplay),
    ),
    Mutation(
        "bad-hash-accepted",
        "a snapshot is believed whose bytes do not have its hash",
        Parts(restorer=BelievesHashes),
    ),
    Mutation(
        "dedup-not-in-snapshot",
        "risk's snapshot lacks the commands it remembers",
        Parts(risk=ForgetfulRisk()),
    ),
    Mutation(
        "departures-not-in-snapshot",
        "risk's snapshot lacks how many messages it sent to each partition",
        Parts(risk=RiskCountsAnew()),
    ),
    Mutation(
        "queue-not-in-snapshot",
        "the matcher's snapshot keeps each order's price, and not its place in the line",
        Parts(matcher=UnfairMatcher()),
    ),
    Mutation(
        "reservation-leak",
        "a replace that races a fill leaves a reservation behind, in the checks' folds too",
        Parts(risk=LeakyRisks(), reference_risk=LeakyRisks()),
    ),
    Mutation(
        "short-for-all",
        "risk lets everybody sell short, in the room and in what the checks fold with",
        Parts(risk=LenientRisks(), reference_risk=LenientRisks()),
    ),
    Mutation(
        "mark-by-batch",
        "the mark is sent at the end of a batch and not by log time",
        Parts(matcher=BatchMarkers()),
    ),
    Mutation(
        "rows-apart-from-offsets",
        "the recorder moves its offsets in another transaction than its rows",
        Parts(ledger=TwoTransactions),
    ),
    Mutation(
        "two-recorders",
        "the recorder neither takes the lock nor checks where the offsets were",
        Parts(ledger=WithoutLock),
    ),
)
"""Every planted bug."""

BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}
