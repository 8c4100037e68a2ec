"""Staged rows and what the lake holds, together, each once, in order. In DuckDB, memory bounded.

Two rows are one trade if they have one id on one day or, without ids, are equal in time, price,
size and side (and, where equal rows are trades of their own, are the n-th such of their file). Two
rows are one bar if they have one ticker and time. What the lake holds comes first.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from services.tools.history.report import EXAMPLES_MAX, Example, Report

MEMORY_LIMIT: Final = "400MB"
BATCH_ROWS: Final = 65_536

_DAY_US: Final = 86_400_000_000
_EPOCH: Final = date(1970, 1, 1)

_TRADES: Final = (
    "ticker, time_us, sequence, price, quantity, aggressor_side, bid, bid_quantity, ask,"
    " ask_quantity, trade_id"
)
_BARS: Final = (
    "ticker, time_us, open, high, low, close, volume, adjusted_close, dividend, split_to,"
    " split_from"
)
_BAR_FACTS: Final = "open, high, low, close, volume, dividend, split_to, split_from"
_DAY: Final = f"time_us // {_DAY_US}"
_YEAR: Final = "year(make_timestamp(time_us))"


class Workbench:
    """A DuckDB database in an empty folder, where also lies what does not fit into memory."""

    def __init__(self, folder: Path) -> None:
        self.sql = duckdb.connect(
            str(folder / "work.duckdb"),
            config={
                "memory_limit": MEMORY_LIMIT,
                "threads": 2,
                "temp_directory": str(folder / "spilled"),
            },
        )

    def close(self) -> None:
        """Let go of the database."""
        self.sql.close()

    def stage(self, rows_file: Path, *, is_daily: bool) -> None:
        """The rows that passed the rules about one row, as `staged`; none is refused yet.

        The time of a daily bar is its date as it was written, whatever the offset.
        """
        rows = self.sql.read_parquet(str(rows_file))
        if is_daily:
            day = f"written_us - (written_us % {_DAY_US} + {_DAY_US}) % {_DAY_US}"
            rows = rows.project(f"* REPLACE ({day} AS time_us)")
        rows.create_view("staged")
        self.sql.execute("CREATE TEMP TABLE refused (line BIGINT, rule VARCHAR)")

    def ask(self, query: str) -> int:
        """A single number."""
        ((found,),) = self.sql.execute(query).fetchall()
        return int(found or 0)

    def examples(self, query: str) -> list[Example]:
        """Pairs of line and text."""
        found = self.sql.execute(f"{query} LIMIT {EXAMPLES_MAX}").fetchall()
        return [Example(int(line), str(text)) for line, text in found]

    def days(self) -> list[tuple[str, date]]:
        """Ticker and day of all that is staged."""
        found = self.sql.execute(f"SELECT DISTINCT ticker, {_DAY} FROM staged ORDER BY ALL")
        return [(ticker, _EPOCH + timedelta(days=day)) for ticker, day in found.fetchall()]

    def years(self) -> list[tuple[str, int]]:
        """Ticker and year of all that is staged."""
        found = self.sql.execute(f"SELECT DISTINCT ticker, {_YEAR} FROM staged ORDER BY ALL")
        return [(ticker, int(year)) for ticker, year in found.fetchall()]

    def kept(self) -> "Iterator[pa.RecordBatch]":
        """All rows of every file that gains any, in order, as the lake has them."""
        yield from self.sql.sql("SELECT * FROM kept ORDER BY ALL").to_arrow_reader(BATCH_ROWS)


def note_order(bench: Workbench, report: Report) -> None:
    """Count rows that are earlier than the one before them of their ticker."""
    bench.sql.execute(
        "CREATE TEMP TABLE late AS SELECT line, time_us FROM (SELECT line, time_us, lag(time_us)"
        " OVER (PARTITION BY ticker ORDER BY line) AS before FROM staged) WHERE time_us < before"
    )
    examples = bench.examples("SELECT line, make_timestamp(time_us) FROM late ORDER BY line")
    report.note("out_of_order", bench.ask("SELECT count(*) FROM late"), examples)
    bench.sql.execute("DROP TABLE late")


def merge_trades(
    bench: Workbench,
    held: list[Path],
    session_days: list[tuple[str, date]],
    report: Report,
    *,
    keep_equal: bool,
) -> None:
    """Every trade of the staged tickers and days, each once; the report says what each row was.

    `held` are the lake's files of those tickers and days; `session_days` take none from files.
    """
    bench.sql.execute("CREATE TEMP TABLE closed (ticker VARCHAR, day BIGINT)")
    for ticker, day in session_days:
        bench.sql.execute("INSERT INTO closed VALUES (?, ?)", [ticker, (day - _EPOCH).days])
    if session_days:
        is_closed = f"(ticker, {_DAY}) IN (SELECT (ticker, day) FROM closed)"
        _refuse(bench, report, "day_has_session", is_closed)
    tie = "row_number() OVER (PARTITION BY ticker, time_us ORDER BY line) - 1"
    bench.sql.execute(
        f"CREATE TEMP TABLE pooled AS SELECT {_TRADES}, line, false AS in_lake FROM (SELECT *,"
        f" coalesce(given_sequence, {tie}) AS sequence FROM staged ANTI JOIN refused USING (line))"
    )
    if held:
        _view_held(bench, held)
        columns = _TRADES.replace("time_us", "epoch_us(time)")
        bench.sql.execute(f"INSERT INTO pooled SELECT {columns}, -1, true FROM held")
    if bench.ask("SELECT count(trade_id) FROM pooled"):
        torn = (
            f"SELECT (ticker, {_DAY}, trade_id) FROM pooled WHERE trade_id IS NOT NULL GROUP BY"
            f" ticker, {_DAY}, trade_id HAVING count(DISTINCT (time_us, price, quantity)) > 1"
        )
        _refuse(bench, report, "id_conflict", f"(ticker, {_DAY}, trade_id) IN ({torn})")
    equal = "ticker, time_us, price, quantity, aggressor_side"
    nth = f"row_number() OVER (PARTITION BY in_lake, {equal} ORDER BY sequence, line)"
    bench.sql.execute(
        f"CREATE TEMP VIEW counted AS SELECT *, {nth if keep_equal else 1} AS nth"
        " FROM pooled ANTI JOIN refused USING (line)"
    )
    parts = [
        f"CASE WHEN trade_id IS NULL THEN {c} END"
        for c in ("time_us", "price", "quantity", "aggressor_side", "nth")
    ]
    _rank(bench, ", ".join(["ticker", _DAY, "trade_id", *parts]), lake_first=True)
    _tell(bench, report, lake_first=True)
    _keep(bench, _TRADES, _DAY)


def merge_bars(bench: Workbench, held: list[Path], report: Report, *, replace: bool) -> None:
    """Every bar of the staged tickers and years, each once; the report says what each row was.

    `held` are the lake's files of those tickers and years. With `replace` the file's values count
    more than theirs.
    """
    torn = (
        "SELECT (ticker, time_us) FROM {} GROUP BY ticker, time_us"
        f" HAVING count(DISTINCT ({_BAR_FACTS})) > 1"
    )
    in_file = f"(ticker, time_us) IN ({torn.format('staged')})"
    _refuse(bench, report, "conflict_in_file", in_file)
    bench.sql.execute(
        f"CREATE TEMP TABLE pooled AS SELECT {_BARS}, line, false AS in_lake"
        " FROM staged ANTI JOIN refused USING (line)"
    )
    if held:
        _view_held(bench, held)
        columns = _BARS.replace("time_us", "epoch_us(time)")
        bench.sql.execute(f"INSERT INTO pooled SELECT {columns}, -1, true FROM held")
        if not replace:
            with_lake = f"(ticker, time_us) IN ({torn.format('pooled')})"
            _refuse(bench, report, "conflict_with_lake", with_lake)
    bench.sql.execute(
        "CREATE TEMP VIEW counted AS SELECT * FROM pooled ANTI JOIN refused USING (line)"
    )
    _rank(bench, "ticker, time_us", lake_first=not replace)
    _tell(bench, report, lake_first=not replace)
    _keep(bench, _BARS, _YEAR)


def _view_held(bench: Workbench, held: list[Path]) -> None:
    relation = bench.sql.read_parquet([str(path) for path in held], hive_partitioning=False)
    relation.create_view("held")


def _refuse(bench: Workbench, report: Report, rule: str, condition: str) -> None:
    """Take staged rows out and count them."""
    bench.sql.execute(
        f"INSERT INTO refused SELECT line, '{rule}' FROM staged ANTI JOIN refused USING (line)"
        f" WHERE {condition}"
    )
    found = f"FROM refused JOIN staged USING (line) WHERE rule = '{rule}'"
    examples = bench.examples(
        f"SELECT line, ticker || ' ' || make_timestamp(time_us) {found} ORDER BY line"
    )
    report.note(rule, bench.ask(f"SELECT count(*) {found}"), examples)


def _rank(bench: Workbench, key: str, *, lake_first: bool) -> None:
    """Number the rows of one key: the first one counts."""
    order = "in_lake DESC" if lake_first else "in_lake ASC"
    bench.sql.execute(
        "CREATE TEMP TABLE ranked AS SELECT *, row_number() OVER one AS place,"
        " bool_or(in_lake) OVER (one ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
        f" AS is_known FROM counted WINDOW one AS (PARTITION BY {key} ORDER BY {order}, line)"
    )
    bench.sql.execute("DROP VIEW counted")
    bench.sql.execute("DROP TABLE pooled")


def _tell(bench: Workbench, report: Report, *, lake_first: bool) -> None:
    """Count the file's rows as new, known and repeated."""
    in_file = "place - is_known::INTEGER" if lake_first else "place"
    again = f"NOT in_lake AND {in_file} > 1"
    report.note(
        "repetition",
        bench.ask(f"SELECT count(*) FROM ranked WHERE {again}"),
        bench.examples(
            "SELECT line, ticker || ' ' || make_timestamp(time_us) FROM ranked"
            f" WHERE {again} ORDER BY line"
        ),
    )
    once = f"FROM ranked WHERE NOT in_lake AND {in_file} = 1"
    report.new = bench.ask(f"SELECT count(*) {once} AND NOT is_known")
    report.known = bench.ask(f"SELECT count(*) {once} AND is_known")
    report.kept = report.new + report.known
    by_ticker = bench.sql.execute(f"SELECT ticker, count(*) {once} GROUP BY 1 ORDER BY 1")
    report.tickers = {ticker: int(count) for ticker, count in by_ticker.fetchall()}


def _keep(bench: Workbench, columns: str, part: str) -> None:
    """`kept`: all rows of each file of the lake that gains a row."""
    bench.sql.execute(
        f"CREATE TEMP VIEW kept AS SELECT {columns} FROM ranked WHERE place = 1 AND (ticker,"
        f" {part}) IN (SELECT DISTINCT (ticker, {part}) FROM ranked WHERE place = 1 AND"
        " NOT in_lake)"
    )
