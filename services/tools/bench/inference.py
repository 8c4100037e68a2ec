"""`outcry bench inference`: predictions over HTTP, with features read from the online store.

A real broker takes the predictions, rows are written every second beside, and the generator is a
process of its own: on two cores all of them share what there is.

- one ticker, and five tickers, at a steady rate;
- one ticker during hot reloads, each of a model that was not in service before;
- the reference on the same machine, store and trees, in the same run: Feast's feature server, then
  MLflow's scoring server with the features that it gave, each with one worker, at a rate that they
  keep up with, beside this room at that rate.
"""

import asyncio
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from rich.table import Table

from services.featuresets import SETS
from services.models.vector import inputs_of
from services.tools.bench.frame import Say
from services.tools.bench.inference_load import OK, Ask, Line, Load, offer
from services.tools.bench.inference_stage import (
    FEATURE_SET,
    TICKERS,
    feast_server,
    fresh_rows,
    make_booster,
    mlflow_server,
    promote,
    promoter,
    register,
    room,
)
from services.tools.bench.servers import Server
from services.tools.stack.deployment import create_topics, register_schemas
from services.tools.stack.portcheck import free_run_base
from services.tools.stack.settings import StackSettings
from services.tools.stack.stack import running_stack

_PREFIX: Final = "bench."
_WARM_UP_S: Final = 3.0


class InferenceOrder(msgspec.Struct, frozen=True):
    """What to run."""

    home: Path
    rate_per_s: int = 200
    seconds: float = 30.0
    reloads: int = 20
    reference_rate_per_s: int = 20
    with_reference: bool = True


class InferenceReport(msgspec.Struct, frozen=True):
    """All figures of one run."""

    loads: tuple[Load, ...]
    reloads: int
    """How many models were taken into service under load."""

    def load(self, name: str) -> Load | None:
        """One of them."""
        return next((load for load in self.loads if load.name == name), None)


ONE: Final = "one ticker"
FIVE: Final = "five tickers"
RELOADED: Final = "one ticker, hot reloads"
OURS_SLOWLY: Final = "one ticker, at the reference's rate"
REFERENCE: Final = "Feast's and MLflow's servers, one ticker"


def run_inference_bench(order: InferenceOrder, say: Say) -> InferenceReport:
    """Start everything under the order's home, measure, stop everything."""
    home = order.home / "deployment"
    home.mkdir()
    settings = StackSettings(home=order.home / "stack", port_base=free_run_base())
    say("training two models")
    boosters = [make_booster(seed) for seed in (1, 2)]
    versions = [register(home, booster, seed) for seed, booster in enumerate(boosters, start=1)]
    promote(home, versions[0])
    with running_stack(settings, rooms=()) as stack, fresh_rows(home):
        create_topics(stack.addresses, _PREFIX)
        register_schemas(stack.addresses, _PREFIX)
        loads: list[Load] = []
        with room(home, stack.addresses, _PREFIX) as server:
            asyncio.run(offer("warm up", _predict(TICKERS[:1]), [server], 50, _WARM_UP_S))
            for name, tickers in ((ONE, TICKERS[:1]), (FIVE, TICKERS)):
                say(f"{name}, {order.rate_per_s}/s for {order.seconds:g} s")
                loads.append(
                    asyncio.run(
                        offer(name, _predict(tickers), [server], order.rate_per_s, order.seconds)
                    )
                )
            say(f"{order.reloads} hot reloads under the same load")
            with promoter(home, versions[0]) as promote_there:
                reloaded, reloads = asyncio.run(
                    _reload_under_load(order, promote_there, server, versions)
                )
            loads.append(reloaded)
            loads.append(
                asyncio.run(
                    offer(
                        OURS_SLOWLY, _predict(TICKERS[:1]), [server],
                        order.reference_rate_per_s, order.seconds,
                    )
                )
            )  # fmt: skip
        if order.with_reference:
            say("the reference: feast serve, then mlflow models serve")
            loads.append(_reference(order, home, boosters[0]))
    return InferenceReport(tuple(loads), reloads)


def _predict(tickers: Sequence[str]) -> Ask:
    body = orjson.dumps({"tickers": tickers})

    async def ask(lines: Sequence[Line]) -> bool:
        status, _ = await lines[0].post("/predict", body)
        return status == OK

    return ask


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
        offer(RELOADED, _predict(TICKERS[:1]), [server], order.rate_per_s, order.seconds), reload()
    )
    return load, taken


def _reference(order: InferenceOrder, home: Path, booster: Any) -> Load:  # noqa: ANN401 - XGBoost's
    columns = inputs_of(SETS[FEATURE_SET])
    asked = orjson.dumps({"feature_service": FEATURE_SET, "entities": {"ticker": ["AAPL"]}})

    async def ask(lines: Sequence[Line]) -> bool:
        status, body = await lines[0].post("/get-online-features", asked)
        if status != OK:
            return False
        found = orjson.loads(body)
        names = found["metadata"]["feature_names"]
        values = {
            name: result["values"][0] for name, result in zip(names, found["results"], strict=True)
        }
        row = [values[name] for name in columns]
        scored = orjson.dumps({"dataframe_split": {"columns": columns, "data": [row]}})
        status, _ = await lines[1].post("/invocations", scored)
        return status == OK

    with feast_server(home) as features, mlflow_server(home, booster) as scores:
        servers = [features, scores]
        asyncio.run(offer("warm up", ask, servers, 5, _WARM_UP_S))
        return asyncio.run(
            offer(REFERENCE, ask, servers, order.reference_rate_per_s, order.seconds)
        )


def inference_table(report: InferenceReport) -> Table:
    """For people."""
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
    ours, reference = report.load(OURS_SLOWLY), report.load(REFERENCE)
    assert one is not None
    assert five is not None
    assert reloaded is not None
    table.caption = (
        f"five tickers {five.p50_ms / one.p50_ms:.2f}x of one (p50); {report.reloads} reloads,"
        f" p99 {reloaded.p99_ms / one.p99_ms:.2f}x"
    )
    if ours is not None and reference is not None:
        table.caption += f"; the reference's p99 is {reference.p99_ms / ours.p99_ms:.1f}x ours"
    return table
