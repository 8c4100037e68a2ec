"""`outcry bench ...`: how the exchange grows, breaks and compares, and everything in one run."""

from pathlib import Path
from typing import Annotated

import typer

from services.tools.bench.frame import Json, Repeats, Seed, measure, numbers

Quick = Annotated[bool, typer.Option("--quick", help="Smaller and shorter, for a first look.")]


def register(app: typer.Typer) -> None:
    """Add them to `outcry bench`."""
    app.command("stages")(bench_stages)
    app.command("scaling")(bench_scaling)
    app.command("instances")(bench_instances)
    app.command("peers")(bench_peers)
    app.command("rates")(bench_rates)
    app.command("metrics")(bench_metrics)
    app.command("feed")(bench_feed)
    app.command("gateway-start")(bench_gateway_start)
    app.command("saturation")(bench_saturation)
    app.command("all")(bench_all)


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


def bench_instances(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(help="ingest, risk or matcher; may be repeated. Default: all."),
    ] = None,
    processes: Annotated[
        str, typer.Option(help="How many of a room, one after another; separated by commas.")
    ] = "1,2,4",
    commands: Annotated[
        int, typer.Option(min=1_000, max=100_000, help="Of the simulated crowd.")
    ] = 60_000,
    seed: Seed = 7,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """What ingest, risk and the matcher take over Kafka in one, two and four processes each."""
    from services.tools.bench.instances import (
        INBOXES,
        InstancesOrder,
        instances_table,
        run_instances_bench,
    )
    from services.wire.topics import ACCOUNT_PARTITIONS

    for name in only or ():
        if name not in INBOXES:
            raise typer.BadParameter(f"--only: {name!r} is none of {', '.join(INBOXES)}")
    counts = tuple(numbers("--processes", processes))
    if not 1 <= min(counts) <= max(counts) <= ACCOUNT_PARTITIONS:
        raise typer.BadParameter(f"--processes: 1 to {ACCOUNT_PARTITIONS}, risk's partitions")
    rooms = tuple(room for room in INBOXES if not only or room in only)
    measure(
        lambda home, say: run_instances_bench(
            InstancesOrder(home, seed, commands, counts, repeats, rooms), say
        ),
        instances_table, json=json,
    )  # fmt: skip


def bench_peers(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="matching, log, orders, predictions or reads; may be repeated. Default: all."
        ),
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
    orders, records, seconds = (5_000, 50_000, 3.0) if quick else (30_000, 1_000_000, 10.0)
    measure(
        lambda home, say: run_peers_bench(
            PeersOrder(home, seed, tasks, repeats, orders, records, seconds), say
        ),
        peers_table, json=json,
    )  # fmt: skip


def bench_rates(
    *,
    rates: Annotated[
        str, typer.Option(help="Commands a second, separated by commas.")
    ] = "50,100,300,600,1200",
    seconds: Annotated[float, typer.Option(min=1, help="Of each rate.")] = 20.0,
    seed: Seed = 7,
    json: Json = False,
) -> None:
    """Order to execution by rate, open-loop: percentiles from when each command was due."""
    from services.tools.bench.rates import rates_table, run_rates_bench

    wanted = numbers("--rates", rates)
    if min(wanted) < 1:
        raise typer.BadParameter("--rates: at least 1 a second")
    measure(
        lambda home, say: run_rates_bench(home, wanted, seconds, seed, say), rates_table, json=json
    )


def bench_metrics(
    *,
    commands: Annotated[int, typer.Option(min=1_000, help="Of each load.")] = 60_000,
    offered: Annotated[int, typer.Option(min=1, help="Commands a second, open-loop.")] = 5_000,
    rounds: Annotated[int, typer.Option(min=1, help="Of loads with metrics, and without.")] = 3,
    calm_seconds: Annotated[int, typer.Option(min=5, help="Of all rooms, scraped.")] = 60,
    seed: Seed = 7,
    json: Json = False,
) -> None:
    """What a scrape takes of each room under load, and what counting costs: with and without."""
    from services.tools.bench.metrics_cost import MetricsOrder, metrics_tables, run_metrics_bench

    measure(
        lambda home, say: run_metrics_bench(
            MetricsOrder(home, seed, commands, offered, rounds, calm_s=calm_seconds), say
        ),
        metrics_tables, json=json,
    )  # fmt: skip


def bench_saturation(
    *,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of the load that is too much.")] = 5.0,
    times: Annotated[float, typer.Option(min=1, help="Of what is taken at saturation.")] = 2.0,
    find_seconds: Annotated[
        float, typer.Option(min=2, help="Of each load before it: calm, and at saturation.")
    ] = 15.0,
    connections: Annotated[int, typer.Option(min=1, help="Kept open by the load.")] = 64,
    json: Json = False,
) -> None:
    """Twice what the exchange bears, for minutes; exit code 1 if anything is lost, or it lasts."""
    from services.tools.bench.saturation import (
        SaturationOrder,
        run_saturation_bench,
        saturation_table,
    )

    report = measure(
        lambda home, say: run_saturation_bench(
            SaturationOrder(home, minutes * 60, times, find_seconds, connections), say
        ),
        saturation_table, json=json,
    )  # fmt: skip
    raise typer.Exit(0 if report.is_sound else 1)


def bench_all(
    *,
    quick: Quick = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this benchmark; may be repeated.")
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Folder for benchmarks-run.json and what is drawn from it.")
    ] = Path("results"),
) -> None:
    """Every benchmark of the exchange, each in its own process, and pages of what they found."""
    import matplotlib as mpl  # noqa: F401 - whoever lacks it hears so now, not half an hour later
    from rich.console import Console

    from services.tools.bench.run_all import ENTRIES, JSON_NAME, run_all
    from services.tools.bench.run_page import write_pages

    names = [entry.name for entry in ENTRIES]
    for name in only or ():
        if name not in names:
            raise typer.BadParameter(f"--only: {name!r} is none of {', '.join(names)}")
    results.mkdir(parents=True, exist_ok=True)
    progress = Console(stderr=True, highlight=False)
    run = run_all(quick=quick, only=only or (), folder=results, say=progress.print)
    for file in write_pages(results / JSON_NAME):
        progress.print(f"{file} is drawn from {results / JSON_NAME}")
    raise typer.Exit(1 if any(found.error for found in run.found) else 0)


def bench_gateway_start(
    *,
    sizes: Annotated[
        str, typer.Option(help="Executions recorded, separated by commas.")
    ] = "200000,400000",
    since: Annotated[int, typer.Option(min=0, help="Of them since the snapshots.")] = 50_000,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """What a gateway's start asks PostgreSQL: for everything, and from a snapshot, in turns."""
    from services.tools.bench.gateway_start import gateway_start_table, run_gateway_start_bench

    counts = numbers("--sizes", sizes)
    measure(
        lambda home, say: run_gateway_start_bench(home, counts, since, repeats, say),
        gateway_start_table, json=json,
    )  # fmt: skip


def bench_feed(
    *,
    rate: Annotated[int, typer.Option(min=1, help="Records a second.")] = 5_000,
    seconds: Annotated[float, typer.Option(min=1, help="Of each reader at that rate.")] = 10.0,
    bulk: Annotated[int, typer.Option(min=1_000, help="Records read at once.")] = 100_000,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """Feeding an event loop from Kafka: a thread, confluent-kafka's asyncio client, aiokafka."""
    from services.tools.bench.feed import feed_table, run_feed_bench

    measure(
        lambda home, say: run_feed_bench(home, rate, seconds, bulk, repeats, say),
        feed_table, json=json,
    )  # fmt: skip
