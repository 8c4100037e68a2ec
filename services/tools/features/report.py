"""Feature sets, backfills and comparisons as people read them, and as programs do."""

import sys
from typing import Any

import msgspec

from services.featuresets import SETS
from services.featuresets.definitions import Feature
from services.featuresets.fingerprint import fingerprint
from services.tools.features.backfill import Filled
from services.tools.features.parity import Tally
from services.tools.operate.present import print_table


class ParityReport(msgspec.Struct):
    """Every place that was compared."""

    tallies: list[Tally]
    unreadable: int
    """Records of `features` that are no rows of a known set: a stranger's."""
    holds: bool = False

    def __post_init__(self) -> None:
        """It holds if every row that was compared matches, and there was one."""
        self.holds = all(tally.holds for tally in self.tallies) and any(
            tally.matched for tally in self.tallies
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
        ("feature set", "rows computed", "written", "there already", "files"),
        [(name, *(f"{n:,}" for n in msgspec.structs.astuple(filled)))],
    )


def print_parity(found: ParityReport) -> None:
    """A line a place and set, and the first differences."""
    counts = ("matched", "mismatched", "missing", "extra", "behind", "repeated", "before")
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
    if not any(tally.matched for tally in found.tallies):
        sys.stdout.write("Nothing was compared: there are no rows on `features` yet.\n")
    elif found.holds:
        sys.stdout.write("Stream and history are equal.\n")
    else:
        sys.stdout.write("STREAM AND HISTORY DIFFER\n")


def _window(feature: Feature) -> str:
    if feature.window_bars:
        return f"{feature.window_bars} bars"
    return f"{feature.window_s} s" if feature.window_s else "last trade"
