"""`outcry bench ...`: the figures of features and models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.tools.bench.frame import Json, Repeats, Say, Seed, measure

if TYPE_CHECKING:
    from services.tools.bench.drift import DriftFigures
    from services.tools.bench.join import JoinFigures


def register(app: typer.Typer) -> None:
    """Add them to `outcry bench`."""
    app.command("features-live")(bench_features_live)
    app.command("inference")(bench_inference)
    app.command("features")(bench_features)
    app.command("drift")(bench_drift)
    app.command("join")(bench_join)
    app.command("training")(bench_training)


def bench_features_live(
    *,
    seed: Seed = 7,
    rate: Annotated[int, typer.Option(min=10, help="Trades a second, for the latency.")] = 500,
    seconds: Annotated[int, typer.Option(min=5, help="Of that.")] = 60,
    trades: Annotated[int, typer.Option(min=5_000, help="Of the throughput load.")] = 60_000,
    json: Json = False,
) -> None:
    """Trades until their feature rows are readable, with the trading path's rooms up beside."""
    from services.tools.bench.features_live import LiveOrder, live_table, run_features_live_bench

    measure(
        lambda home, say: run_features_live_bench(
            LiveOrder(home, seed, rate, seconds, trades), say
        ),
        live_table, json=json,
    )  # fmt: skip


def bench_inference(
    *,
    rate: Annotated[int, typer.Option(min=1, help="Requests a second, open-loop.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="Of each load.")] = 30.0,
    reloads: Annotated[int, typer.Option(min=1, help="Under load.")] = 20,
    reference_rate: Annotated[
        int, typer.Option(min=1, help="At which Feast's and MLflow's servers are asked.")
    ] = 20,
    reference: Annotated[bool, typer.Option(help="Measure them too.")] = True,
    repeats: Annotated[
        int, typer.Option(min=1, help="Turns beside them, each with its own load of each way.")
    ] = 3,
    json: Json = False,
) -> None:
    """Predictions over HTTP from the online store, also during hot reloads, on its own stack."""
    from services.tools.bench.inference import (
        InferenceOrder,
        inference_tables,
        run_inference_bench,
    )

    measure(
        lambda home, say: run_inference_bench(
            InferenceOrder(home, rate, seconds, reloads, reference_rate, reference, repeats), say
        ),
        inference_tables, json=json,
    )  # fmt: skip


def bench_features(
    *,
    trades: Annotated[int, typer.Option(min=100, help="Over all tickers.")] = 1_000_000,
    tickers: Annotated[int, typer.Option(min=1)] = 5,
    mean_gap_ms: Annotated[
        int, typer.Option(min=1, help="Between two trades of a ticker, on average.")
    ] = 100,
    seed: Seed = 7,
    repeats: Repeats = 5,
    json: Json = False,
) -> None:
    """The features of a history by the fold, beside pandas, Polars and DuckDB, compared."""
    from services.tools.bench.features import features_table, run_features_bench

    measure(
        lambda _home, say: run_features_bench(
            trades, tickers, mean_gap_ms, seed, repeats, say
        ),
        features_table, json=json,
    )  # fmt: skip


def bench_drift(
    *,
    rows: Annotated[int, typer.Option(min=1_000, help="Of the reference.")] = 1_000_000,
    features: Annotated[int, typer.Option(min=2, max=20)] = 20,
    tickers: Annotated[int, typer.Option(min=1, max=20)] = 5,
    window_s: Annotated[int, typer.Option(min=60, help="Seconds of a window.")] = 7_200,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    repeats: Repeats = 3,
    whole: Annotated[
        bool, typer.Option("--job/--no-job", help="`outcry drift run` over a lake, too.")
    ] = True,
    json: Json = False,
) -> None:
    """A reference calibrated and a window judged, in memory and as a job: time and memory."""
    from services.tools.bench.drift import drift_tables, run_drift_bench, with_job

    def run(_home: Path, say: Say) -> "DriftFigures":
        figures = run_drift_bench(rows, features, tickers, window_s, seed, repeats, say)
        return with_job(figures, say) if whole else figures

    measure(run, drift_tables, json=json)


def bench_join(
    *,
    labels: Annotated[int, typer.Option(min=1, help="Tickers and times to ask for.")] = 1_000_000,
    rows: Annotated[int, typer.Option(min=1_000, help="Of features in the lake.")] = 10_000_000,
    feast_labels: Annotated[
        int, typer.Option(min=0, help="The first of them, for Feast; 0: without Feast.")
    ] = 1_000,
    repeats: Repeats = 3,
    seed: Seed = 7,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the lake here, and use it again the next time.")
    ] = None,
    json: Json = False,
) -> None:
    """Features as of labels' times from a lake, beside Polars and Feast's DuckDB store."""
    from services.tools.bench.join import JoinOrder, join_table, run_join_bench

    order = JoinOrder(folder, rows, labels, min(feast_labels, labels), repeats, seed)

    def run(_home: Path, say: Say) -> "JoinFigures":
        try:
            return run_join_bench(order, say)
        except FileExistsError as error:
            raise typer.BadParameter(f"--folder: {error}") from None

    measure(run, join_table, json=json)


def bench_training(
    *,
    rows: Annotated[int, typer.Option(min=5_000, help="Over all tickers.")] = 1_000_000,
    tickers: Annotated[int, typer.Option(min=1)] = 5,
    model: Annotated[str, typer.Option(help="As in `outcry train`.")] = "xgboost",
    seed: Seed = 7,
    budget: Annotated[
        int, typer.Option(min=1, help="How many parameters are tried for each fit.")
    ] = 1,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """Time and memory of a training run over a lake, beside one fit by scikit-learn."""
    from services.tools.bench.training import run_training_bench, training_table

    measure(
        lambda _home, say: run_training_bench(
            rows, tickers, model.replace("-", "_"), seed, budget, repeats, say
        ),
        training_table, json=json,
    )  # fmt: skip
