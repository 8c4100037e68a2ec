"""`outcry bench ...`: figures that anyone can measure again."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.tools.bench.tracing_command import bench_tracing

if TYPE_CHECKING:
    from services.tools.bench.pipeline import PipelineReport

app = typer.Typer(no_args_is_help=True, help="Measure, with the spread and a reference beside it.")


def register(parent: typer.Typer) -> None:
    """Add `bench` to the command line."""
    app.command("tracing")(bench_tracing)
    parent.add_typer(app, name="bench")


@app.command("matcher-core")
def bench_matcher_core(
    *,
    orders: Annotated[int, typer.Option(min=5, help="Over all tickers.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of the flow.")] = 7,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """The matcher's fold alone, beside a plain dict-and-deque book on the same commands."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.matcher_core import matcher_core_table, run_matcher_core_bench

    figures = run_matcher_core_bench(orders, seed, repeats)
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        Console().print(matcher_core_table(figures))


@app.command("snapshots")
def bench_snapshots(
    *,
    sizes: Annotated[
        str, typer.Option(help="Orders in the room, separated by commas.")
    ] = "1000,10000,100000",
    repeats: Annotated[int, typer.Option(min=1)] = 7,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """The pause of a snapshot in the matcher and in risk, and how long a load takes."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.snapshots import run_snapshots_bench, snapshots_table

    progress = Console(stderr=True)
    try:
        counts = [int(size) for size in sizes.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--sizes: {sizes!r} is no list of numbers") from None
    figures = run_snapshots_bench(counts, repeats, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        Console().print(snapshots_table(figures, repeats))


@app.command("takeover")
def bench_takeover(
    *,
    room: Annotated[str, typer.Option(help="matcher or risk.")] = "matcher",
    orders: Annotated[int, typer.Option(min=1_000, help="Resting in it.")] = 100_000,
    kills: Annotated[int, typer.Option(min=1, help="With a standby, and as many without.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """From SIGKILL of a full room to its next committed transaction, with a standby and without."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.takeover import RoomName, run_takeover_bench, takeover_table

    rooms: dict[str, RoomName] = {"matcher": "matcher", "risk": "risk"}
    if room not in rooms:
        raise typer.BadParameter(f"--room: {room!r} is neither matcher nor risk")
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        figures = run_takeover_bench(
            Path(home), rooms[room], orders, kills, lambda line: progress.print(f"[dim]{line}")
        )
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        Console().print(takeover_table(figures))


@app.command("pipeline")
def bench_pipeline(
    *,
    seed: Annotated[int, typer.Option(help="Of the simulated crowd.")] = 7,
    latency_rate: Annotated[int, typer.Option(min=1, help="Commands a second.")] = 300,
    latency_commands: Annotated[int, typer.Option(min=300)] = 18_000,
    offered: Annotated[int, typer.Option(min=1, help="Commands a second, open-loop.")] = 5_000,
    commands: Annotated[int, typer.Option(min=20_000, help="Of the throughput load.")] = 150_000,
    memory_commands: Annotated[
        int, typer.Option(min=0, help="Also watch each room's memory over so many commands.")
    ] = 0,
    memory_rate: Annotated[int, typer.Option(min=1, help="Commands a second of that.")] = 2_500,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Orders published to Kafka until their executions are readable, on a stack of its own."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.pipeline import PipelineOrder, run_pipeline_bench

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        order = PipelineOrder(
            home=Path(home),
            seed=seed,
            latency_rate_per_s=latency_rate,
            latency_commands=latency_commands,
            offered_per_s=offered,
            throughput_commands=commands,
            memory_commands=memory_commands,
            memory_rate_per_s=memory_rate,
        )
        report = run_pipeline_bench(order, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        _show(report)


@app.command("features-live")
def bench_features_live(
    *,
    seed: Annotated[int, typer.Option(help="Of the trades.")] = 7,
    rate: Annotated[int, typer.Option(min=10, help="Trades a second, for the latency.")] = 500,
    seconds: Annotated[int, typer.Option(min=5, help="Of that.")] = 60,
    trades: Annotated[int, typer.Option(min=5_000, help="Of the throughput load.")] = 60_000,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Trades until their feature rows are readable, with the trading path's rooms up beside."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.features_live import (
        LiveOrder,
        live_table,
        run_features_live_bench,
    )

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        order = LiveOrder(Path(home), seed, rate, seconds, trades)
        report = run_features_live_bench(order, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console().print(live_table(report))


@app.command("inference")
def bench_inference(
    *,
    rate: Annotated[int, typer.Option(min=1, help="Requests a second, open-loop.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="Of each load.")] = 30.0,
    reloads: Annotated[int, typer.Option(min=1, help="Under load.")] = 20,
    reference_rate: Annotated[
        int, typer.Option(min=1, help="At which Feast's and MLflow's servers are asked.")
    ] = 20,
    reference: Annotated[bool, typer.Option(help="Measure them too.")] = True,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Predictions over HTTP from the online store, also during hot reloads, on its own stack."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.inference import (
        InferenceOrder,
        inference_table,
        run_inference_bench,
    )

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        order = InferenceOrder(Path(home), rate, seconds, reloads, reference_rate, reference)
        report = run_inference_bench(order, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console().print(inference_table(report))


@app.command("audit")
def bench_audit(
    *,
    seed: Annotated[int, typer.Option(help="Of the simulated crowd.")] = 7,
    commands: Annotated[int, typer.Option(min=100, help="Of the crowd.")] = 60_000,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Deriving a whole exchange again, beside only reading and decoding it, on its own stack."""
    import msgspec
    from rich.console import Console

    from services.tools.proof.compiled import load
    from services.tools.proof.compiling import compile_audit

    progress = Console(stderr=True)
    load(compile_audit(lambda line: progress.print(f"[dim]{line}")))
    from services.tools.bench.audit import audit_table, run_audit_bench

    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        report = run_audit_bench(
            Path(home), seed, commands, processes, repeats,
            lambda line: progress.print(f"[dim]{line}"),
        )  # fmt: skip
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console().print(audit_table(report))


@app.command("features")
def bench_features(
    *,
    trades: Annotated[int, typer.Option(min=100, help="Over all tickers.")] = 1_000_000,
    tickers: Annotated[int, typer.Option(min=1)] = 5,
    mean_gap_ms: Annotated[
        int, typer.Option(min=1, help="Between two trades of a ticker, on average.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Of the trades.")] = 7,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """The features of a history by the fold, beside pandas, Polars and DuckDB, compared."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.features import features_table, run_features_bench

    progress = Console(stderr=True)
    figures = run_features_bench(
        trades, tickers, mean_gap_ms, seed, repeats, lambda line: progress.print(f"[dim]{line}")
    )
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        Console().print(features_table(figures))


@app.command("drift")
def bench_drift(
    *,
    rows: Annotated[int, typer.Option(min=1_000, help="Of the reference.")] = 1_000_000,
    features: Annotated[int, typer.Option(min=2, max=20)] = 20,
    tickers: Annotated[int, typer.Option(min=1, max=20)] = 5,
    window_s: Annotated[int, typer.Option(min=60, help="Seconds of a window.")] = 7_200,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """A reference calibrated and a window judged: time and memory of the whole job."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.drift import drift_table, run_drift_bench

    with Console(stderr=True).status("") as status:
        figures = run_drift_bench(rows, features, tickers, window_s, seed, repeats, status.update)
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        Console().print(drift_table(figures))


@app.command("join")
def bench_join(
    *,
    labels: Annotated[int, typer.Option(min=1, help="Tickers and times to ask for.")] = 1_000_000,
    rows: Annotated[int, typer.Option(min=1_000, help="Of features in the lake.")] = 10_000_000,
    feast_labels: Annotated[
        int, typer.Option(min=0, help="The first of them, for Feast; 0: without Feast.")
    ] = 1_000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Of rows and labels.")] = 7,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the lake here, and use it again the next time.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Features as of labels' times from a lake, beside Polars and Feast's DuckDB store."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.join import JoinOrder, join_table, run_join_bench

    order = JoinOrder(folder, rows, labels, min(feast_labels, labels), repeats, seed)
    try:
        with Console(stderr=True).status("") as status:
            figures = run_join_bench(order, status.update)
    except FileExistsError as error:
        raise typer.BadParameter(f"--folder: {error}") from None
    if json:
        typer.echo(msgspec.json.encode(figures, enc_hook=str))
    else:
        Console().print(join_table(figures))


@app.command("training")
def bench_training(
    *,
    rows: Annotated[int, typer.Option(min=5_000, help="Over all tickers.")] = 1_000_000,
    tickers: Annotated[int, typer.Option(min=1)] = 5,
    model: Annotated[str, typer.Option(help="As in `outcry train`.")] = "xgboost",
    seed: Annotated[int, typer.Option(help="Of trades and training.")] = 7,
    budget: Annotated[
        int, typer.Option(min=1, help="How many parameters are tried for each fit.")
    ] = 1,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Time and memory of a training run over a lake, beside one fit by scikit-learn."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.training import run_training_bench, training_table

    progress = Console(stderr=True)
    figures = run_training_bench(
        rows, tickers, model.replace("-", "_"), seed, budget, repeats,
        lambda line: progress.print(f"[dim]{line}"),
    )  # fmt: skip
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        Console().print(training_table(figures))


@app.command("gateway")
def bench_gateway(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Of all ways in turn.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="Of each way in a round.")] = 5.0,
    connections: Annotated[int, typer.Option(min=1, help="Kept by the generator.")] = 64,
    steady_seconds: Annotated[
        float, typer.Option(min=1, help="Of the load below half of saturation.")
    ] = 20.0,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Orders over REST, durable, beside a bare route and the package matching-engine."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.gateway import GatewayOrder, gateway_table, run_gateway_bench

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        order = GatewayOrder(
            home=Path(home),
            rounds=rounds,
            seconds=seconds,
            connections=connections,
            steady_seconds=steady_seconds,
        )
        report = run_gateway_bench(order, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(report))
    else:
        Console().print(gateway_table(report))


@app.command("sockets")
def bench_sockets(
    *,
    clients: Annotated[int, typer.Option(min=1, help="That read.")] = 500,
    silent: Annotated[int, typer.Option(min=0, help="That never read.")] = 50,
    rate: Annotated[int, typer.Option(min=1, help="Changes of books a second.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Readers of books over the WebSocket: how old each change is on arrival."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.sockets import SocketsPlan, run_sockets_bench, sockets_table

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        plan = SocketsPlan(Path(home), clients, silent, rate, seconds)
        report = run_sockets_bench(plan, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(report, enc_hook=str))
    else:
        Console().print(sockets_table(report))


@app.command("cold-start")
def bench_cold_start(
    *,
    orders: Annotated[
        int, typer.Option(min=1_000, help="Commands of a crowd in the log.")
    ] = 100_000,
    tail: Annotated[int, typer.Option(min=0, help="Commands since the newest snapshot.")] = 10_000,
    rate: Annotated[int, typer.Option(min=1, help="Commands a second of log time.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the simulated crowd.")] = 7,
    repeats: Annotated[int, typer.Option(min=1, help="Starts of each kind.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How long risk and the matcher take to start: from the log, the archive, a snapshot."""
    import msgspec
    from rich.console import Console

    from services.tools.bench.cold_start import ColdStartOrder, run_cold_start_bench
    from services.tools.bench.cold_start_table import cold_start_tables

    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="outcry-bench-") as home:
        order = ColdStartOrder(
            home=Path(home),
            commands=orders,
            tail_commands=min(tail, orders // 2),
            rate_per_s=rate,
            seed=seed,
            repeats=repeats,
        )
        report = run_cold_start_bench(order, lambda line: progress.print(f"[dim]{line}"))
    if json:
        typer.echo(msgspec.json.encode(report))
        return
    for table in cold_start_tables(report):
        Console().print(table)


def _show(report: "PipelineReport") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", "spread", title="bench pipeline")
    latency, throughput, reference = report.latency, report.throughput, report.reference
    table.add_row(
        f"order to execution at {latency.rate_per_s}/s, p50",
        f"{latency.p50_ms:.1f} ms",
        f"p95 {latency.p95_ms:.1f}, p99 {latency.p99_ms:.1f}, max {latency.max_ms:.1f} ms"
        f" ({latency.commands:,} commands, generator late by {latency.lateness_max_ms:.1f})",
    )
    table.add_row(
        f"commands answered, {throughput.offered_per_s:,}/s offered",
        f"{throughput.steady_per_s:,.0f}/s",
        f"tenths {throughput.min_per_s:,.0f} to {throughput.max_per_s:,.0f},"
        f" first to last {throughput.whole_per_s:,.0f}/s ({throughput.commands:,} commands)",
    )
    for name, cpu_us in sorted(throughput.cpu_us_per_command.items()):
        table.add_row(f"CPU of {name}", f"{cpu_us:.0f} us/command", "")
    for room in report.memory:
        table.add_row(
            f"memory of {room.room} over {report.memory_commands:,} commands",
            f"{room.end_mib:.0f} MiB",
            f"half-way {room.half_mib:.0f}, max {room.max_mib:.0f}, growth {room.growth:+.1%}",
        )
    table.add_row(
        "reference: the log alone, one partition",
        f"{reference.median_per_s:,.0f}/s",
        f"{reference.min_per_s:,.0f} to {reference.max_per_s:,.0f} ({reference.records:,} records)",
    )
    Console().print(table)
