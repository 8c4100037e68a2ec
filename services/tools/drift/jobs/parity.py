"""What was served against the trades, as a result of the hour in which it was compared.

All of `predictions` that retention has left is compared each time: a window of event time would
pass over what was served late. The result is named for how far the log went, so that a second
comparison of the same records finds the first.
"""

from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from services.drift.core.windows import SECOND_US, Window
from services.drift.ledger import Check, Job, Result
from services.tools.drift.jobs.place import Serving
from services.tools.features.parity import Tally
from services.tools.features.served_parity import ServedParity

HOUR_US: Final = 3_600 * SECOND_US
FAMILY: Final = "parity"
MISMATCH: Final = "mismatch"
NOTHING_COMPARED: Final = "nothing_compared"
"""There is no prediction, or none whose trades are still on the log."""
PARTLY_COMPARED: Final = "partly_compared"
"""Nothing differs, and more than UNCOMPARED_SHARE_MAX could not be compared."""
UNCOMPARED_SHARE_MAX: Final = 0.1
"""Of the records, without repetitions. Trades and predictions are kept as long, so that what comes
before the first whole row is little."""
_LETTERS_MAX: Final = 4_000


def hour_of(now: datetime) -> Window:
    """The hour of a time, of the wall clock."""
    begin_us = int(now.timestamp()) * SECOND_US // HOUR_US * HOUR_US
    return Window(begin_us, begin_us + HOUR_US)


def result_of_parity(serving: Serving, found: ServedParity, window: Window) -> Result:
    """Which vectors differ, by feature set."""
    foreign = sum(tally.foreign for tally in found.tallies)
    unprovable = sum(tally.unprovable for tally in found.tallies)
    uncompared = foreign + unprovable + found.unreadable + found.passed_over
    outcome = _outcome(found.matched, uncompared, holds=found.holds)
    told = found.first.told() if found.first else ""
    if outcome == PARTLY_COMPARED:
        told = (
            f"{found.matched:,} compared and alike; not compared: {foreign:,} by models of other"
            f" feature definitions, {unprovable:,} whose trades are not on the log,"
            f" {found.unreadable:,} that are no predictions of a known set, {found.passed_over:,}"
            " of sets that are not made of trades"
        )
    if not told and outcome == NOTHING_COMPARED:
        told = "no prediction could be compared: is the inference room running?"
    job = Job(
        kind="parity",
        model=serving.name,
        model_version=serving.version,
        model_sha256=serving.manifest.model_sha256,
        basis_sha256=sha256(msgspec.json.encode(sorted(found.ends.items()))).hexdigest(),
        window=window,
        outcome=outcome,
        is_alarm=outcome == MISMATCH,
        ratio=None,
        detail=told[:_LETTERS_MAX],
    )
    checks = tuple(_check(tally) for tally in found.tallies)
    return Result(job, msgspec.json.encode(found), checks)


def mismatches_of(found: ServedParity) -> int:
    """Predictions whose vector is not what the trades give."""
    return sum(tally.mismatched + tally.extra for tally in found.tallies)


def _outcome(matched: int, uncompared: int, *, holds: bool) -> str:
    if not holds:
        return MISMATCH
    if not matched:
        return NOTHING_COMPARED
    is_little = uncompared > UNCOMPARED_SHARE_MAX * (matched + uncompared)
    return PARTLY_COMPARED if is_little else "ok"


def _check(tally: Tally) -> Check:
    wrong = tally.mismatched + tally.missing + tally.extra + tally.behind
    outcome = _outcome(tally.matched, tally.foreign + tally.unprovable, holds=tally.holds)
    return Check(
        ticker="",
        column=tally.feature_set,
        family=FAMILY,
        outcome=outcome,
        statistic=float(wrong),
        threshold=0.0,
        effect=float(tally.matched),
        detail="; ".join(tally.differences)[:_LETTERS_MAX],
    )
