"""Files of trades and bars into the lake: each file is checked, staged, merged, or refused whole.

1. Read in chunks; ask the rules about one row; write what passes beside the lake.
2. Refuse the file if its times are of more than one zone, or of none: nothing is changed yet.
3. Join with what the lake holds of the same tickers and days; refuse and drop by the other rules.
4. Write each file of the lake that gains a row anew: whole, or not at all.

A crash between two files of 4 leaves a lake of which each file is whole; the same file again
completes it. Memory is bounded whatever the file's size; the disk holds it once more meanwhile.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.lake.errors import LakeError
from services.lake.files import FileWriter, open_file, sweep
from services.lake.places import Lake, day_of
from services.lake.schemas import BARS, ORIGIN_KEY, TIME, TRADES
from services.tools.history.checks import check_bars, check_trades
from services.tools.history.errors import HistoryError
from services.tools.history.gaps import note_missing_days, note_missing_minutes
from services.tools.history.merge import Workbench, merge_bars, merge_trades, note_order
from services.tools.history.report import Example, Report
from services.tools.history.source import Asked, Source, digest
from services.tools.history.times import Clock, spell_time

SESSION_ORIGIN: Final = b"session"
"""Of a day's trades: an order-flow session. Others come from trade files."""
FILE_ORIGIN: Final = b"files"

_DAY_US: Final = 86_400_000_000

type Progress = Callable[[int, int], None]
"""Takes bytes done and bytes in all."""


def ingest_file(
    lake: Lake, path: Path, kind: str, asked: Asked, progress: Progress = lambda _done, _all: None
) -> Report:
    """Take a file of `trades` or `bars` in. The caller holds the lake's lock of history.

    Raises:
        LakeError: the lake can't be read or written.
    """
    report = Report(file=path.name, kind=kind)
    try:
        source = Source(path, kind, asked)
        report.sha256 = digest(path)
        with workplace(lake) as folder:
            _take_in(lake, source, asked, report, folder, progress)
    except HistoryError as error:
        report.error = str(error)
        report.kept = report.new = report.known = 0
    except OSError as error:
        raise LakeError(
            f"{path.name} could not be staged in {lake.root} ({error.strerror or error}); nothing"
            " changed: see the disk"
        ) from error
    except duckdb.Error as error:
        cause = str(error).splitlines()[0][:200]
        raise LakeError(f"{path.name} could not be merged into {lake.root}: {cause}") from error
    return report


def sweep_history(lake: Lake) -> int:
    """Remove what a run that died left unfinished; how many files. Only under the lock."""
    return sum(sweep(lake.root / dataset) for dataset in ("trades", "orders", "bars", "quality"))


def _take_in(
    lake: Lake, source: Source, asked: Asked, report: Report, folder: Path, progress: Progress
) -> None:
    clock = Clock(asked.time_zone)
    rows_file = folder / "rows.parquet"
    is_daily = _stage(source, asked, clock, report, rows_file, progress)
    if not rows_file.exists():
        return
    if report.kind == "bars":
        report.interval = "1d" if is_daily else "1m"
    if not is_daily:
        _refuse_mixture(source.path, clock)
    bench = Workbench(folder)
    try:
        bench.stage(rows_file, is_daily=is_daily)
        note_order(bench, report)
        note_missing_days(bench, report)
        if report.kind == "trades":
            held, session_days = _held_trades(lake, bench)
            merge_trades(bench, held, session_days, report, keep_equal=asked.keep_equal)
        else:
            if not is_daily:
                note_missing_minutes(bench, report)
            merge_bars(bench, _held_bars(lake, bench, report.interval), report,
                       replace=asked.replace)  # fmt: skip
        _tell_span(bench, report)
        _write(lake, bench, report)
    finally:
        bench.close()


def _stage(
    source: Source, asked: Asked, clock: Clock, report: Report, rows_file: Path, progress: Progress
) -> bool:
    """Write the rows that pass beside the lake; whether all of them are bars of whole days."""
    check = check_trades if report.kind == "trades" else check_bars
    is_daily = report.kind == "bars" and asked.interval != "1m"
    writer: pq.ParquetWriter | None = None
    try:
        for chunk in source.chunks():
            _note_malformed(source, report)
            report.rows_read += len(chunk.rows)
            rows = check(chunk, asked, clock, report)
            if is_daily and asked.interval == "auto" and rows.num_rows:
                rest = pc.subtract(
                    rows["written_us"],
                    pc.multiply(pc.divide(rows["written_us"], _DAY_US), _DAY_US),
                )
                is_daily = not pc.any(pc.not_equal(rest, 0)).as_py()
            if writer is None:
                writer = pq.ParquetWriter(rows_file, rows.schema, compression="lz4")
            writer.write_table(rows)
            progress(source.bytes_done, source.bytes_total)
        _note_malformed(source, report)
    finally:
        if writer is not None:
            writer.close()
    return is_daily


def _note_malformed(source: Source, report: Report) -> None:
    report.rows_read += len(source.malformed)
    examples = [Example(line, text) for line, text in source.malformed]
    report.note("columns", len(examples), examples)
    source.malformed.clear()


def _refuse_mixture(path: Path, clock: Clock) -> None:
    mixture = clock.find_mixture()
    if mixture is not None:
        raise HistoryError(
            f"{path.name} has {mixture}: split it by zone, or give --time-zone if all are of one"
        )
    if clock.lacks_zone:
        raise HistoryError(
            f"{path.name} has times without an offset: say of which zone with --time-zone, like"
            " America/New_York or UTC"
        )


def _held_trades(lake: Lake, bench: Workbench) -> tuple[list[Path], list[tuple[str, date]]]:
    """The lake's files of the staged days, and the days that an order-flow session has."""
    held: list[Path] = []
    session_days: list[tuple[str, date]] = []
    for ticker, day in bench.days():
        path = lake.trades(ticker, day)
        if not path.exists():
            continue
        with open_file(path, "trades") as file:
            origin = (file.schema_arrow.metadata or {}).get(ORIGIN_KEY)
        if origin == SESSION_ORIGIN:
            session_days.append((ticker, day))
        else:
            held.append(path)
    return held, session_days


def _held_bars(lake: Lake, bench: Workbench, interval: str) -> list[Path]:
    paths = [lake.bars(interval, ticker, year) for ticker, year in bench.years()]
    held = [path for path in paths if path.exists()]
    for path in held:
        open_file(path, "bars").close()
    return held


def _tell_span(bench: Workbench, report: Report) -> None:
    ((first, last),) = bench.sql.execute(
        "SELECT min(time_us), max(time_us) FROM ranked WHERE NOT in_lake"
    ).fetchall()
    if first is not None:
        report.first_time, report.last_time = spell_time(first), spell_time(last)


def _write(lake: Lake, bench: Workbench, report: Report) -> None:
    """Each file that gains a row, in order of ticker and time."""
    is_bars = report.kind == "bars"
    schema = BARS if is_bars else TRADES
    writer: FileWriter | None = None
    place: Path | None = None
    done: set[Path] = set()
    try:
        for batch in bench.kept():
            table = pa.Table.from_batches([batch]).rename_columns(
                ["time" if name == "time_us" else name for name in batch.schema.names]
            )
            for path, rows in _by_place(lake, table, report.interval, is_bars=is_bars):
                if path != place:
                    assert path not in done, f"rows of {path} came apart"
                    done.add(path)
                    if writer is not None:
                        report.files_written += writer.finish()
                    metadata = {} if is_bars else {ORIGIN_KEY: FILE_ORIGIN}
                    writer, place = FileWriter(path, schema, metadata), path
                assert writer is not None
                time = rows["time"].cast(pa.timestamp("us")).cast(TIME)
                at = rows.schema.get_field_index("time")
                writer.write(rows.set_column(at, "time", time))
        if writer is not None:
            report.files_written += writer.finish()
            writer = None
    finally:
        if writer is not None:
            writer.give_up()


def _by_place(
    lake: Lake, table: "pa.Table", interval: str, *, is_bars: bool
) -> "Iterator[tuple[Path, pa.Table]]":
    """The runs of rows that belong into one file."""
    days = pc.divide(table["time"], _DAY_US).to_pylist() if table.num_rows else []
    tickers = table["ticker"].combine_chunks().dictionary_encode()
    coded, names = tickers.indices.to_pylist(), tickers.dictionary.to_pylist()
    start = 0
    while start < len(days):
        end = start + 1
        path = _path_of(lake, names[coded[start]], days[start], interval, is_bars=is_bars)
        while end < len(days) and (
            (coded[end], days[end]) == (coded[start], days[start])
            or _path_of(lake, names[coded[end]], days[end], interval, is_bars=is_bars) == path
        ):
            end += 1
        yield path, table.slice(start, end - start)
        start = end


def _path_of(lake: Lake, ticker: str, day: int, interval: str, *, is_bars: bool) -> Path:
    when = day_of(day * _DAY_US)
    return lake.bars(interval, ticker, when.year) if is_bars else lake.trades(ticker, when)


@contextmanager
def workplace(lake: Lake) -> Iterator[Path]:
    """An empty folder beside the lake's own, which goes whatever happens."""
    folder = lake.root / ".staging"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise LakeError(f"{folder} can't be made ({error.strerror}); see OUTCRY_HOME") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
