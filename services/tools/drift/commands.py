"""`outcry drift`: what people type."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.tools.drift import run_commands

if TYPE_CHECKING:
    from services.tools.drift.trials import Order

PANEL: Final = "Models"
_DAY: Final = ["%Y-%m-%d"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Seed = Annotated[int, typer.Option("--seed", min=0)]
WindowS = Annotated[int, typer.Option("--window-s", min=60, help="Seconds of a window.")]
Alpha = Annotated[
    float, typer.Option("--alpha", min=0.001, max=0.5, help="Windows that may alarm for nothing.")
]

drift_app = typer.Typer(no_args_is_help=True, help="Whether something has changed.")
run_commands.register(drift_app)


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(drift_app, name="drift", rich_help_panel=PANEL)


@drift_app.callback()
def drift() -> None:
    """Whether something has changed."""


@drift_app.command("calibrate")
def calibrate_drift(  # noqa: PLR0913 - a command line has as many options as it has
    *,
    markets: Annotated[
        list[str] | None,
        typer.Option("--market", help="Only these; default: all six, with --short five."),
    ] = None,
    references: Annotated[int, typer.Option(min=2, help="Of each market.")] = 20,
    windows: Annotated[int, typer.Option(min=1, help="After each reference.")] = 8,
    tickers: Annotated[int, typer.Option(min=2, max=20)] = 2,
    features: Annotated[int, typer.Option(min=2, max=20)] = 5,
    window_s: WindowS = 7_200,
    reference_windows: Annotated[
        int, typer.Option(min=3, help="Length of a reference, in windows.")
    ] = 27,
    shift_references: Annotated[
        int, typer.Option(min=0, help="After so many references changes are planted, too.")
    ] = 6,
    evidently_references: Annotated[
        int, typer.Option(min=0, help="After so many Evidently is asked; 0: never.")
    ] = 1,
    draws: Annotated[
        int, typer.Option(min=0, help="Of the bootstrap by blocks, beside ours; 0: none.")
    ] = 199,
    alpha: Alpha = 0.05,
    seed: Seed = 1,
    short: Annotated[bool, typer.Option("--short", help="A try of some seconds.")] = False,
    as_json: AsJson = False,
) -> None:
    """False alarms on markets that don't change, and planted changes found; others beside."""
    import msgspec

    from services.tools.drift.markets import MARKETS, SHORT
    from services.tools.drift.trials import Order

    order = Order(
        references, windows, tickers, features, window_s, reference_windows, shift_references,
        evidently_references, draws, alpha, seed,
    )  # fmt: skip
    if short:
        order = msgspec.structs.replace(
            order, references=2, windows=2, tickers=2, features=2, window_s=600,
            reference_windows=20, shift_references=1, evidently_references=0, draws=99,
        )  # fmt: skip
    if draws and draws * alpha < 1:
        raise typer.BadParameter(f"--draws: {draws} are too few for a quantile of {alpha:g}")
    _try_markets(markets or list(SHORT if short else MARKETS), order, as_json=as_json)


@drift_app.command("reference")
def show_reference(
    *,
    name: Annotated[str, typer.Option("--set", help="Feature set.")] = "microstructure_v2",
    tickers: Annotated[list[str] | None, typer.Option("--ticker", help="Only these.")] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, help="First day (UTC).")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY, help="Last day (UTC), included.")
    ] = None,
    window_s: WindowS = 7_200,
    alpha: Alpha = 0.05,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """What rows of the lake are worth as a reference: threshold, false alarms, changes found."""
    from rich.console import Console

    from services.lake.places import Lake, day_bounds_us
    from services.tools.drift.own import figures_of, panel_of_lake
    from services.tools.drift.report import own_table
    from services.tools.operate.present import print_json
    from services.trainer.dataset import DatasetPlan

    plan = DatasetPlan(
        name,
        tickers=tuple(dict.fromkeys(tickers or ())),
        first_us=day_bounds_us(first.date())[0] if first else None,
        last_us=day_bounds_us(last.date())[1] - 1 if last else None,
    )
    with Console(stderr=True).status(f"reading {name}"):
        found = figures_of(panel_of_lake(Lake(_home()), plan), window_s, alpha, seed)
    if as_json:
        print_json(found)
    else:
        Console().print(own_table(found))


def _try_markets(names: list[str], order: "Order", *, as_json: bool) -> None:
    from rich.console import Console

    from services.tools.drift.markets import MARKETS
    from services.tools.drift.report import found_table, quiet_table
    from services.tools.drift.trials import try_market
    from services.tools.operate.present import print_json
    from services.tools.operate.progress import progress_bar

    for name in names:
        if name not in MARKETS:
            raise typer.BadParameter(f"--market: {name!r} is none of {', '.join(MARKETS)}")
    figures = []
    for name in names:
        with progress_bar(f"references of {name}") as tell:
            figures.append(try_market(name, MARKETS[name], order, tell))
        if not as_json:
            Console().print(quiet_table(figures[-1]))
            if figures[-1].found:
                Console().print(found_table(figures[-1]))
    if as_json:
        print_json(figures)


def _home() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).home
