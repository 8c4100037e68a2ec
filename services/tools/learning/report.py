"""A data set as people read it."""

import sys
from collections.abc import Iterable, Sequence

import numpy as np

from services.tools.operate.present import print_table
from services.trainer.describe import Description, Part


def print_description(found: Description) -> None:
    """What it is, what is left out, by ticker, by column, by fold, and the leak checks."""
    _print_block(
        ("data set", ""),
        [
            ("feature set", found.feature_set),
            ("fingerprint", found.fingerprint),
            ("content sha256", found.sha256),
            ("label", f"mid after {found.horizon_s} s, threshold {found.threshold}/20000 dollar"),
            ("rows", f"{found.whole.rows:,} of {found.rows_read:,} read"),
            *(("left out", f"{n:,} {reason}") for reason, n in found.left_out.items() if n),
            ("other fingerprint", f"{found.other_fingerprint:,} rows, not read"),
            ("duplicates", f"{found.duplicates:,} rows, taken once"),
        ],
    )
    parts = ("rows", "first row (UTC)", "last row (UTC)", *found.whole.classes)
    _print_block(("ticker", *parts), [_cells(part) for part in (*found.tickers, found.whole)])
    _print_block(
        ("input", "nulls", "of rows", "alone"),
        [
            (
                column.name,
                f"{column.nulls:,}",
                f"{column.nulls / max(found.rows_read, 1):.2%}",
                "" if column.alone is None else f"{column.alone:.3f}",
            )
            for column in found.columns
        ],
    )
    _print_block(
        ("fold", "segment", *parts, "gap before"),
        [
            (fold.number, *_cells(part), gap)
            for fold in found.folds
            for part, gap in zip(
                fold.segments, ("", *(f"{gap:g} s" for gap in fold.gaps_s)), strict=True
            )
        ],
    )
    _print_block(
        ("leak check", "outcome", "finding"),
        [(check.name, check.outcome.upper(), check.detail) for check in found.checks],
    )
    if not found.holds:
        sys.stdout.write("THE DATA SET LEAKS: nothing may be trained on it\n")
    elif any(check.outcome != "passed" for check in found.checks):
        sys.stdout.write("No check failed, and not everything could be checked.\n")
    else:
        sys.stdout.write("Every leak check passed.\n")


def _print_block(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print_table(columns, rows)
    sys.stdout.write("\n")


def _cells(part: Part) -> tuple[object, ...]:
    shares = (f"{count / max(part.rows, 1):.1%}" for count in part.classes.values())
    return (part.name, f"{part.rows:,}", _utc(part.first_us), _utc(part.last_us), *shares)


def _utc(time_us: int | None) -> str:
    return "" if time_us is None else str(np.datetime64(time_us // 1_000_000, "s"))
