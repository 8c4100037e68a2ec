"""`outcry history`: what people type."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from services.lake.places import Lake
    from services.tools.history.report import Report
    from services.tools.history.source import Asked
    from services.tools.stack.settings import StackSettings

PANEL: Final = "Flow"
_DAY: Final = ["%Y-%m-%d"]
_SECOND: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
_INTERRUPTED: Final = 130

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Files = Annotated[list[Path], typer.Argument(help="CSV (plain or gzipped) or Parquet.")]
OneTicker = Annotated[str | None, typer.Option("--ticker", help="Where no column tells it.")]
Zone = Annotated[
    str | None, typer.Option("--time-zone", help="Of times without an offset: America/New_York.")
]
Renames = Annotated[
    list[str] | None, typer.Option("--rename", help="A ticker's new name: OLD=NEW.")
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="A header that is not understood: NAME=HEADER.")
]
Units = Annotated[
    int, typer.Option("--units-per-dollar", help="1: dollars; 10000: integers of 1/10000 dollar.")
]

history_app = typer.Typer(no_args_is_help=True, help="Recorded trades, bars and order flow.")
ingest_app = typer.Typer(no_args_is_help=True, help="Take files into the lake; twice is once.")
history_app.add_typer(ingest_app, name="ingest")


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(history_app, name="history", rich_help_panel=PANEL)


@ingest_app.command()
def lobster(
    files: Annotated[list[Path], typer.Argument(help="Message files; orderbook files beside.")],
    *,
    ticker: OneTicker = None,
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=_DAY, help="The session's day, if not in the name."),
    ] = None,
    levels: Annotated[int | None, typer.Option(min=1, help="Levels a side of the window.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Over another session.")] = False,
    as_json: AsJson = False,
) -> None:
    """LOBSTER sessions: their order flow, and the trades that the matcher's core makes of it."""
    from services.tools.history.session import SessionAsked, ingest_session, pair_files

    asked = SessionAsked(ticker, day.date() if day else None, levels, replace)
    reports = []
    pairs = pair_files(files)
    with _open_lake() as lake, _progress("sessions") as (bar, task):
        for message, book in pairs:
            _begin(bar, task, message)
            report = ingest_session(
                lake, message, book, asked, lambda done, total: _show(bar, task, done, total)
            )
            reports.append(_kept(lake, report))
    _end(reports, as_json=as_json)


@ingest_app.command()
def trades(  # noqa: PLR0913 - a command line has as many options as it has
    files: Files,
    *,
    ticker: OneTicker = None,
    time_zone: Zone = None,
    rename: Renames = None,
    column: Columns = None,
    units_per_dollar: Units = 1,
    round_prices: Annotated[
        bool, typer.Option("--round-prices", help="Round what is finer than 1/10000 dollar.")
    ] = False,
    keep_equal: Annotated[
        bool, typer.Option("--keep-equal", help="Equal rows without ids are trades of their own.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Trade files: ticker, time, price, size; quotes, side, sequence and id if they are there."""
    from services.tools.history.source import Asked

    asked = Asked(
        ticker=ticker,
        time_zone=time_zone,
        renames=_pairs("--rename", rename),
        columns=_pairs("--column", column),
        units_per_dollar=_units(units_per_dollar),
        round_prices=round_prices,
        keep_equal=keep_equal,
    )
    _ingest(files, "trades", asked, as_json=as_json)


@ingest_app.command()
def bars(  # noqa: PLR0913 - a command line has as many options as it has
    files: Files,
    *,
    ticker: OneTicker = None,
    time_zone: Zone = None,
    rename: Renames = None,
    column: Columns = None,
    units_per_dollar: Units = 1,
    interval: Annotated[str, typer.Option(help="1d, 1m, or auto: by the times of day.")] = "auto",
    replace: Annotated[
        bool, typer.Option("--replace", help="What the file says counts more than the lake.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Daily or minute bars: open, high, low, close, volume; splits and dividends as given."""
    from services.tools.history.source import Asked

    if interval not in {"auto", "1d", "1m"}:
        raise typer.BadParameter(f"--interval {interval!r} is none of auto, 1d, 1m")
    asked = Asked(
        ticker=ticker,
        time_zone=time_zone,
        renames=_pairs("--rename", rename),
        columns=_pairs("--column", column),
        units_per_dollar=_units(units_per_dollar),
        interval=interval,
        replace=replace,
    )
    _ingest(files, "bars", asked, as_json=as_json)


@history_app.command()
def stream(
    *,
    ticker: Annotated[
        list[str] | None, typer.Option(help="Repeat for more; all the lake has unless given.")
    ] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="A day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="A day.")] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="So many times faster than it happened; 0: at once.")
    ] = 1.0,
    prefix: Annotated[
        str | None, typer.Option(help="Topic prefix; a stream that stopped goes on under its own.")
    ] = None,
    room: Annotated[
        list[str] | None, typer.Option(help="Also run this room on the stream's topics.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish the lake's trades as if live: orders, in event time, through rooms of their own."""
    from services.lake.places import Lake
    from services.tools.history.deployment import open_stream_deployment
    from services.tools.history.flow import Days, opening_mark
    from services.tools.history.present import print_streamed
    from services.tools.history.stream import stream as run_stream

    rooms = _rooms(room)
    settings = _settings()
    lake = Lake(settings.home)
    days = Days(_date(first), _date(last))
    tickers = [name.upper() for name in ticker] if ticker else lake.tickers("trades")
    if not tickers:
        raise typer.BadParameter("the lake has no trades: `outcry history ingest` brings some")
    marks = {name: opening_mark(lake, name, days) for name in sorted(set(tickers))}
    with (
        _progress("commands") as (bar, task),
        open_stream_deployment(settings, _prefix(prefix), marks, rooms) as place,
    ):
        streamed = run_stream(
            place, lake, list(marks), days, speed,
            lambda sent, reached: bar.update(task, completed=sent, description=reached),
        )  # fmt: skip
    print_streamed(streamed, as_json=as_json)
    raise typer.Exit(_INTERRUPTED if streamed.interrupted else 0 if streamed.holds else 1)


@history_app.command()
def simulate(
    file: Annotated[Path, typer.Argument(help="The trade file to write, NAME.csv.gz.")],
    *,
    seed: Annotated[
        int, typer.Option(min=0, help="The crowd's; the same again, the same file.")
    ] = 1,
    hours: Annotated[float, typer.Option(min=0, help="How long the crowd trades.")] = 1.0,
    rate: Annotated[float, typer.Option(min=0, help="Records a second of its time.")] = 50.0,
    first: Annotated[
        datetime, typer.Option("--from", formats=_SECOND, help="When it begins (UTC).")
    ] = datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
    as_json: AsJson = False,
) -> None:
    """Write a trade file that the crowd of `outcry simulate` makes in this process, at once.

    For whoever has no recorded trades: `outcry history ingest trades` takes the file.
    """
    from services.tools.history.present import print_made
    from services.tools.history.simulated import SimulatedHistory, write_history

    if not file.name.endswith(".csv.gz"):
        raise typer.BadParameter(f"{file}: the name of a trade file that is made ends in .csv.gz")
    asked = SimulatedHistory(seed, hours, rate, first.replace(tzinfo=UTC))
    with _progress(file.name) as (bar, task):
        made = write_history(file, asked, lambda done, total: _show(bar, task, done, total))
    print_made(file, made, as_json=as_json)


@history_app.command()
def quality(
    batch: Annotated[
        str | None, typer.Argument(help="One batch, by the begin of its name.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """The results of the checks on each file that was taken in."""
    from services.lake.places import Lake
    from services.tools.history.present import print_batch, print_batches
    from services.tools.history.quality import batches, find_batch

    lake = Lake(_settings().home)
    if batch is None:
        print_batches(batches(lake), as_json=as_json)
    else:
        print_batch(find_batch(lake, batch), as_json=as_json)


def _ingest(files: list[Path], kind: str, asked: "Asked", *, as_json: bool) -> None:
    from services.tools.history.ingest import ingest_file

    reports = []
    with _open_lake() as lake, _progress("bytes") as (bar, task):
        for path in files:
            _begin(bar, task, path)
            report = ingest_file(
                lake, path, kind, asked, lambda done, total: _show(bar, task, done, total)
            )
            reports.append(_kept(lake, report))
    _end(reports, as_json=as_json)


def _end(reports: "list[Report]", *, as_json: bool) -> None:
    """Print, and end with 1 if a file was refused or nothing was kept."""
    from services.tools.history.present import print_reports

    print_reports(reports, as_json=as_json)
    failed = any(report.error or not report.kept for report in reports)
    raise typer.Exit(1 if failed else 0)


def _kept(lake: "Lake", report: "Report") -> "Report":
    from services.tools.history.quality import keep

    keep(lake, report, datetime.now(UTC))
    return report


@contextmanager
def _open_lake() -> "Iterator[Lake]":
    """The lake of OUTCRY_HOME, with nobody else writing history into it."""
    from services.lake.lock import HISTORY, locked
    from services.lake.places import Lake
    from services.tools.history.ingest import sweep_history

    lake = Lake(_settings().home)
    with locked(lake, HISTORY):
        sweep_history(lake)
        yield lake


def _settings() -> "StackSettings":
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings)


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts or ():
        left, sign, right = text.partition("=")
        if not (left and sign and right):
            raise typer.BadParameter(f"{option} {text!r} is no pair like OLD=NEW")
        key = left.strip().upper() if option == "--rename" else left.strip()
        found[key] = right.strip().upper() if option == "--rename" else right.strip()
    return found


def _units(units_per_dollar: int) -> int:
    if units_per_dollar not in {1, 10_000}:
        raise typer.BadParameter("--units-per-dollar is 1 or 10000")
    return units_per_dollar


def _rooms(more: list[str] | None) -> tuple[str, ...]:
    """Those that a stream needs, and those that were asked for beside them."""
    from services.tools.history.deployment import STREAM_ROOMS
    from services.tools.stack.rooms import ROOM_NAMES

    asked = set(more or ())
    if unknown := asked - set(ROOM_NAMES):
        raise typer.BadParameter(f"--room {min(unknown)}: none of {', '.join(ROOM_NAMES)}")
    return (*STREAM_ROOMS, *sorted(asked - set(STREAM_ROOMS)))


def _prefix(asked: str | None) -> str:
    if asked is None:
        return f"history-{datetime.now(UTC):%Y%m%d%H%M%S}."
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,39}", asked):
        raise typer.BadParameter(
            f"--prefix {asked!r} is none: at most 40 of a-z, 0-9, dot and dash, like 'history-1.'"
        )
    return asked


def _date(given: datetime | None) -> date | None:
    return given.date() if given else None


@contextmanager
def _progress(what: str) -> "Iterator[tuple[Progress, TaskID]]":
    """A bar on standard error, where a terminal is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(what, total=None)


def _begin(bar: "Progress", task: "TaskID", path: Path) -> None:
    bar.update(task, description=path.name, completed=0, total=None)


def _show(bar: "Progress", task: "TaskID", done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)
