"""Statements and their labels against their definition, record by record."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.drift.core import predicted, truths
from services.drift.core.predicted import Statements
from services.models.manifest import LabelRule
from tests.support.made_datasets import planted_bug
from tests.support.spoken import (
    CERTAIN,
    MODEL,
    TICKERS,
    Row,
    Said,
    at_us,
    file_of,
    market,
    predictions,
    window,
)

BEGIN, END = 2, 9
RULE = LabelRule(3, 1)

type Key = tuple[str, int, int]

saids = st.builds(
    Said,
    ticker=st.integers(0, 1),
    second=st.integers(0, 11),
    said=st.integers(0, 2),
    version=st.integers(1, 2),
    is_shadow=st.booleans(),
    probabilities=st.sampled_from([None, None, None, (0.4, 0.3, 0.3), (0.5, 0.5, 0.5)]),
    served_at=st.integers(0, 3),
    sha=st.sampled_from([None, None, "f" * 64]),
    model=st.sampled_from([MODEL, MODEL, MODEL, "direction_30s"]),
)
logs = st.lists(saids, max_size=25)
keys = st.tuples(st.integers(0, 1), st.integers(0, 14))
facts = st.tuples(st.one_of(st.none(), st.integers(1, 6)), st.booleans())
markets = st.dictionaries(keys, facts, max_size=25).map(
    lambda found: [
        Row(ticker, second, mid, is_defined=is_defined)
        for (ticker, second), (mid, is_defined) in found.items()
    ]
)


def is_sound(record: Said) -> bool:
    said = record.probabilities or CERTAIN[record.said]
    return abs(sum(said) - 1) < 1e-5 and record.said == said.index(max(said))


def plainly(log: list[Said]) -> tuple[dict[Key, tuple[bool, int, str]], Counter[str]]:
    """By the definition: served or not, class and file of each statement; and the counts."""
    counts: Counter[str] = Counter()
    groups: dict[Key, list[Said]] = {}
    for record in log:
        if record.model != MODEL:
            counts["other_model"] += 1
        elif not BEGIN <= record.second < END:
            counts["outside"] += 1
        elif not is_sound(record):
            counts["damaged"] += 1
        else:
            key = TICKERS[record.ticker], at_us(record.second), record.version
            groups.setdefault(key, []).append(record)
    found = {}
    for key, group in groups.items():
        files = [one.sha or file_of(one.version) for one in group]
        told = {
            (one.said, one.probabilities or CERTAIN[one.said], file)
            for one, file in zip(group, files, strict=True)
        }
        if len(told) > 1:
            counts["conflicting"] += 1
            continue
        counts["repeated"] += len(group) - 1
        found[key] = not all(one.is_shadow for one in group), group[0].said, files[0]
    return found, counts


def wrong_statements(log: list[Said]) -> str | None:
    """Where they are not the plain ones."""
    made = predicted.once(predictions(log), MODEL, window(BEGIN, END))
    found = {
        (made.tickers[made.ticker[n]], int(made.grid_time_us[n]), int(made.version[n])): (
            bool(made.is_served[n]),
            int(made.said[n]),
            made.shas[made.sha[n]],
        )
        for n in range(len(made))
    }
    expected, counts = plainly(log)
    if len(found) != len(made) or found != expected:
        return f"{found} is not {expected}"
    said = {name: count for name, count in made.counts.items() if count}
    return None if said == +counts else f"{said} is not {dict(counts)}"


def wrong_labels(log: list[Said], rows: list[Row]) -> str | None:
    """Where they are not the plain ones."""
    made: Statements = predicted.once(predictions(log), MODEL, window(BEGIN, END))
    found = truths.joined(made, market(rows), RULE)
    there = {(TICKERS[row.ticker], at_us(row.second)): row for row in rows}
    for n in range(len(made)):
        at = made.tickers[made.ticker[n]], int(made.grid_time_us[n])
        reason, label, move = plain_label(there, *at)
        said = truths.JOINED[found.reason[n]], int(found.label[n]), int(found.move[n])
        if said[0] != reason or (reason == "judged" and said != (reason, label, move)):
            return f"{at}: {said} is not {reason}, {label}, {move}"
    return None


def plain_label(
    there: dict[tuple[str, int], Row], ticker: str, time_us: int
) -> tuple[str, int, int]:
    then_us = time_us + RULE.horizon_s * 1_000_000
    row, later = there.get((ticker, time_us)), there.get((ticker, then_us))
    if row is None:
        return "no_row", 0, 0
    if not row.is_defined:
        return "null_input", 0, 0
    if row.mid is None:
        return "no_mid", 0, 0
    if then_us > max(at_us for name, at_us in there if name == ticker):
        return "horizon_not_passed", 0, 0
    if later is None:
        return "silent_at_horizon", 0, 0
    if later.mid is None:
        return "no_mid_at_horizon", 0, 0
    move = later.mid - row.mid
    return "judged", (2 if move > RULE.threshold else 0 if move < -RULE.threshold else 1), move


@given(logs)
def test_each_statement_counts_once_whatever_the_log_repeats(log: list[Said]) -> None:
    assert wrong_statements(log) is None


@given(logs, markets)
def test_each_label_is_that_of_the_row_exactly_one_horizon_later(
    log: list[Said], rows: list[Row]
) -> None:
    assert wrong_labels(log, rows) is None


TELLING = [Said(t, s, (s + t) % 3, version=v) for t in range(2) for s in range(12) for v in (1, 2)]
TELLING += [Said(0, 4, 1, is_shadow=True), Said(0, 5, 2, is_shadow=True), Said(1, 5, 0)]
TELLING += [Said(0, 6, 0, sha="f" * 64), Said(1, 7, 2, probabilities=(0.5, 0.5, 0.5))]
TELLING += [Said(1, 3, 1, version=3, is_shadow=True), Said(1, 3, 1, version=3, served_at=1)]
SEEN = [Row(t, s, 1 + (s * s + t) % 5) for t in range(2) for s in range(13) if s not in (4, 7)]
SEEN += [Row(0, 13, None)]


@pytest.mark.parametrize(
    "was,planted",
    [
        ("kept = leader[~conflicting]", "kept = rows[~conflicting[group]]"),
        ("given.grid_time_us < window.end_us", "given.grid_time_us <= window.end_us"),
        ("given.grid_time_us >= window.begin_us", "given.grid_time_us > window.begin_us"),
        ("            given.is_shadow[rows],\n", ""),
        ("conflicting[group[differs]] = True", "pass"),
        (
            "_groups(given.ticker[rows], given.grid_time_us[rows], given.version[rows])",
            "_groups(given.ticker[rows], given.grid_time_us[rows])",
        ),
        ("is_sound &= given.said == np.argmax(known, axis=1)", "pass"),
        ("~given.is_shadow[kept]", "given.is_shadow[kept]"),
    ],
    ids=str,
)
def test_a_planted_bug_in_what_was_said_is_found(was: str, planted: str) -> None:
    log = [*TELLING, Said(0, 8, 0, version=4, is_shadow=True), Said(0, 8, 1, 5, False, CERTAIN[0])]
    assert wrong_statements(log) is None
    with planted_bug(predicted, was, planted):
        found = wrong_statements(log)
    assert found is not None


@pytest.mark.parametrize(
    "was,planted",
    [
        # The next row of the ticker stands in for the one that is not there.
        ("(ordered[at] == wanted) & (ticker >= 0)", "(ordered[at] >= wanted) & (ticker >= 0)"),
        ("np.searchsorted(ordered, wanted)", "np.searchsorted(ordered, wanted + 1)"),
        ("rule.horizon_s,", "rule.horizon_s + 1,"),
        ("rule.threshold,", "0,"),
        ("np.where(is_there, reason, _NO_ROW)", "reason"),
        ("np.where(market.is_defined[row], reason, _NULL_INPUT)", "reason"),
        ("span = times.max() - first + 1", "span = 1"),
        ("labels.move[row]", "labels.move[found_at]"),
    ],
    ids=str,
)
def test_a_planted_bug_in_what_came_is_found(was: str, planted: str) -> None:
    rows = [row._replace(is_defined=row.second != 6) for row in SEEN]
    assert wrong_labels(TELLING, rows) is None
    planted = planted.replace("found_at", "np.arange(len(row)) % len(labels.move)")
    with planted_bug(truths, was, planted):
        found = _found(rows)
    assert found is not None


def _found(rows: list[Row]) -> str | None:
    """What is wrong; a broken invariant is found as well."""
    try:
        return wrong_labels(TELLING, rows)
    except AssertionError as error:
        return f"stopped: {error}"


def test_a_market_without_rows_has_no_labels() -> None:
    made = predicted.once(predictions(TELLING), MODEL, window(BEGIN, END))
    found = truths.joined(made, market([]), RULE)
    assert {truths.JOINED[reason] for reason in found.reason} == {"no_row"}


def test_tickers_may_stand_in_another_order_in_the_lake() -> None:
    made = predicted.once(predictions([Said(0, 3, 2), Said(1, 3, 0)]), MODEL, window(BEGIN, END))
    turned = [Row(0, s, 10 - s) for s in range(9)] + [Row(1, s, 10 + s) for s in range(9)]
    found = truths.joined(made, market(turned, ("MSFT", "AAPL")), RULE)
    assert np.array_equal(found.move, [3, -3])
