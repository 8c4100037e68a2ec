"""`outcry drift run`, `history`, `show`, `act`, `actions`: jobs, their finds, what was done."""

import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import typer

from services.models.classes import HORIZON_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.drift.core.windows import Window
    from services.drift.ledger import Kind
    from services.tools.drift.jobs.run import RunOrder
    from services.tools.drift.jobs.told import Told

_TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
_SECOND_US: Final = 1_000_000


class JobName(StrEnum):
    """As people type it. Typer takes lists of enumerations and of no other choice."""

    DATA = "data"
    QUALITY = "quality"
    PREDICTIONS = "predictions"
    LABELS = "labels"
    PERFORMANCE = "performance"
    PARITY = "parity"
    ALL = "all"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
HorizonS = Annotated[
    int, typer.Option("--horizon-s", min=1, help="Of the model: which registered name.")
]
StepS = Annotated[
    int | None,
    typer.Option(
        "--step-s",
        min=60,
        help="From one window to the next; default: 900 for performance, which rolls, and the"
        " window for the others and where --window-s is given.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many of each kind.")]


def register(drift_app: typer.Typer) -> None:
    """Add them to `outcry drift`."""
    drift_app.command("run")(run_drift)
    drift_app.command("history")(show_history)
    drift_app.command("show")(show_window)
    drift_app.command("act")(act_on_alarm)
    drift_app.command("actions")(show_actions)


def run_drift(  # noqa: PLR0913 - a command line has as many options as it has
    *,
    job: Annotated[
        list[JobName] | None, typer.Option("--job", help="Only these; default: all.")
    ] = None,
    ticker: Annotated[
        list[str] | None, typer.Option("--ticker", help="Only these of the training's.")
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=_TIMES, help="Judge this window (event time, UTC)."),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_TIMES, help="Its end, not included.")
    ] = None,
    window_s: Annotated[
        int | None,
        typer.Option("--window-s", min=60, help="Default: 7200, and 3600 for performance."),
    ] = None,
    step_s: StepS = None,
    alpha: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Windows that may alarm for nothing.")
    ] = 0.05,
    draws: Annotated[
        bool, typer.Option("--report/--no-report", help="Have Evidently draw the windows.")
    ] = True,
    horizon_s: HorizonS = HORIZON_S,
    as_json: AsJson = False,
    as_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines", help="Print each result once it is recorded, a line of JSON each."
        ),
    ] = False,
) -> None:
    """Judge the windows that are over and not judged yet, of the model that serves; or one window.

    Exit code 0: all of it was judged and is ok. 3: something alarms. 4: nothing alarms, and
    something could not be judged. 1: it did not come so far (a part of the stack is away).
    """
    from services.drift.report_files import ReportLimits
    from services.runtime.settings import read_settings
    from services.tools.drift.jobs.run import RunOrder

    order = RunOrder(
        _kinds(job),
        alpha,
        read_settings(ReportLimits),
        tuple(dict.fromkeys(ticker or ())),
        _window(first, last),
        window_s,
        step_s,
        draws,
    )
    raise typer.Exit(_run(order, horizon_s, as_json=as_json, as_lines=as_lines))


def _run(order: "RunOrder", horizon_s: int, *, as_json: bool, as_lines: bool) -> int:
    """Do it and print it; the exit code."""
    from rich.console import Console

    from services.drift.postgres_actions import PostgresActions
    from services.tools.drift.jobs.place import place_of
    from services.tools.drift.jobs.run import run_jobs
    from services.tools.drift.jobs.told import exit_code
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json

    began_s = time.monotonic()
    deployment = read_deployment()
    actions = PostgresActions(deployment.pg_dsn, deployment.name)
    place = place_of(_home(), horizon_s)
    with Console(stderr=True).status("") as status:
        # Asked first: what was recorded is told by this run alone, and must not be lost. Where
        # nothing serves nothing has begun.
        begun = actions.unfinished() if place.registry.alias() is not None else ()
        unfinished = [one for one in begun if one.model == place.registry.name]
        # These before the first result: whoever reads takes them up although the run dies.
        if as_lines:
            _print_line({"unfinished": unfinished})
        told = run_jobs(
            place, order, status.update,
            found=lambda one: _print_line({"job": one}) if as_lines else None,
        )  # fmt: skip
    code = exit_code(told)
    took_s = time.monotonic() - began_s
    if as_lines:
        _print_line({"exit_code": code, "took_s": took_s})
    elif as_json:
        print_json({"jobs": told, "unfinished": unfinished, "exit_code": code, "took_s": took_s})
    else:
        _print_told(told)
        for one in unfinished:
            typer.echo(f"unfinished: outcry drift act {one.job_id} --action {one.kind}")
    return code


def show_history(
    *,
    job: Annotated[
        list[JobName] | None, typer.Option("--job", help="Only these; default: all.")
    ] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """What the jobs found, the latest window first."""
    from services.drift.postgres import PostgresLedger
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json, print_table

    deployment = read_deployment()
    ledger = PostgresLedger(deployment.pg_dsn, deployment.name)
    found = [one for kind in _kinds(job) for one in ledger.history(kind, limit)]
    found.sort(key=lambda one: -one.window.end_us)
    if as_json:
        print_json([{"job_id": one.job_id, "job": one} for one in found])
        return
    if not found:
        typer.echo("no window was judged yet: `outcry drift run` judges those that are over")
        return
    home = _home()
    print_table(
        ("window, UTC", "job", "model", "outcome", "ratio", "report", "detail", "id"),
        [
            (
                _spelled(one.window), one.kind, f"{one.model}/{one.model_version}",
                _outcome(one.outcome, is_alarm=one.is_alarm), _ratio(one.ratio),
                _link(home, one.report_path), _short(one.detail), one.job_id[:12],
            )
            for one in found
        ],
    )  # fmt: skip


def show_window(
    job_id: Annotated[
        str | None, typer.Argument(help="As `drift history --json` has it; default: the newest.")
    ] = None,
    *,
    job: Annotated[
        JobName, typer.Option("--job", help="Without an id: the newest window of this job.")
    ] = JobName.PERFORMANCE,
    as_json: AsJson = False,
) -> None:
    """One window: its checks, and of performance the figures of everybody, with intervals."""
    from rich.console import Console

    from services.drift.postgres import PostgresLedger
    from services.tools.drift.show import (
        checks_table,
        figures_table,
        find_result,
        performance_of_report,
    )
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json

    (kind,) = _kinds([job])[:1]
    deployment = read_deployment()
    result = find_result(PostgresLedger(deployment.pg_dsn, deployment.name), job_id, kind)
    if as_json:
        report = msgspec.Raw(result.report)
        print_json({"job_id": result.job.job_id, "job": result.job, "checks": result.checks,
                    "report": report})  # fmt: skip
        return
    one = result.job
    typer.echo(f"{_spelled(one.window)} UTC  {one.kind}  {one.model}/{one.model_version}")
    typer.echo(f"{_outcome(one.outcome, is_alarm=one.is_alarm)}  {one.detail}".rstrip())
    console = Console()
    found = performance_of_report(result)
    if found is not None:
        console.print(figures_table(found))
    if result.checks:
        console.print(checks_table(result.checks))


def act_on_alarm(
    job_id: Annotated[str, typer.Argument(help="Of the alarm, as `drift history --json` has it.")],
    *,
    action: Annotated[Literal["retrain", "rollback"], typer.Option(help="What to do.")],
    cooldown_s: Annotated[
        float, typer.Option(min=0, help="Left out if another began so short ago.")
    ] = 21_600.0,
    source: Annotated[
        Literal["lake", "kafka"], typer.Option(help="Of the trades to train on, as in `pipeline`.")
    ] = "kafka",
    newest_s: Annotated[
        int, typer.Option(min=0, help="Train on rows of so many last seconds; 0: on all.")
    ] = 0,
    budget: Annotated[int, typer.Option(min=1, help="Parameters tried for each model.")] = 4,
    horizon_s: HorizonS = HORIZON_S,
    as_json: AsJson = False,
) -> None:
    """Retrain or roll back because of an alarm, once, and record it with its cause.

    Exit code 0: another model serves now. 4: none does; the outcome says why.
    """
    from rich.console import Console

    from services.drift.postgres_actions import PostgresActions
    from services.tools.drift.act import Training, act
    from services.tools.drift.jobs.place import place_of
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json

    deployment = read_deployment()
    actions = PostgresActions(deployment.pg_dsn, deployment.name)
    training = Training(source, newest_s, budget)
    place = place_of(_home(), horizon_s)
    with Console(stderr=True).status("") as status:
        came = act(place, actions, action, job_id, cooldown_s, training, status.update)
    if as_json:
        print_json(came)
    else:
        typer.echo(f"{came.kind}: {came.outcome}{': ' if came.detail else ''}{came.detail}")
    raise typer.Exit(0 if came.outcome in {"promoted", "rolled_back"} else 4)


def show_actions(*, limit: Limit = 20, as_json: AsJson = False) -> None:
    """What was done about alarms, the latest first."""
    from services.drift.postgres_actions import PostgresActions
    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json, print_table

    deployment = read_deployment()
    found = PostgresActions(deployment.pg_dsn, deployment.name).history(limit)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no alarm was acted on yet: `outcry drift history` lists those there are")
        return
    print_table(
        ("time, UTC", "action", "model", "outcome", "because of", "detail"),
        [
            (
                f"{datetime.fromtimestamp(entry.at_us / _SECOND_US, UTC):%Y-%m-%d %H:%M:%S}",
                entry.action.kind, f"{entry.action.model}/{entry.action.model_version}",
                entry.outcome, entry.action.job_id[:12], _short(entry.detail),
            )
            for entry in found
        ],
    )  # fmt: skip


def _print_line(document: dict[str, object]) -> None:
    """At once: what is told lives longer than the process."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def _print_told(told: "Sequence[Told]") -> None:
    from services.tools.operate.present import print_table

    home = _home()
    print_table(
        ("window, UTC", "job", "outcome", "ratio", "recorded", "report", "detail"),
        [
            (
                _spelled(one.window) if one.window else "-", one.kind,
                _outcome(one.outcome, is_alarm=one.is_alarm), _ratio(one.ratio), one.recorded,
                _link(home, one.report_path), _short(one.detail),
            )
            for one in told
        ],
    )  # fmt: skip


def _kinds(names: list[JobName] | None) -> "tuple[Kind, ...]":
    from services.tools.drift.jobs.told import KINDS

    if not names or JobName.ALL in names:
        return KINDS
    return tuple(kind for kind in KINDS if kind in names)


def _window(first: datetime | None, last: datetime | None) -> "Window | None":
    from services.drift.core.windows import Window

    if (first is None) != (last is None):
        raise typer.BadParameter("--from and --to go together: one window, from here to there")
    if first is None or last is None:
        return None
    begin_us, end_us = (
        int(at.replace(tzinfo=UTC).timestamp()) * _SECOND_US for at in (first, last)
    )
    if begin_us >= end_us:
        raise typer.BadParameter("--from must be before --to")
    return Window(begin_us, end_us)


def _spelled(window: "Window") -> str:
    begin, end = (
        datetime.fromtimestamp(us / _SECOND_US, UTC) for us in (window.begin_us, window.end_us)
    )
    return f"{begin:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S}"


def _outcome(outcome: str, *, is_alarm: bool) -> str:
    return f"{outcome} (ALARM)" if is_alarm else outcome


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _link(home: Path, path: str) -> str:
    if not path:
        return "-"
    return str(home / path) if (home / path).exists() else "gone"


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."


def _home() -> Path:
    from services.runtime.settings import read_settings
    from services.tools.stack.settings import StackSettings

    return read_settings(StackSettings).home
