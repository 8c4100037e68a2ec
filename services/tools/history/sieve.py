"""Rows of one chunk on their way through the rules: the first rule that refuses a row counts."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.lake.places import TICKER_PATTERN
from services.tools.history.report import EXAMPLES_MAX, Example, Report
from services.tools.history.source import Asked, Chunk
from services.tools.history.times import Clock, Times
from services.tools.history.values import parse_prices

NULL_INT: Final = pa.scalar(None, pa.int64())


class Sieve:
    """One chunk. Ask the rules in their order, then take what passed."""

    def __init__(self, chunk: Chunk, report: Report) -> None:
        self.rows: Final = chunk.rows
        self.columns: Final = chunk.columns
        self._report = report
        self._passes = pa.array([True] * len(chunk.rows))
        self._repairs: list[tuple[str, pa.Array, pa.Array]] = []

    def text(self, name: str) -> "pa.Array":
        """A column, or missing values where the file has none."""
        found = self.columns.get(name)
        return pa.nulls(len(self.rows), pa.string()) if found is None else found

    def refuse(self, rule: str, faulty: "pa.Array", shown: "pa.Array") -> None:
        """Take out what this is true of; null counts as true."""
        hit = pc.and_(self._passes, faulty.fill_null(True))
        self._note(rule, hit, shown)
        self._passes = pc.and_not(self._passes, hit)

    def repair(self, rule: str, repaired: "pa.Array", shown: "pa.Array") -> None:
        """Count what this is true of, among the rows that pass in the end."""
        self._repairs.append((rule, repaired.fill_null(False), shown))

    def taken(self, columns: "dict[str, pa.Array]") -> "pa.Table":
        """The rows that passed, with their numbers."""
        for rule, repaired, shown in self._repairs:
            self._note(rule, pc.and_(self._passes, repaired), shown)
        return pa.table({"line": self.rows, **columns}).filter(self._passes)

    def _note(self, rule: str, hit: "pa.Array", shown: "pa.Array") -> None:
        count = pc.sum(hit).as_py() or 0
        if not count:
            return
        at = pc.indices_nonzero(hit).slice(0, EXAMPLES_MAX)
        examples = [
            Example(row, str(text)[:80])
            for row, text in zip(
                self.rows.take(at).to_pylist(), shown.take(at).to_pylist(), strict=True
            )
        ]
        self._report.note(rule, count, examples)


def read_tickers(sieve: Sieve, asked: Asked) -> "pa.Array":
    """The tickers, renamed; refuses what is none."""
    if asked.ticker is not None and "ticker" not in sieve.columns:
        text = pa.array([asked.ticker] * len(sieve.rows), pa.string())
    else:
        text = sieve.text("ticker")
    coded = pc.utf8_upper(pc.utf8_trim_whitespace(text)).dictionary_encode()
    names = [asked.renames.get(name, name) for name in coded.dictionary.to_pylist()]
    tickers = pa.array(names, pa.string()).take(coded.indices)
    fits = pc.match_substring_regex(tickers, f"^{TICKER_PATTERN}$")
    sieve.refuse("bad_ticker", pc.invert(fits), text)
    return tickers


def read_times(sieve: Sieve, clock: Clock) -> Times:
    """The times; refuses what is none."""
    if "date" in sieve.columns and "time" in sieve.columns:
        text = pc.binary_join_element_wise(sieve.text("date"), sieve.text("time"), " ")
    else:
        text = sieve.text("time" if "time" in sieve.columns else "date")
    times = clock.read(text, sieve.rows)
    sieve.refuse("bad_time", pc.is_null(times.time_us), text)
    sieve.repair("time_cut", times.is_cut, text)
    return times


def read_price(sieve: Sieve, name: str, asked: Asked, *, rounds: bool) -> "pa.Array":
    """A price that every row must have; refuses what is none."""
    text = sieve.text(name)
    prices = parse_prices(text, asked.units_per_dollar)
    sieve.refuse("bad_price", pc.is_null(prices.values), text)
    if rounds:
        sieve.repair("price_rounded", prices.finer, text)
    else:
        sieve.refuse("price_too_fine", prices.finer, text)
    sieve.refuse("price_not_positive", pc.less_equal(prices.values, 0), text)
    return prices.values
