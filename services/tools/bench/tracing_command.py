"""`outcry bench tracing`, as it is typed."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer


def bench_tracing(
    *,
    seed: Annotated[int, typer.Option(help="Of the simulated crowd.")] = 7,
    tries: Annotated[int, typer.Option(min=1, help="Of each way, in turn.")] = 3,
    latency_rate: Annotated[int, typer.Option(min=1, help="Commands a second.")] = 300,
    latency_commands: Annotated[int, typer.Option(min=300)] = 3_000,
    offered: Annotated[int, typer.Option(min=1, help="Commands a second, open-loop.")] = 5_000,
    commands: Annotated[int, typer.Option(min=20_000, help="Of the throughput load.")] = 40_000,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What traces cost the rooms: off, for one command in a hundred, for each, in turn."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.pipeline import PipelineOrder
    from services.tools.bench.tracing import run_tracing_bench, tracing_table

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        order = PipelineOrder(
            home=Path(home),
            seed=seed,
            latency_rate_per_s=latency_rate,
            latency_commands=latency_commands,
            offered_per_s=offered,
            throughput_commands=commands,
            memory_commands=0,
            memory_rate_per_s=1,
        )
        report = run_tracing_bench(
            Path(home), order, tries, lambda line: progress.print(f"[dim]{line}")
        )
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console().print(tracing_table(report))
