"""`outcry bench ...`: figures that anyone can measure again. Here those of the exchange."""

from typing import Annotated

import typer

from services.tools.bench import model_commands, more_commands
from services.tools.bench.frame import Json, Repeats, Seed, measure, numbers
from services.tools.bench.tracing_command import bench_tracing

app = typer.Typer(no_args_is_help=True, help="Measure, with the spread and a reference beside it.")


def register(parent: typer.Typer) -> None:
    """Add `bench` to the command line."""
    app.command("tracing")(bench_tracing)
    more_commands.register(app)
    model_commands.register(app)
    parent.add_typer(app, name="bench")


@app.command("matcher-core")
def bench_matcher_core(
    *,
    orders: Annotated[int, typer.Option(min=5, help="Over all tickers.")] = 100_000,
    seed: Seed = 7,
    repeats: Repeats = 5,
    json: Json = False,
) -> None:
    """The matcher's fold alone, beside a plain dict-and-deque book on the same commands."""
    from services.tools.bench.matcher_core import matcher_core_table, run_matcher_core_bench

    measure(
        lambda _home, _say: run_matcher_core_bench(orders, seed, repeats),
        matcher_core_table, json=json,
    )  # fmt: skip


@app.command("snapshots")
def bench_snapshots(
    *,
    sizes: Annotated[
        str, typer.Option(help="Orders in the room, separated by commas.")
    ] = "1000,10000,100000",
    repeats: Repeats = 7,
    json: Json = False,
) -> None:
    """The pause of a snapshot in the matcher and in risk, and how long a load takes."""
    from services.tools.bench.snapshots import run_snapshots_bench, snapshots_table

    counts = numbers("--sizes", sizes)
    measure(
        lambda _home, say: run_snapshots_bench(counts, repeats, say),
        snapshots_table, json=json,
    )  # fmt: skip


@app.command("takeover")
def bench_takeover(
    *,
    room: Annotated[str, typer.Option(help="matcher or risk.")] = "matcher",
    orders: Annotated[int, typer.Option(min=1_000, help="Resting in it.")] = 100_000,
    kills: Annotated[int, typer.Option(min=1, help="With a standby, and as many without.")] = 10,
    json: Json = False,
) -> None:
    """From SIGKILL of a full room to its next committed transaction, with a standby and without."""
    from services.tools.bench.takeover import RoomName, run_takeover_bench, takeover_table

    rooms: dict[str, RoomName] = {"matcher": "matcher", "risk": "risk"}
    if room not in rooms:
        raise typer.BadParameter(f"--room: {room!r} is neither matcher nor risk")
    measure(
        lambda home, say: run_takeover_bench(home, rooms[room], orders, kills, say),
        takeover_table, json=json,
    )  # fmt: skip


@app.command("pipeline")
def bench_pipeline(
    *,
    seed: Seed = 7,
    latency_rate: Annotated[int, typer.Option(min=1, help="Commands a second.")] = 300,
    latency_commands: Annotated[int, typer.Option(min=300)] = 18_000,
    offered: Annotated[int, typer.Option(min=1, help="Commands a second, open-loop.")] = 5_000,
    commands: Annotated[int, typer.Option(min=20_000, help="Of the throughput load.")] = 150_000,
    memory_commands: Annotated[
        int, typer.Option(min=0, help="Also watch each room's memory over so many commands.")
    ] = 0,
    memory_rate: Annotated[int, typer.Option(min=1, help="Commands a second of that.")] = 2_500,
    json: Json = False,
) -> None:
    """Orders published to Kafka until their executions are readable, on a stack of its own."""
    from services.tools.bench.pipeline import PipelineOrder, pipeline_table, run_pipeline_bench

    measure(
        lambda home, say: run_pipeline_bench(
            PipelineOrder(
                home=home,
                seed=seed,
                latency_rate_per_s=latency_rate,
                latency_commands=latency_commands,
                offered_per_s=offered,
                throughput_commands=commands,
                memory_commands=memory_commands,
                memory_rate_per_s=memory_rate,
            ),
            say,
        ),
        pipeline_table,
        json=json,
    )


@app.command("audit")
def bench_audit(
    *,
    seed: Seed = 7,
    commands: Annotated[int, typer.Option(min=100, help="Of the crowd.")] = 60_000,
    processes: Annotated[int, typer.Option(min=1)] = 2,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """Deriving a whole exchange again, beside only reading and decoding it, on its own stack."""
    from rich.console import Console

    from services.tools.proof.compiled import load
    from services.tools.proof.compiling import compile_audit

    # Before anything imports what is compiled.
    load(compile_audit(Console(stderr=True).print))
    from services.tools.bench.audit import audit_table, run_audit_bench

    measure(
        lambda home, say: run_audit_bench(home, seed, commands, processes, repeats, say),
        audit_table, json=json,
    )  # fmt: skip


@app.command("gateway")
def bench_gateway(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Of all ways in turn.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="Of each way in a round.")] = 5.0,
    connections: Annotated[int, typer.Option(min=1, help="Kept by the generator.")] = 64,
    steady_seconds: Annotated[
        float, typer.Option(min=1, help="Of the load below half of saturation.")
    ] = 20.0,
    warm_up_seconds: Annotated[
        float, typer.Option(min=1, help="Of each way, before the first round.")
    ] = 15.0,
    json: Json = False,
) -> None:
    """Orders over REST, durable, beside a bare route and the package matching-engine."""
    from services.tools.bench.gateway import GatewayOrder, gateway_table, run_gateway_bench

    measure(
        lambda home, say: run_gateway_bench(
            GatewayOrder(
                home=home,
                rounds=rounds,
                seconds=seconds,
                connections=connections,
                steady_seconds=steady_seconds,
                warm_up_seconds=warm_up_seconds,
            ),
            say,
        ),
        gateway_table,
        json=json,
    )


@app.command("sockets")
def bench_sockets(
    *,
    clients: Annotated[int, typer.Option(min=1, help="That read.")] = 500,
    silent: Annotated[int, typer.Option(min=0, help="That never read.")] = 50,
    rate: Annotated[int, typer.Option(min=1, help="Changes of books a second.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    json: Json = False,
) -> None:
    """Readers of books over the WebSocket: how old each change is on arrival."""
    from services.tools.bench.sockets import SocketsPlan, run_sockets_bench, sockets_table

    measure(
        lambda home, say: run_sockets_bench(
            SocketsPlan(home, clients, silent, rate, seconds), say
        ),
        sockets_table, json=json,
    )  # fmt: skip


@app.command("cold-start")
def bench_cold_start(
    *,
    orders: Annotated[
        int, typer.Option(min=1_000, help="Commands of a crowd in the log.")
    ] = 100_000,
    tail: Annotated[int, typer.Option(min=0, help="Commands since the newest snapshot.")] = 10_000,
    rate: Annotated[int, typer.Option(min=1, help="Commands a second of log time.")] = 500,
    seed: Seed = 7,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """How long risk and the matcher take to start: from the log, the archive, a snapshot."""
    from services.tools.bench.cold_start import ColdStartOrder, run_cold_start_bench
    from services.tools.bench.cold_start_table import cold_start_tables

    measure(
        lambda home, say: run_cold_start_bench(
            ColdStartOrder(
                home=home,
                commands=orders,
                tail_commands=min(tail, orders // 2),
                rate_per_s=rate,
                seed=seed,
                repeats=repeats,
            ),
            say,
        ),
        cold_start_tables,
        json=json,
    )
