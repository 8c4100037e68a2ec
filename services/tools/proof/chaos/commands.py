"""`outcry chaos`: real faults on a real stack of its own, and whether every promise was kept."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `chaos` to the command line."""
    app.command(rich_help_panel="Look inside")(chaos)


def chaos(
    *,
    seed: Annotated[int, typer.Option(help="Of the crowd and of the moments of the faults.")] = 1,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be repeated. Default: all.")
    ] = None,
    kills: Annotated[int, typer.Option(min=1, help="Of each room, in `kills`.")] = 20,
    resting: Annotated[
        int, typer.Option(min=1_000, max=400_000, help="Orders in the books, in `resting`.")
    ] = 100_000,
    rate: Annotated[
        float, typer.Option(min=1, help="Commands of the crowd a second; lower on a busy machine.")
    ] = 100.0,
    standby: Annotated[
        bool, typer.Option("--standby", help="Run matcher and risk twice, and kill who works.")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(help="Where the stack lives, kept; default: removed if all is well."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Kill, freeze and starve a stack of its own under load; exit code 1 if a promise is broken."""
    from rich.console import Console

    from services.tools.operate.present import print_json
    from services.tools.proof.chaos.plan import (
        SCENARIO_NAMES,
        STANDBY_SCENARIOS,
        Order,
        run_chaos,
        unknown_scenarios,
        without_standby,
    )
    from services.tools.proof.chaos.report import print_account

    names = tuple(scenario or (STANDBY_SCENARIOS if standby else SCENARIO_NAMES))
    if unknown := unknown_scenarios(names):
        raise typer.BadParameter(f"there is no {unknown[0]}; there are {', '.join(SCENARIO_NAMES)}")
    if standby and (unfit := without_standby(names)):
        raise typer.BadParameter(
            f"{unfit[0]} names one process; with --standby there are {', '.join(STANDBY_SCENARIOS)}"
        )
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    place = Path(tempfile.mkdtemp(prefix="outcry-chaos-")) if home is None else home.resolve()
    place.mkdir(parents=True, exist_ok=True)
    order = Order(place, seed, names, kills, resting, rate, standby)
    account = run_chaos(order, lambda line: console.print(line, markup=False))
    if home is None and not account.faults:
        shutil.rmtree(place)
    else:
        console.print(f"Data and logs are kept in {place}", markup=False)
    if as_json:
        print_json(account)
    else:
        print_account(account, order)
    raise typer.Exit(1 if account.faults else 0)
