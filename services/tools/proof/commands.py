"""`outcry reconcile`: whether anything is lost, from `orders` to PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from services.tools.proof import snapshots_commands
from services.tools.proof.chaos import commands as chaos
from services.tools.proof.vopr import commands as vopr

if TYPE_CHECKING:
    from services.tools.operate.connect import Deployment
    from services.tools.proof.reconcile import Progress, Reconciliation
    from services.tools.proof.rows import Rows

QUIET_TIMEOUT_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the proofs to the command line."""
    app.command(rich_help_panel="Look inside")(reconcile)
    app.command(rich_help_panel="Look inside")(audit)
    chaos.register(app)
    snapshots_commands.register(app)
    vopr.register(app)


def reconcile(
    *,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout-s", min=0, help="How long to wait for what is on its way, seconds."
        ),
    ] = QUIET_TIMEOUT_S,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Account for every record from `orders` to PostgreSQL; exit code 1 if anything is lost."""
    from rich.console import Console

    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json
    from services.tools.proof.report import print_reconciliation

    with Console(stderr=True).status("waiting for quiet") as status:
        found = reconcile_deployment(
            read_deployment(),
            timeout_s,
            lambda topic, records: status.update(f"{topic}: {records:,} records read"),
        )
    if as_json:
        print_json({"is_whole": found.is_whole, "checks": found.checks, "figures": found.figures})
    else:
        print_reconciliation(found)
    raise typer.Exit(0 if found.is_whole else 1)


def audit(
    *,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout-s", min=0, help="How long to wait for what is on its way, seconds."
        ),
    ] = QUIET_TIMEOUT_S,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=28, help="How many share the work.")
    ] = 2,
    database: Annotated[
        bool,
        typer.Option(
            "--database/--no-database", help="Compare PostgreSQL's rows and snapshots too."
        ),
    ] = True,
    from_snapshots: Annotated[
        bool,
        typer.Option("--from-snapshot", help="Begin at the newest snapshots, not at zero."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Derive everything again from the log and compare; exit code 1 with the first difference."""
    if from_snapshots and not database:
        raise typer.BadParameter("--from-snapshot needs the database, which keeps the snapshots")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from services.tools.operate.connect import read_deployment
    from services.tools.operate.present import print_json
    from services.tools.proof.compiling import load_for

    console = Console(stderr=True)
    deployment = read_deployment()
    load_for(_count_records(deployment), console.print)
    from services.tools.proof.audit_record import record_audit
    from services.tools.proof.audit_report import print_findings, to_document
    from services.tools.proof.audit_run import Options, audit_deployment

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("audit", total=None)
        found = audit_deployment(
            deployment,
            Options(processes, database, from_snapshots, timeout_s),
            lambda read, total: bar.update(task, completed=read, total=total),
            lambda doing: bar.update(task, description=doing),
        )
    if database and (cause := record_audit(deployment, found, from_snapshots=from_snapshots)):
        console.print(f"[yellow]this audit is not on record in PostgreSQL: {cause}[/yellow]")
    if as_json:
        print_json(to_document(found))
    else:
        print_findings(found)
    raise typer.Exit(0 if found.holds else 1)


def _count_records(deployment: "Deployment") -> int:
    """About: a topic's offsets count the ends of transactions, too."""
    from services.runtime.ports import TopicPartition
    from services.tools.operate.connect import open_log
    from services.wire.topics import TOPICS

    with open_log(deployment) as log:
        bounds = [
            log.bounds(TopicPartition(topic.name, partition))
            for topic in TOPICS
            for partition in range(topic.partitions)
        ]
    return sum(end - first for first, end in bounds)


def reconcile_deployment(
    deployment: "Deployment", timeout_s: float, progress: "Progress"
) -> "Reconciliation":
    """Reconcile a deployment once it is quiet, or when the time is up. Blocks.

    Raises:
        UnreachableError: a part of the stack does not answer.
        RetriableError: Kafka can't be read.
    """
    from services.tools.operate.connect import (
        load_codec,
        open_database,
        open_log,
        require_own_cluster,
    )
    from services.tools.proof.quiet import reconcile_when_quiet
    from services.tools.proof.rows import PostgresRows

    @contextmanager
    def open_rows() -> Iterator["Rows"]:
        with open_database(deployment) as database:
            yield PostgresRows(database, deployment.name)

    require_own_cluster(deployment)
    with open_log(deployment) as log:
        return reconcile_when_quiet(log, load_codec(deployment), open_rows, timeout_s, progress)
