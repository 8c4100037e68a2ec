"""Online reads of one row: `FeatureReader` and Feast's own, in process and over HTTP, in turns.

Both read the same store, Feast's with its FeatureService held and the answer taken out of Feast's
message: who asks wants values. `FeatureReader` keeps a row until the store says that something was
written, so each is also asked right after a write, where there is nothing that it could have kept.

Run as `python -m services.tools.bench.online_reads HOME`, it is one try in process, and prints it.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from services.featuresets import SETS
from services.online.features import OnlineFeatures
from services.online.rows import OnlineRow, Served
from services.tools.bench.frame import Say
from services.tools.bench.inference_stage import FEATURE_SET, TICKERS, Stage, feast_server
from services.tools.bench.serving_peers import (
    WayFigures,
    feast_way,
    figures_of,
    one_turn,
    predict_way,
    warm_up,
)
from services.tools.bench.tries import Spread, at_percent, spread_of, try_apart

READER: Final = "FeatureReader, in process"
FEASTS_OWN: Final = "Feast's get_online_features, in process"
LACKS: Final = {
    READER: "on-demand features, lists of features over several views: it reads one FeatureService",
    FEASTS_OWN: "a row's definitions held against the service's, rows kept until the next write",
}
"""Of what the other one does in the same place."""

_READS: Final = 2_000
_WRITES: Final = 200
"""Each costs ten times what a read does, so there are fewer reads behind one."""
_WARM_UP: Final = 100
_TRY_S: Final = 300.0
_NS_PER_US: Final = 1_000
_US_PER_S: Final = 1_000_000
_CHECKS: Final = 3

type _Read = Callable[[], Any]


class ReadCost(msgspec.Struct, frozen=True):
    """Of one read, in one try."""

    p50_us: float
    p99_us: float
    cpu_us: float
    """Processor time of the process, on average."""


class ReadFigures(msgspec.Struct, frozen=True):
    """One way in process, one circumstance, over all tries."""

    who: str
    when: str
    tries: tuple[ReadCost, ...]
    p50_us: Spread
    p99_us: Spread
    cpu_us: Spread


class ReadsReport(msgspec.Struct, frozen=True):
    """All of it."""

    in_process: tuple[ReadFigures, ...]
    over_http: tuple[WayFigures, ...]


KEPT: Final = "nothing written since"
WRITTEN: Final = "a row written before each"
_PLACES: Final = tuple((who, when) for when in (KEPT, WRITTEN) for who in (READER, FEASTS_OWN))


def compare_reads(
    stage: Stage, rate_per_s: int, seconds: float, repeats: int, say: Say
) -> ReadsReport:
    """In turns: both in a process of their own, our room, and Feast's feature server."""
    tries: list[list[ReadCost]] = []
    turns = []
    with feast_server(stage.home) as features:
        ways = (predict_way(stage.server), feast_way(features))
        warm_up(ways, rate_per_s)
        for number in range(repeats):
            say(f"turn {number + 1} of {repeats}: reads in process, then over HTTP")
            said = try_apart(__name__, [str(stage.home)], _TRY_S, "reads in process")
            tries.append(msgspec.convert(said["costs"], list[ReadCost]))
            turns.append(one_turn(ways, rate_per_s, seconds))
    in_process = tuple(
        _figures(who, when, costs)
        for (who, when), costs in zip(_PLACES, zip(*tries, strict=True), strict=True)
    )
    return ReadsReport(in_process, figures_of(turns))


def _figures(who: str, when: str, tries: tuple[ReadCost, ...]) -> ReadFigures:
    return ReadFigures(
        who, when, tries,
        spread_of([cost.p50_us for cost in tries]),
        spread_of([cost.p99_us for cost in tries]),
        spread_of([cost.cpu_us for cost in tries]),
    )  # fmt: skip


def measure_reads(home: Path, reads: int, writes: int) -> list[ReadCost]:
    """One try: each of `_PLACES`, in their order.

    Raises:
        RuntimeError: the two read different values of one row.
    """
    online, ticker = OnlineFeatures(home), TICKERS[0]
    reader, service, store = online.reader(FEATURE_SET), online.service(FEATURE_SET), online.store

    def ours() -> Served:
        (row,) = reader.read([ticker])
        return row

    def theirs() -> dict[str, list[Any]]:
        rows = [{"ticker": ticker}]
        found: dict[str, list[Any]] = store.get_online_features(
            features=service, entity_rows=rows
        ).to_dict()
        return found

    write = _writer(online, ticker)
    write()
    require_alike(ours, theirs)
    for _ in range(_WARM_UP):
        ours()
        theirs()
    kept = [_timed(read, reads, lambda: None) for read in (ours, theirs)]
    return kept + [_timed(read, writes, write) for read in (ours, theirs)]


def require_alike(
    ours: Callable[[], Served], theirs: Callable[[], Mapping[str, Sequence[Any]]]
) -> None:
    """Raise RuntimeError unless both give the same values.

    It is looked more than once, since another process may write a row between the two.
    """
    for _ in range(_CHECKS):
        found, expected = ours().values, theirs()
        if found and all([*expected[name]] == [value] for name, value in found.items()):
            return
    raise RuntimeError(f"{READER} and {FEASTS_OWN} read different values of one row")


def _writer(online: OnlineFeatures, ticker: str) -> Callable[[], None]:
    feature_set, chance = SETS[FEATURE_SET], np.random.default_rng(11)

    def write() -> None:
        now_us = int(time.time() * _US_PER_S)
        values = tuple(chance.normal(size=len(feature_set.features)).tolist())
        online.write(feature_set, [OnlineRow(ticker, now_us, now_us, values)])

    return write


def _timed(read: _Read, times: int, before: Callable[[], None]) -> ReadCost:
    took_us: list[float] = []
    cpu_ns = 0
    for _ in range(times):
        before()
        cpu_before_ns, began_ns = time.process_time_ns(), time.perf_counter_ns()
        read()
        took_us.append((time.perf_counter_ns() - began_ns) / _NS_PER_US)
        cpu_ns += time.process_time_ns() - cpu_before_ns
    return ReadCost(at_percent(took_us, 50), at_percent(took_us, 99), cpu_ns / times / _NS_PER_US)


def main() -> None:
    costs = measure_reads(Path(sys.argv[1]), _READS, _WRITES)
    sys.stdout.write(msgspec.json.encode({"costs": costs}).decode() + "\n")


if __name__ == "__main__":
    main()
