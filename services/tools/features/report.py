"""Feature sets, backfills and comparisons as people read them, and as programs do."""

import sys
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from services.featuresets import SETS
from services.featuresets.definitions import Feature
from services.featuresets.fingerprint import fingerprint
from services.tools.features.backfill import Filled
from services.tools.features.parity import Tally
from services.tools.features.quality import FeatureBatch
from services.tools.features.served_parity import PLACE as SERVED
from services.tools.features.served_parity import ServedDifference, ServedParity
from services.tools.operate.present import print_table

_NONE_YET: Final = (
    "there are none on `features` yet; once there are trades (`outcry simulate` makes some) the"
    " room features writes them"
)


class ParityReport(msgspec.Struct):
    """Every place that was compared."""

    tallies: list[Tally]
    unreadable: int
    """Records of `features` that are no rows of a known set: a stranger's."""
    ends: dict[int, int] = {}
    """By partition, the offset up to which trades were looked at."""
    unreadable_predictions: int = 0
    """Records of `predictions` that are no predictions of a known set."""
    passed_over_predictions: int = 0
    """Of sets that were not asked for."""
    first_served: ServedDifference | None = None
    """The first prediction of another vector than the trades give."""
    holds: bool = False

    def __post_init__(self) -> None:
        """It holds if every row that was compared matches, and there was one."""
        self.holds = all(tally.holds for tally in self.tallies) and any(
            tally.matched for tally in self.tallies
        )

    def with_served(self, served: ServedParity) -> "ParityReport":
        """What this says, and what was served."""
        return ParityReport(
            [*self.tallies, *served.tallies],
            self.unreadable,
            self.ends,
            served.unreadable,
            served.passed_over,
            served.first,
        )


def describe_sets() -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "name": feature_set.name,
            "fingerprint": fingerprint(feature_set),
            "made_from": feature_set.source,
            "features": feature_set.features,
        }
        for feature_set in SETS.values()
    ]


def print_sets() -> None:
    """A table a set."""
    for feature_set in SETS.values():
        sys.stdout.write(
            f"{feature_set.name}, from {feature_set.source}; {fingerprint(feature_set)}\n\n"
        )
        print_table(
            ("feature", "unit", "window", "meaning"),
            [(f.name, f.unit, _window(f), f.doc) for f in feature_set.features],
        )
        sys.stdout.write("\n")


def print_filled(name: str, filled: Filled) -> None:
    """What a backfill did."""
    print_table(
        ("feature set", "rows computed", "written", "there already", "files", "unprovable"),
        [(name, *(f"{n:,}" for n in msgspec.structs.astuple(filled)))],
    )
    if filled.unprovable:
        sys.stdout.write(
            "unprovable: rows that may depend on trades that retention took; not written\n"
        )


def print_parity(found: ParityReport) -> None:
    """A line a place and set, and the first differences."""
    counts = (
        "matched", "mismatched", "missing", "extra", "behind", "repeated", "before", "unprovable",
        "foreign",
    )  # fmt: skip
    print_table(
        ("place", "feature set", *counts),
        [
            (tally.place, tally.feature_set, *(f"{getattr(tally, name):,}" for name in counts))
            for tally in found.tallies
        ],
    )
    for tally in found.tallies:
        for difference in tally.differences:
            sys.stdout.write(f"{tally.place}, {tally.feature_set}: {difference}\n")
    if found.unreadable:
        sys.stdout.write(f"records that are no rows: {found.unreadable:,}\n")
    if found.unreadable_predictions:
        sys.stdout.write(f"records that are no predictions: {found.unreadable_predictions:,}\n")
    if found.passed_over_predictions:
        sys.stdout.write(f"predictions of other sets: {found.passed_over_predictions:,}\n")
    if any(tally.foreign for tally in found.tallies):
        sys.stdout.write(
            "foreign: by models of other feature definitions than this code's; not compared\n"
        )
    unprovable = sum(tally.unprovable for tally in found.tallies)
    if unprovable:
        sys.stdout.write(
            "unprovable: rows whose trades the log does not have, since retention took them or they"
            " are of a history that was ingested; they were not compared\n"
        )
    if not any(tally.matched for tally in found.tallies):
        why = "the log has the trades of none" if unprovable else _NONE_YET
        sys.stdout.write(f"No row was compared: {why}.\n")
    elif found.holds:
        sys.stdout.write("Stream and history are equal.\n")
    elif all(tally.holds for tally in found.tallies if tally.place != SERVED):
        sys.stdout.write("WHAT WAS SERVED AND HISTORY DIFFER\n")
    else:
        sys.stdout.write("STREAM AND HISTORY DIFFER\n")


def print_quality(found: Iterable[FeatureBatch]) -> None:
    """A line a batch."""
    print_table(
        ("batch", "origin", "tickers", "rows", "gaps", "findings"),
        [
            (
                batch.batch,
                batch.origin,
                ", ".join(batch.tickers),
                f"{sum(figures.rows for figures in batch.tickers.values()):,}",
                f"{sum(figures.gaps for figures in batch.tickers.values()):,}",
                ", ".join(f"{c.rule} {c.count:,}" for c in batch.checks if not c.passed) or "clean",
            )
            for batch in found
        ],
    )


def _window(feature: Feature) -> str:
    if feature.window_bars:
        return f"{feature.window_bars} bars"
    return f"{feature.window_s} s" if feature.window_s else "last trade"
