"""`outcry pipeline`: what people type."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from services.tools.pipeline.order import PipelineOrder
    from services.tools.pipeline.steps import Done, Record

PANEL: Final = "Models"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
SetName = Annotated[str, typer.Option("--set", help="Feature set, for example microstructure_v1.")]
Source = Annotated[
    Literal["lake", "kafka"],
    typer.Option("--source", help="History that was ingested, or the trades on the log."),
]
Model = Annotated[str, typer.Option("--model", help="As in `outcry train`.")]
Tickers = Annotated[
    list[str] | None, typer.Option("--ticker", help="Only these; one alone must be named.")
]
HorizonS = Annotated[
    int, typer.Option("--horizon-s", min=1, help="How far ahead the label looks, seconds.")
]
Seed = Annotated[int, typer.Option("--seed", min=0)]
Budget = Annotated[int, typer.Option("--budget", min=1, help="Parameters tried for each model.")]
Promotes = Annotated[bool, typer.Option("--promote/--no-promote", help="Promote if it is better.")]
Reloads = Annotated[
    bool, typer.Option("--reload/--no-reload", help="Tell the inference service of this home.")
]

pipeline_app = typer.Typer(
    no_args_is_help=True, help="From trades to a served model, in recorded steps."
)


def register(app: typer.Typer) -> None:
    """Add them."""
    app.add_typer(pipeline_app, name="pipeline", rich_help_panel=PANEL)


@pipeline_app.command("run")
def run_pipeline(  # noqa: PLR0913 - a command line has as many options as it has
    *,
    name: Annotated[
        str | None,
        typer.Option("--run", help="Take this run up again, or name a new one; default: the time."),
    ] = None,
    lobster: Annotated[
        list[Path] | None, typer.Option(help="A LOBSTER message file to take in first.")
    ] = None,
    trades: Annotated[
        list[Path] | None, typer.Option(help="A trade file (CSV, Parquet) to take in first.")
    ] = None,
    feature_set: SetName = "microstructure_v1",
    source: Source = "lake",
    model: Model = "xgboost",
    ticker: Tickers = None,
    horizon_s: HorizonS = 10,
    seed: Seed = 1,
    budget: Budget = 4,
    promotes: Promotes = True,
    reloads: Reloads = True,
    as_json: AsJson = False,
) -> None:
    """Ingest, backfill, parity, data set, train, evaluate, register, promote if better, reload.

    A run that stopped goes on where it stopped: name it with --run.
    """
    from services.tools.operate.present import print_json

    order = _order(
        [("lobster", path) for path in lobster or ()] + [("trades", path) for path in trades or ()],
        (feature_set, ticker or (), horizon_s, model, seed, budget),
        source=source,
        promotes=promotes,
        reloads=reloads,
    )
    done = _run(order, name or _name_of_now())
    if as_json:
        print_json(done)
    else:
        _print([(item.record, item.kept) for item in done])


@pipeline_app.command("schedule")
def schedule_pipeline(  # noqa: PLR0913 - (same)
    cron: Annotated[str, typer.Argument(help="Five fields (UTC), for example '15 * * * *'.")],
    *,
    feature_set: SetName = "microstructure_v1",
    source: Source = "kafka",
    model: Model = "xgboost",
    ticker: Tickers = None,
    horizon_s: HorizonS = 10,
    seed: Seed = 1,
    budget: Budget = 4,
    promotes: Promotes = True,
    reloads: Reloads = True,
) -> None:
    """Run the pipeline at these times until Ctrl-C; each run is named for its time."""
    import sys

    from services.runtime.errors import OperatingError
    from services.tools.operate.errors import OperateError
    from services.tools.pipeline.schedule import cron as read_cron
    from services.tools.pipeline.schedule import next_time, run_on_schedule

    trigger = read_cron(cron)
    order = _order(
        [],
        (feature_set, ticker or (), horizon_s, model, seed, budget),
        source=source,
        promotes=promotes,
        reloads=reloads,
    )

    def act() -> None:
        try:
            _print([(item.record, item.kept) for item in _run(order, _name_of_now())])
        except (OperatingError, OperateError) as error:
            # The next run tries anew; what is wrong is said each time.
            sys.stderr.write(f"Error: {error}\n")

    sys.stderr.write(f"first run at {next_time(trigger, datetime.now(UTC))}\n")
    run_on_schedule(trigger, act)


@pipeline_app.command("show")
def show_pipeline(
    name: Annotated[str | None, typer.Argument(help="A run; default: list all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """The records of a run: what each step was given, and what came of it."""
    from services.tools.operate.present import print_json, print_table
    from services.tools.pipeline.steps import read_records, runs_in

    if name is None:
        runs = runs_in(_folder(""))
        if as_json:
            print_json(runs)
        elif not runs:
            typer.echo("the pipeline never ran here: `outcry pipeline run`")
        else:
            print_table(("run", "steps"), [(run, len(read_records(_folder(run)))) for run in runs])
        return
    records = read_records(_folder(name))
    if not records:
        raise typer.BadParameter(f"there is no run {name}; `outcry pipeline show` lists them")
    if as_json:
        print_json(records)
    else:
        _print([(record, True) for record in records])


def _order(
    files: "list[tuple[Literal['lobster', 'trades'], Path]]",
    training: tuple[str, Sequence[str], int, str, int, int],
    *,
    source: Literal["lake", "kafka"],
    promotes: bool,
    reloads: bool,
) -> "PipelineOrder":
    from services.tools.features.run import known_set
    from services.tools.pipeline.order import GivenFile, PipelineOrder
    from services.trainer.dataset import DatasetPlan
    from services.trainer.service import TrainingPlan, require_plan

    feature_set, tickers, horizon_s, model, seed, budget = training
    known_set(feature_set)
    data = DatasetPlan(feature_set, horizon_s, tickers=tuple(dict.fromkeys(tickers)))
    plan = TrainingPlan(data, model.replace("-", "_"), seed, budget)
    require_plan(plan)
    return PipelineOrder(
        home=_home(),
        plan=plan,
        files=tuple(GivenFile(kind, path) for kind, path in files),
        source=source,
        promotes=promotes,
        inference_url=_inference_url() if reloads else "",
    )


def _run(order: "PipelineOrder", name: str) -> "list[Done]":
    from rich.console import Console

    from services.tools.pipeline.acts import steps_of
    from services.tools.pipeline.steps import run_steps

    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        console.print(line, markup=False)

    say(f"run {name}")
    return run_steps(_folder(name), steps_of(order, say), say)


def _print(records: "list[tuple[Record, bool]]") -> None:
    from services.tools.operate.present import print_table

    print_table(
        ("step", "seconds", "kept", "what came of it"),
        [
            (
                record.step,
                f"{(record.ended - record.began).total_seconds():.1f}",
                "kept" if kept else "",
                ", ".join(f"{key} {_short(value)}" for key, value in record.outputs.items()),
            )
            for record, kept in records
        ],
    )


def _short(value: object) -> str:
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."


def _name_of_now() -> str:
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def _folder(name: str) -> Path:
    from services.tools.pipeline.steps import RUN_NAME

    if name and not RUN_NAME.fullmatch(name):
        raise typer.BadParameter(f"{name!r} can't name a run: use 1 to 64 of a-z, 0-9 and -")
    return _home() / "pipeline" / name


def _home() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).home


def _inference_url() -> str:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import HOST, PORT_OFFSETS, StackSettings

    return f"http://{HOST}:{read_settings(StackSettings).port_base + PORT_OFFSETS['predict']}"
