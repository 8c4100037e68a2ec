"""`outcry observe ...`: Prometheus on the stack that runs; whether what is asked has data."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Prometheus on this stack; dashboards' queries.")


def register(parent: typer.Typer) -> None:
    """Add `observe` to the command line."""
    parent.add_typer(app, name="observe", rich_help_panel="Look inside")


@app.command("prometheus")
def prometheus(
    *,
    interval_s: Annotated[
        float, typer.Option("--interval-s", min=0.2, max=60, help="From scrape to scrape.")
    ] = 5.0,
) -> None:
    """Run Prometheus on the rooms of this stack until Ctrl-C; its data stays under OUTCRY_HOME."""
    from contextlib import suppress
    from threading import Event

    from services.runtime.settings import read_settings
    from services.runtime.telemetry import TelemetryServer
    from services.tools.observe.exporter import StackExporter
    from services.tools.observe.prometheus import metrics_ports, plan_of, running
    from services.tools.observe.stack_metrics import STACK
    from services.tools.stack.settings import HOST, StackSettings

    settings = read_settings(StackSettings)
    plan = plan_of(settings.home)
    exporter = StackExporter(settings.home)
    exporter.refresh()
    server = TelemetryServer(exporter.telemetry, HOST, settings.port("stack-metrics"))
    try:
        ports = metrics_ports(plan) | {STACK: server.port}
        folder, port = settings.home / "prometheus", settings.port("prometheus")
        with running(folder, port, ports, interval_s) as address, suppress(KeyboardInterrupt):
            typer.echo(f"Prometheus: {address}; Ctrl-C ends it")
            while not Event().wait(1.0):
                exporter.refresh()
    finally:
        server.close()


@app.command("picture")
def picture(
    dashboard: Annotated[str, typer.Argument(help="Its name, as `exchange`.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A PNG file.")],
    past_s: Annotated[
        float, typer.Option("--past-s", min=10, max=86_400, help="How far back it goes.")
    ] = 600.0,
    address: Annotated[
        str, typer.Option(help="Of a Prometheus; that of this stack unless given.")
    ] = "",
) -> None:
    """Draw a dashboard's panels from what Prometheus has, without a Grafana."""
    from services.runtime.settings import read_settings
    from services.tools.observe.dashboards import DASHBOARDS
    from services.tools.observe.pictures import draw
    from services.tools.stack.settings import HOST, StackSettings

    found = {one.name: one for one in DASHBOARDS}.get(dashboard)
    if found is None:
        names = ", ".join(one.name for one in DASHBOARDS)
        raise typer.BadParameter(f"no dashboard is named {dashboard!r}; there are: {names}")
    settings = read_settings(StackSettings)
    address = address or f"http://{HOST}:{settings.port('prometheus')}"
    _require_prometheus(address)
    out.write_bytes(draw(found, address, past_s))


@app.command("check")
def check(
    address: Annotated[
        str, typer.Option(help="Of a Prometheus; that of this stack unless given.")
    ] = "",
) -> None:
    """Ask all that dashboards, rules and alerts ask; exit code 1 if something has no data."""
    from services.runtime.settings import read_settings
    from services.tools.observe.questions import panel_questions, rule_questions, silent
    from services.tools.operate.present import print_table
    from services.tools.stack.settings import HOST, StackSettings

    settings = read_settings(StackSettings)
    address = address or f"http://{HOST}:{settings.port('prometheus')}"
    _require_prometheus(address)
    questions = [*panel_questions(), *rule_questions()]
    missing = silent(address, questions)
    rows = [(one.question.place, one.asked, one.cause) for one in missing]
    if rows:
        print_table(("asked by", "query", "answer"), rows)
    answered = len(questions) - len({one.question for one in missing})
    typer.echo(f"{answered} of {len(questions)} have data")
    if missing:
        typer.echo(
            "rates and ages have none while nobody trades, asks or predicts:"
            " ask again while `outcry load mixed` runs"
        )
    raise typer.Exit(1 if missing else 0)


def _require_prometheus(address: str) -> None:
    """Say once that nobody is there, not for each of a hundred questions."""
    from services.tools.observe.prometheus import ask

    if error := ask(address, "1").error:
        typer.echo(
            f"error: no Prometheus answers at {address} ({error}): start one with"
            " `outcry observe prometheus`, or name another with --address",
            err=True,
        )
        raise typer.Exit(1)
