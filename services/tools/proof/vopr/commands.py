"""`outcry vopr`: the whole system in one process, under every fault, from a seed."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.tools.proof.vopr.report import Summary
    from services.tools.proof.vopr.run import Hunt

HUNTS = 3
HUNT_SEEDS_MAX = 300
_FIRST_SEEDS_APART = 100_000


def register(app: typer.Typer) -> None:
    """Add the simulator to the command line."""
    app.command(rich_help_panel="Look inside")(vopr)


def vopr(
    *,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Choices of the scheduler a seed.")] = 500,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from the first one on.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="Over so many processes.")] = 1,
    mutation: Annotated[str, typer.Option(help="Plant this bug; see --mutations.")] = "",
    mutations: Annotated[
        bool, typer.Option("--mutations", help="Look for each planted bug until it is found.")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Print each step.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Simulate every room under every fault; exit code 1 if anything is lost, doubled or wrong."""
    from rich.console import Console

    from services.tools.operate.present import print_json
    from services.tools.proof.compiling import load_for

    # Each step leaves about a record, which is audited at the end.
    load_for(seeds * steps, Console(stderr=True).print)
    from services.tools.proof.vopr import report

    if mutations:
        hunts = _hunt_all(seed, steps, processes, quiet=as_json)
        if as_json:
            print_json({"is_whole": all(h.is_found for h in hunts), "mutations": hunts})
        else:
            report.print_hunts(hunts, steps)
        raise typer.Exit(0 if all(hunt.is_found for hunt in hunts) else 1)
    if mutation:
        _require_known(mutation)
    if trace:
        outcome = report.print_trace(seed, steps, mutation)
        raise typer.Exit(1 if outcome.finding else 0)
    summary = _run(range(seed, seed + seeds), steps, processes, mutation, quiet=as_json)
    if as_json:
        print_json(summary)
    else:
        report.print_summary(summary)
    raise typer.Exit(0 if summary.holds else 1)


def _require_known(mutation: str) -> None:
    from services.tools.proof.vopr.mutations import BY_NAME

    if mutation not in BY_NAME:
        names = ", ".join(sorted(BY_NAME))
        raise typer.BadParameter(f"no bug is named {mutation}; those there are: {names}")


def _run(seeds: range, steps: int, processes: int, mutation: str, *, quiet: bool) -> "Summary":
    from services.tools.proof.vopr.report import Summary
    from services.tools.proof.vopr.run import run_seeds

    summary = Summary(steps)
    with _progress(len(seeds), "seeds", quiet=quiet) as advance:
        for outcome in run_seeds(seeds, steps, processes, mutation):
            summary.add(outcome)
            advance()
    summary.finish()
    return summary


def _hunt_all(seed: int, steps: int, processes: int, *, quiet: bool) -> "list[Hunt]":
    from services.tools.proof.vopr.mutations import MUTATIONS
    from services.tools.proof.vopr.run import hunt_all

    first_seeds = [seed + number * _FIRST_SEEDS_APART for number in range(HUNTS)]
    names = [mutation.name for mutation in MUTATIONS]
    hunts: list[Hunt] = []
    with _progress(len(names), "planted bugs", quiet=quiet) as advance:
        for found in hunt_all(names, steps, first_seeds, HUNT_SEEDS_MAX, processes):
            hunts.append(found)
            advance()
    return sorted(hunts, key=lambda hunt: names.index(hunt.name))


def _progress(
    total: int, of_what: str, *, quiet: bool
) -> "AbstractContextManager[Callable[[], None]]":
    from services.tools.proof.vopr.report import progress

    return nullcontext(lambda: None) if quiet or total == 1 else progress(total, of_what)
