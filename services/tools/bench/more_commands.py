"""`outcry bench ...`: how the exchange grows, breaks and compares, and everything in one run."""

from typing import Annotated

import typer

from services.tools.bench.frame import Json, Repeats, Seed, measure

Quick = Annotated[bool, typer.Option("--quick", help="Smaller and shorter, for a first look.")]


def register(app: typer.Typer) -> None:
    """Add them to `outcry bench`."""
    app.command("stages")(bench_stages)
    app.command("scaling")(bench_scaling)
    app.command("peers")(bench_peers)


def bench_stages(
    *,
    commands: Annotated[int, typer.Option(min=1, help="Of the simulated crowd.")] = 20_000,
    seed: Seed = 7,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """What a command costs each room's own code: decode, fold, encode; in memory, no Kafka."""
    from services.tools.bench.stages import run_stages_bench, stages_table

    measure(
        lambda _home, say: run_stages_bench(commands, seed, repeats, say), stages_table, json=json
    )


def bench_scaling(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(help="depth, accounts, tickers or processes; may be repeated. Default: all."),
    ] = None,
    commands: Annotated[int, typer.Option(min=100, help="Of each try.")] = 20_000,
    repeats: Repeats = 3,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """What a command costs as books get deeper, accounts, tickers and processes more."""
    from services.tools.bench.scaling import (
        ScalingOrder,
        default_sizes,
        run_scaling_bench,
        scaling_table,
    )

    sizes = default_sizes(quick=quick)
    for name in only or ():
        if name not in sizes:
            raise typer.BadParameter(f"--only: {name!r} is none of {', '.join(sizes)}")
    chosen = {axis: sizes[axis] for axis in sizes if not only or axis in only}
    measure(
        lambda _home, say: run_scaling_bench(ScalingOrder(chosen, commands, repeats), say),
        scaling_table, json=json,
    )  # fmt: skip


def bench_peers(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(help="matching, log, orders or predictions; may be repeated. Default: all."),
    ] = None,
    seed: Seed = 7,
    repeats: Repeats = 3,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Others beside us on the same flow, with what each of them lacks."""
    from services.tools.bench.peers import TASKS, PeersOrder, peers_table, run_peers_bench

    for name in only or ():
        if name not in TASKS:
            raise typer.BadParameter(f"--only: {name!r} is none of {', '.join(TASKS)}")
    tasks = tuple(name for name in TASKS if not only or name in only)
    sizes = {"orders": 5_000, "records": 50_000, "seconds": 3.0} if quick else {}
    measure(
        lambda home, say: run_peers_bench(
            PeersOrder(home=home, seed=seed, tasks=tasks, repeats=repeats, **sizes), say
        ),
        peers_table, json=json,
    )  # fmt: skip
