"""`outcry soak` and `outcry load`: load for hours, and load as from outside."""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.tools.soak.run import SoakReport


def register(app: typer.Typer) -> None:
    """Add them to the command line."""
    app.command(rich_help_panel="Look inside")(load)
    app.command(rich_help_panel="Look inside")(soak)


def results_folder(results: Path | None, name: str) -> Path:
    """Where a run's files go: what was asked for, or a new one in `results/`."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder = results if results is not None else Path("results") / f"{name}-{stamp}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def load(
    scenario: Annotated[str, typer.Argument(help="rest, websocket, mixed, ml; or orders.")],
    *,
    users: Annotated[int, typer.Option(min=1, help="Of locust's.")] = 20,
    rate: Annotated[
        list[float] | None,
        typer.Option(min=0.1, help="Questions a second in all; `orders` takes several. [50]"),
    ] = None,
    duration: Annotated[float, typer.Option(min=1, help="Seconds; of each rate.")] = 60.0,
    own: Annotated[
        bool, typer.Option("--own", help="Start a stack for it, and stop it afterwards.")
    ] = False,
    results: Annotated[Path | None, typer.Option(help="Folder for tables and pages.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Load the running stack's gateway from outside; exit code 1 if a question failed."""
    from rich.console import Console

    from services.tools.operate.present import print_json, print_table
    from services.tools.soak.load_run import HEADS, OPEN_LOOP, SCENARIOS, cells
    from services.tools.soak.load_target import load_target

    if scenario not in (*SCENARIOS, OPEN_LOOP):
        raise typer.BadParameter(
            f"there is no {scenario}; there are {', '.join(SCENARIOS)}, orders"
        )
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    folder = results_folder(results, f"load-{scenario}")
    rows = load_target(
        scenario, users, tuple(rate or (50.0,)), duration, folder, own=own,
        say=lambda line: console.print(line, markup=False),
    )  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table(HEADS, [cells(row) for row in rows])
    console.print(f"Tables, pages and pictures are in {folder}", markup=False)
    raise typer.Exit(1 if any(row.failed for row in rows) else 0)


def soak(
    *,
    hours: Annotated[float, typer.Option(min=0.01, max=168, help="How long.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Of the crowd and of the moments of the kills.")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="Commands of the crowd a second.")] = 100.0,
    kill_every: Annotated[
        float, typer.Option(min=0, help="Seconds between kills, on average; 0: none.")
    ] = 180.0,
    all_rooms: Annotated[
        bool, typer.Option("--all-rooms", help="Features, inference and drift run, too.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="Folder for samples, picture and report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Hours of mixed load and kills; exit code 1 if a promise breaks or a figure is not flat."""
    from rich.console import Console

    from services.tools.operate.present import print_json
    from services.tools.soak.run import SoakOrder, run_soak

    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    folder = results_folder(results, f"soak-{seed}")
    with tempfile.TemporaryDirectory(prefix="outcry-soak-") as home:
        order = SoakOrder(Path(home), folder, hours, seed, rate, kill_every, all_rooms)
        report = run_soak(order, lambda line: console.print(line, markup=False))
    if as_json:
        print_json(report)
    else:
        _print(report)
        console.print(f"Samples, picture and report are in {folder}", markup=False)
    raise typer.Exit(0 if report.is_sound else 1)


def _print(report: "SoakReport") -> None:
    from services.tools.operate.present import print_table

    tables: Iterable[tuple[tuple[str, ...], list[tuple[str, ...]]]] = (
        (("", "number"), [(name, f"{number:,}") for name, number in report.figures.items()]),
        (
            ("killed", "times"),
            [(name, str(times)) for name, times in report.kills.items()],
        ),
        (
            ("check", "looked at", "at fault"),
            [
                (name, f"{looked:,}", f"{wrong:,}")
                for name, (looked, wrong) in report.checks.items()
            ],
        ),
        (
            ("figure", "second quarter", "last quarter", "limit", "flat"),
            [
                (
                    one.name,
                    f"{one.second:,.1f}",
                    f"{one.last:,.1f}",
                    f"{one.limit:,.1f}",
                    "yes" if one.holds else "NO",
                )
                for one in report.flat
            ],
        ),
    )
    for heads, rows in tables:
        if rows:
            print_table(heads, rows)
    typer.echo(
        f"{report.trades_read:,} trades read over the WebSocket, each once and in order;"
        f" {report.readers_returned} times a reader came back"
    )
    if not report.flat:
        typer.echo("Too short to judge whether its figures are flat.")
    for fault in report.faults:
        typer.echo(f"FAULT {fault}")
