"""`outcry train` and `outcry predict`: what people type."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.tools.learning.times import First, Last, bounds_us

if TYPE_CHECKING:
    from services.tools.learning.train_run import Tell, TrainReport

PANEL: Final = "Models"
_OF_A_REPEAT: Final = frozenset({"from_manifest", "as_json"})

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Horizon = Annotated[
    float, typer.Option("--horizon-s", help="How far ahead the label looks, whole seconds.")
]
Tickers = Annotated[list[str] | None, typer.Option("--ticker", help="Only these.")]


def register(app: typer.Typer) -> None:
    """Add them."""
    app.command("train", rich_help_panel=PANEL)(train)
    app.command("predict", rich_help_panel=PANEL)(predict)


def train(  # noqa: PLR0913 - a command line has as many options as it has
    context: typer.Context,
    *,
    name: Annotated[
        str, typer.Option("--set", help="Feature set, for example microstructure_v1.")
    ] = "microstructure_v1",
    model: Annotated[
        str, typer.Option(help="xgboost, logistic, majority, last-move or imbalance.")
    ] = "xgboost",
    seed: Annotated[int, typer.Option(help="Of fits, search and intervals.")] = 1,
    horizon_s: Horizon = 10,
    threshold: Annotated[
        int, typer.Option(help="A move must be greater to be one, 1/20000 dollar.")
    ] = 0,
    tickers: Tickers = None,
    first: First = None,
    last: Last = None,
    folds: Annotated[int, typer.Option(help="Of the walk-forward split.")] = 3,
    budget: Annotated[
        int | None, typer.Option(help="How many parameters are tried for each fit.")
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it the champion if every gate is open.")
    ] = False,
    from_manifest: Annotated[
        Path | None,
        typer.Option(help="Train again as this manifest.json says, and compare the model's hash."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate beside every baseline, and register a model with its card.

    Exit code 1 if --promote was asked for and a gate is closed, or a repeat differs.
    """
    from services.tools.learning.train_report import print_training
    from services.tools.learning.train_run import repeat_from, train_and_register
    from services.tools.operate.present import print_json
    from services.trainer.dataset import DatasetPlan, whole_seconds
    from services.trainer.service import BUDGET, TrainingPlan

    if from_manifest is not None:
        _require_alone(context)
    plan = TrainingPlan(
        DatasetPlan(
            name, whole_seconds(horizon_s), threshold, tuple(dict.fromkeys(tickers or ())),
            *bounds_us(first, last), folds,
        ),
        model.replace("-", "_"), seed, BUDGET if budget is None else budget,
    )  # fmt: skip
    with _telling() as tell:
        done: TrainReport = (
            train_and_register(_home(), plan, tell, promote=promote)
            if from_manifest is None
            else repeat_from(_home(), from_manifest, tell)
        )
    if as_json:
        print_json(done)
    else:
        print_training(done)
    raise typer.Exit(1 if done.not_promoted_because else 0)


def predict(
    *,
    first: First = None,
    last: Last = None,
    tickers: Tickers = None,
    horizon_s: Horizon = 10,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of the registry; else the champion.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A file for the rows, as Parquet.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the lake's rows of a time with a registered model."""
    from services.tools.learning.train_report import print_scored
    from services.tools.learning.train_run import score_rows
    from services.tools.operate.present import print_json
    from services.trainer.dataset import whole_seconds
    from services.trainer.score import write_scored

    if out is not None and out.suffix != ".parquet":
        raise typer.BadParameter(f"--out {out}: the name of a file of Parquet ends in .parquet")
    with _telling() as tell:
        tell("scoring")
        scored, loaded, number = score_rows(
            _home(), whole_seconds(horizon_s), version, tickers or (), bounds_us(first, last)
        )
        if out is not None:
            write_scored(out, scored)
    model = loaded.manifest
    if as_json:
        document: dict[str, Any] = {
            "model": model.name,
            "version": number,
            "model_sha256": model.model_sha256,
            "fingerprint": model.fingerprint,
            "null_input": scored.null_input,
            "other_fingerprint": scored.other_fingerprint,
            "rows": scored.table.num_rows,
        }
        if out is None:
            document["predictions"] = scored.table.to_pylist()
        print_json(document)
    else:
        print_scored(scored, model.name, number)


def _require_alone(context: typer.Context) -> None:
    """A manifest says everything: what was typed beside it would be passed over in silence."""
    beside = [
        option.opts[0]
        for option in context.command.params
        if option.name not in _OF_A_REPEAT and _was_typed(context, str(option.name))
    ]
    if beside:
        raise typer.BadParameter(
            "--from-manifest repeats a training as the manifest says: leave out"
            f" {', '.join(beside)}"
        )


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def _telling() -> Iterator["Tell"]:
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update


def _home() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).home
