"""Days and minutes that are missing between a ticker's first and last row of a file.

A day is missing if another ticker of the file has rows on it. A file of one ticker tells no
calendar: then every weekday is expected, and public holidays are reported too.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from services.tools.history.merge import Workbench
from services.tools.history.report import EXAMPLES_MAX, Example, Report

_DAY_US: Final = 86_400_000_000
_MINUTE_US: Final = 60_000_000
_SATURDAY: Final = 5


def missing_days(days: dict[str, set[date]]) -> list[tuple[str, date]]:
    """Of each ticker, in order."""
    calendar = set().union(*days.values())
    found: list[tuple[str, date]] = []
    for ticker, own in sorted(days.items()):
        expected = calendar if len(days) > 1 else set(_weekdays(min(own), max(own)))
        found += [(ticker, day) for day in sorted(expected - own) if min(own) < day < max(own)]
    return found


def note_missing_days(bench: Workbench, report: Report) -> None:
    """Count them among the rows that were staged."""
    days: dict[str, set[date]] = {}
    for ticker, day in bench.days():
        days.setdefault(ticker, set()).add(day)
    missing = missing_days(days) if days else []
    examples = [Example(0, f"{ticker} {day}") for ticker, day in missing[:EXAMPLES_MAX]]
    report.note("missing_day", len(missing), examples)


def note_missing_minutes(bench: Workbench, report: Report) -> None:
    """Count them among the rows that were staged."""
    bench.sql.execute(
        "CREATE TEMP TABLE spans AS SELECT ticker, time_us // "
        f"{_DAY_US} AS day, min(time_us) AS first, max(time_us) AS last, count(DISTINCT time_us)"
        " AS own FROM staged GROUP BY 1, 2"
    )
    if bench.ask("SELECT count(DISTINCT ticker) FROM spans") > 1:
        expected = (
            "SELECT s.ticker, s.day, s.own, count(*) AS expected FROM spans s JOIN"
            f" (SELECT DISTINCT time_us, time_us // {_DAY_US} AS day FROM staged) c"
            " ON c.day = s.day AND c.time_us BETWEEN s.first AND s.last GROUP BY ALL"
        )
    else:
        expected = (
            f"SELECT ticker, day, own, (last - first) // {_MINUTE_US} + 1 AS expected FROM spans"
        )
    short = f"FROM ({expected}) WHERE expected > own"
    examples = bench.examples(
        f"SELECT 0, ticker || ' ' || make_timestamp(day * {_DAY_US})::DATE || ': '"
        f" || (expected - own) || ' minutes' {short} ORDER BY ticker, day"
    )
    report.note("missing_minute", bench.ask(f"SELECT sum(expected - own) {short}"), examples)


def _weekdays(first: date, last: date) -> Iterable[date]:
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if day.weekday() < _SATURDAY:
            yield day
