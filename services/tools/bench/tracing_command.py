"""`outcry bench tracing`, as it is typed."""

from typing import Annotated

import typer

from services.tools.bench.frame import Json, Repeats, Seed, measure


def bench_tracing(
    *,
    seed: Seed = 7,
    repeats: Repeats = 3,
    latency_rate: Annotated[int, typer.Option(min=1, help="Commands a second.")] = 300,
    latency_commands: Annotated[int, typer.Option(min=300)] = 3_000,
    offered: Annotated[int, typer.Option(min=1, help="Commands a second, open-loop.")] = 5_000,
    commands: Annotated[int, typer.Option(min=20_000, help="Of the throughput load.")] = 40_000,
    json: Json = False,
) -> None:
    """What traces cost the rooms: off, for one command in a hundred, for each, in turn."""
    from services.tools.bench.pipeline import PipelineOrder
    from services.tools.bench.tracing import run_tracing_bench, tracing_table

    measure(
        lambda home, say: run_tracing_bench(
            home,
            PipelineOrder(
                home=home,
                seed=seed,
                latency_rate_per_s=latency_rate,
                latency_commands=latency_commands,
                offered_per_s=offered,
                throughput_commands=commands,
                memory_commands=0,
                memory_rate_per_s=1,
            ),
            repeats,
            say,
        ),
        tracing_table, json=json,
    )  # fmt: skip
