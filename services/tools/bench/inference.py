"""`outcry bench inference`: predictions over HTTP, with features read from the online store.

A real broker takes the predictions, rows are written every second beside, and the generator is a
process of its own: on two cores all of them share what there is.

- one ticker, and five tickers, at a steady rate;
- one ticker during hot reloads, each of a model that was not in service before;
- one ticker beside Feast's feature server, MLflow's scoring server, and both one after the other,
  in turns on the same machine, store and trees, at a rate that they keep up with.
"""

import asyncio
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import orjson
from rich.table import Table

from services.tools.bench.frame import Say
from services.tools.bench.inference_load import Load, offer
from services.tools.bench.inference_stage import TICKERS, Stage, promoter, serving_stage
from services.tools.bench.servers import Server
from services.tools.bench.serving_peers import (
    WARM_UP_S,
    WayFigures,
    compare_serving,
    predict,
    serving_table,
)

_WARM_UP_PER_S: Final = 50
REFERENCE_RATE_PER_S: Final = 20
"""Feast's feature server, with one worker, keeps up with it."""


class InferenceOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    rate_per_s: int = 200
    seconds: float = 30.0
    reloads: int = 20
    reference_rate_per_s: int = REFERENCE_RATE_PER_S
    with_reference: bool = True
    repeats: int = 3
    """Turns beside the reference, each of `seconds` for each way."""


class InferenceReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    loads: tuple[Load, ...]
    reloads: int
    """How many models were taken into service under load."""
    reference: tuple[WayFigures, ...]
    """Ours first; empty: it was not asked."""

    def load(self, name: str) -> Load | None:
        """One of them."""
        return next((load for load in self.loads if load.name == name), None)


ONE: Final = "one ticker"
FIVE: Final = "five tickers"
RELOADED: Final = "one ticker, hot reloads"


def run_inference_bench(order: InferenceOrder, say: Say) -> InferenceReport:
    """Start everything under the order's home, measure, stop everything."""
    with serving_stage(order.home, say) as stage:
        servers = [stage.server]
        asyncio.run(offer("warm up", predict(TICKERS[:1]), servers, _WARM_UP_PER_S, WARM_UP_S))
        loads: list[Load] = []
        for name, tickers in ((ONE, TICKERS[:1]), (FIVE, TICKERS)):
            say(f"{name}, {order.rate_per_s}/s for {order.seconds:g} s")
            ask = predict(tickers)
            loads.append(asyncio.run(offer(name, ask, servers, order.rate_per_s, order.seconds)))
        say(f"{order.reloads} hot reloads under the same load")
        reloaded, reloads = _reloaded(order, stage)
        loads.append(reloaded)
        reference: tuple[WayFigures, ...] = ()
        if order.with_reference:
            say("the reference: feast serve and mlflow models serve, beside the room")
            reference = compare_serving(
                stage, order.reference_rate_per_s, order.seconds, order.repeats, say
            )
    return InferenceReport(tuple(loads), reloads, reference)


def _reloaded(order: InferenceOrder, stage: Stage) -> tuple[Load, int]:
    with promoter(stage.home, stage.versions[0]) as promote_there:
        return asyncio.run(_reload_under_load(order, promote_there, stage.server, stage.versions))


async def _reload_under_load(
    order: InferenceOrder,
    promote_there: Callable[[int], None],
    server: Server,
    versions: Sequence[int],
) -> tuple[Load, int]:
    """The load, and how many of the reloads took another model into service."""

    def change(number: int) -> bool:
        promote_there(versions[(number + 1) % len(versions)])
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/admin/reload",
            b"{}",
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - a URL of our own
            outcome = orjson.loads(answer.read())["outcomes"][0]["outcome"]
        # The room's own poll may have come first.
        return outcome in {"loaded", "unchanged"}

    async def reload() -> int:
        taken = 0
        for number in range(order.reloads):
            began_s = time.monotonic()
            taken += await asyncio.to_thread(change, number)
            left_s = order.seconds / order.reloads - (time.monotonic() - began_s)
            await asyncio.sleep(max(0.0, left_s))
        return taken

    load, taken = await asyncio.gather(
        offer(RELOADED, predict(TICKERS[:1]), [server], order.rate_per_s, order.seconds), reload()
    )
    return load, taken


def inference_tables(report: InferenceReport) -> list[Table]:
    """For people: our room's loads, and where it was asked the reference's."""
    tables = [_loads_table(report)]
    if report.reference:
        tables.append(serving_table(report.reference))
    return tables


def _loads_table(report: InferenceReport) -> Table:
    table = Table(
        "load", "requests/s", "p50 ms", "p95 ms", "p99 ms", "max ms", "failed", "server's cpu ms",
        "generator late p99 ms", title="bench inference",
    )  # fmt: skip
    for load in report.loads:
        table.add_row(
            load.name,
            f"{load.rate_per_s}",
            *(f"{each:.2f}" for each in (load.p50_ms, load.p95_ms, load.p99_ms, load.max_ms)),
            f"{load.failed} of {load.requests:,}",
            f"{load.cpu_ms:.2f}",
            f"{load.lateness_p99_ms:.2f}",
        )
    one, five, reloaded = report.load(ONE), report.load(FIVE), report.load(RELOADED)
    assert one is not None
    assert five is not None
    assert reloaded is not None
    table.caption = (
        f"five tickers {five.p50_ms / one.p50_ms:.2f}x of one (p50); {report.reloads} reloads,"
        f" p99 {reloaded.p99_ms / one.p99_ms:.2f}x"
    )
    return table
