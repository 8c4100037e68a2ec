"""`outcry dataset` and what else is learnt: what people type."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.tools.learning.times import First, Last, bounds_us

if TYPE_CHECKING:
    from services.trainer.describe import Description

PANEL: Final = "Models"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

dataset_app = typer.Typer(no_args_is_help=True, help="What models are trained on.")


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(dataset_app, name="dataset", rich_help_panel=PANEL)


@dataset_app.callback()
def dataset() -> None:
    """What models are trained on."""


@dataset_app.command("describe")
def describe_dataset(
    *,
    name: Annotated[
        str, typer.Option("--set", help="Feature set, for example microstructure_v1.")
    ] = "microstructure_v1",
    horizon_s: Annotated[
        float, typer.Option("--horizon-s", help="How far ahead the label looks, whole seconds.")
    ] = 10,
    threshold: Annotated[
        int,
        typer.Option("--threshold", help="A move must be greater to be one, 1/20000 dollar."),
    ] = 0,
    tickers: Annotated[list[str] | None, typer.Option("--ticker", help="Only these.")] = None,
    first: First = None,
    last: Last = None,
    folds: Annotated[int, typer.Option("--folds", help="Of the walk-forward split.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Rows, classes, gaps, folds, content hash and leak checks; exit code 1 if a check fails."""
    from rich.console import Console

    from services.lake.places import Lake
    from services.tools.learning.report import print_description
    from services.tools.operate.present import print_json
    from services.trainer.dataset import DatasetPlan, load_dataset, whole_seconds
    from services.trainer.describe import describe
    from services.trainer.splits import walk_forward

    plan = DatasetPlan(
        name,
        whole_seconds(horizon_s),
        threshold,
        tuple(dict.fromkeys(tickers or ())),
        *bounds_us(first, last),
        folds,
    )
    lake = Lake(_home())
    with Console(stderr=True).status(f"reading {name}"):
        made = load_dataset(lake, plan)
        found: Description = describe(made, walk_forward(made), lake)
    if as_json:
        print_json(found)
    else:
        print_description(found)
    raise typer.Exit(0 if found.holds else 1)


def _home() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).home
