"""Feast's feature server and MLflow's scoring server beside our room, in turns.

All run at once on one machine, over one store and the same trees, each with one worker; while one
is asked, the others idle. `POST /predict` reads features and predicts, which takes two answers of
theirs: so each is asked alone, and both one after the other.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import orjson
from rich.table import Table

from services.featuresets import SETS
from services.models.vector import inputs_of
from services.tools.bench.frame import Say
from services.tools.bench.inference_load import OK, Ask, Line, Load, offer
from services.tools.bench.inference_stage import (
    FEATURE_SET,
    TICKERS,
    Stage,
    feast_server,
    mlflow_server,
)
from services.tools.bench.servers import Server
from services.tools.bench.tries import Spread, spell, spread_of

OURS: Final = "POST /predict (reads and predicts)"
FEAST: Final = "Feast's feature server (online reads)"
MLFLOW: Final = "MLflow's scoring server (predictions)"
CHAINED: Final = "Feast's, then MLflow's (reads, then predicts)"
LACKS: Final = {
    OURS: "",
    FEAST: "a prediction (it answers with features), how old they may be, refusals by name",
    MLFLOW: "features: who asks brings them, and no store is read; a model taken over while it"
    " serves, a record of what was said, refusals by name",
    CHAINED: "how old features may be, refusals by name, a model taken over while it serves,"
    " a record of what was said",
}
"""Of what ours does in the same place."""
WARM_UP_S: Final = 3.0


class Way(msgspec.Struct, frozen=True):
    """Who is asked, and what."""

    name: str
    ask: Ask
    servers: tuple[Server, ...]
    """Whose processor time counts: those that it asks, and no other."""


class WayFigures(msgspec.Struct, frozen=True):
    """What one way met, over all turns."""

    name: str
    rate_per_s: int
    tries: tuple[Load, ...]
    """One a turn, in their order."""
    failed: int
    """In all tries."""
    requests: int
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    max_ms: Spread
    cpu_ms: Spread
    """Processor time of its servers, a request."""
    lateness_p99_ms: Spread
    p99_to_ours: Spread
    """Its 99th percentile to that of the first way in the same turn."""


def compare_serving(
    stage: Stage, rate_per_s: int, seconds: float, repeats: int, say: Say
) -> tuple[WayFigures, ...]:
    """Start their servers beside the room, and ask ours, each of theirs, and both, in turns."""
    home, booster = stage.home, stage.boosters[0]
    with feast_server(home) as features, mlflow_server(home, booster) as scores:
        ways = (
            predict_way(stage.server),
            feast_way(features),
            Way(MLFLOW, _scored(), (scores,)),
            Way(CHAINED, _read_and_scored, (features, scores)),
        )
        return take_turns(ways, rate_per_s, seconds, repeats, say)


def predict_way(server: Server) -> Way:
    """Ours, one ticker."""
    return Way(OURS, predict(TICKERS[:1]), (server,))


def feast_way(server: Server) -> Way:
    """An online read of the same ticker."""
    return Way(FEAST, _read, (server,))


def predict(tickers: Sequence[str]) -> Ask:
    """Asks our room for predictions of all of these."""
    body = orjson.dumps({"tickers": tickers})

    async def ask(lines: Sequence[Line]) -> bool:
        status, _ = await lines[0].post("/predict", body)
        return status == OK

    return ask


async def _read(lines: Sequence[Line]) -> bool:
    return await _features(lines[0]) is not None


async def _read_and_scored(lines: Sequence[Line]) -> bool:
    values = await _features(lines[0])
    if values is None:
        return False
    status, _ = await lines[1].post("/invocations", _to_score(values))
    return status == OK


def _scored() -> Ask:
    columns = inputs_of(SETS[FEATURE_SET])
    chance = np.random.default_rng(5)
    body = _to_score(dict(zip(columns, chance.normal(size=len(columns)).tolist(), strict=True)))

    async def ask(lines: Sequence[Line]) -> bool:
        status, _ = await lines[0].post("/invocations", body)
        return status == OK

    return ask


_ASKED: Final = orjson.dumps({"feature_service": FEATURE_SET, "entities": {"ticker": TICKERS[:1]}})


async def _features(line: Line) -> dict[str, Any] | None:
    """The ticker's, by Feast's server; None: it did not give all that a model takes.

    Feast answers 200 with nulls where it has no row, which is no read.
    """
    status, body = await line.post("/get-online-features", _ASKED)
    if status != OK:
        return None
    found = orjson.loads(body)
    names = found["metadata"]["feature_names"]
    values = {
        name: result["values"][0] for name, result in zip(names, found["results"], strict=True)
    }
    wanted = {name: values.get(name) for name in inputs_of(SETS[FEATURE_SET])}
    return None if None in wanted.values() else wanted


def _to_score(values: dict[str, Any]) -> bytes:
    split = {"columns": list(values), "data": [list(values.values())]}
    return orjson.dumps({"dataframe_split": split})


def take_turns(
    ways: Sequence[Way],
    rate_per_s: int,
    seconds: float,
    repeats: int,
    say: Say,
    warm_up_s: float = WARM_UP_S,
) -> tuple[WayFigures, ...]:
    """Ask each way, then all again; the first is the one that others are held against."""
    warm_up(ways, rate_per_s, warm_up_s)
    turns = []
    for number in range(repeats):
        say(f"turn {number + 1} of {repeats}: {len(ways)} ways, {rate_per_s}/s")
        turns.append(one_turn(ways, rate_per_s, seconds))
    return figures_of(turns)


def warm_up(ways: Iterable[Way], rate_per_s: int, seconds: float = WARM_UP_S) -> None:
    """Ask each without measuring: a server loads the last of its code with its first answers."""
    one_turn(ways, rate_per_s, seconds)


def one_turn(ways: Iterable[Way], rate_per_s: int, seconds: float) -> list[Load]:
    """Each way once, alone."""
    return [asyncio.run(offer(way.name, way.ask, way.servers, rate_per_s, seconds)) for way in ways]


def figures_of(turns: Sequence[Sequence[Load]]) -> tuple[WayFigures, ...]:
    """Each way over all turns, which have the same ways in the same order."""
    ours = [turn[0] for turn in turns]
    return tuple(_figures(tries, ours) for tries in zip(*turns, strict=True))


def _figures(tries: tuple[Load, ...], ours: Sequence[Load]) -> WayFigures:
    def of_each(figure: Callable[[Load], float]) -> Spread:
        return spread_of([figure(load) for load in tries])

    return WayFigures(
        name=tries[0].name,
        rate_per_s=tries[0].rate_per_s,
        tries=tries,
        failed=sum(load.failed for load in tries),
        requests=sum(load.requests for load in tries),
        p50_ms=of_each(lambda load: load.p50_ms),
        p95_ms=of_each(lambda load: load.p95_ms),
        p99_ms=of_each(lambda load: load.p99_ms),
        max_ms=of_each(lambda load: load.max_ms),
        cpu_ms=of_each(lambda load: load.cpu_ms),
        lateness_p99_ms=of_each(lambda load: load.lateness_p99_ms),
        p99_to_ours=spread_of(
            [load.p99_ms / other.p99_ms for load, other in zip(tries, ours, strict=True)]
        ),
    )


def serving_table(ways: Sequence[WayFigures]) -> Table:
    """For people; the 95th percentile and each try are in the JSON alone."""
    table = Table(
        "way", "requests/s", "p50 ms", "p99 ms", "most ms", "failed", "its servers' cpu ms",
        "generator late p99 ms", "p99 to ours, same turn",
        title=f"one ticker, {len(ways[0].tries)} turns, each figure by its median (least, most)",
    )  # fmt: skip
    for way in ways:
        table.add_row(
            way.name,
            f"{way.rate_per_s}",
            *(spell(each) for each in (way.p50_ms, way.p99_ms, way.max_ms)),
            f"{way.failed} of {way.requests:,}",
            *(spell(each) for each in (way.cpu_ms, way.lateness_p99_ms, way.p99_to_ours)),
        )
    table.caption = "; ".join(
        f"{way.name} lacks: {LACKS[way.name]}" for way in ways if LACKS.get(way.name)
    )
    return table
