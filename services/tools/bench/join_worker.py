"""One way of joining, in a process of its own: `python -m ... WAY HOME LABELS ANSWER`.

Reads labels from an Arrow file, joins them once with the lake on the disk, leaves the answer in
another file, and prints processor time (all threads), time on the wall and memory. Libraries are
imported, and a registry is made, before the clock starts.
"""

import json
import resource
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import pyarrow as pa

from services.featuresets.fingerprint import fingerprint
from services.featuresets.microstructure_v1 import MICROSTRUCTURE_V1
from services.lake.places import Lake

type Join = Callable[["pa.Table"], "pa.Table"]
"""Labels to their features in the labels' order; also `grid_time_us`, if the way tells it."""

FEAST_TTL: Final = timedelta(days=1)
"""Feast joins a label with every older row of its ticker first and drops all but one then: without
a time to live that is all rows before it."""
_FEAST_MEMORY: Final = "4GB"
_MEMORY_MAX_BYTES: Final = 8 << 30
"""Of any way: one that wants more fails, rather than everything else on the machine."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _ours(home: Path) -> Join:
    from services.lake.asof import features_as_of

    return lambda labels: features_as_of(Lake(home), MICROSTRUCTURE_V1, labels)


def _polars(home: Path) -> Join:
    import polars as pl

    def join(labels: "pa.Table") -> "pa.Table":
        # By path: each ticker's rows are in order of time, as the join wants them.
        files = [path for path, _ in Lake(home).feature_files(MICROSTRUCTURE_V1.name)]
        rows = (
            pl.scan_parquet(files, hive_partitioning=False)
            .filter(pl.col("fingerprint") == fingerprint(MICROSTRUCTURE_V1))
            .select(
                "ticker",
                pl.col("event_timestamp").dt.timestamp("us").alias("grid_time_us"),
                *MICROSTRUCTURE_V1.columns,
            )
        )
        asked = pl.DataFrame(labels).lazy().with_row_index("place").sort("time_us")
        joined = asked.join_asof(
            rows, left_on="time_us", right_on="grid_time_us", by="ticker", coalesce=False,
            check_sortedness=False,
        )  # fmt: skip
        return joined.sort("place").drop("place").collect().to_arrow()

    return join


def _feast(home: Path) -> Join:
    import ibis  # type: ignore[import-untyped]  # has no types
    import pandas as pd
    from feast import FeatureStore

    from services.online import catalog
    from services.online.settings import feast_folder, repo_config

    feast_folder(home).mkdir(parents=True, exist_ok=True)
    store = FeatureStore(config=repo_config(home))
    source = catalog.source(MICROSTRUCTURE_V1, Lake(home))
    view = catalog.view(MICROSTRUCTURE_V1, source)
    view.ttl = FEAST_TTL
    service = catalog.service(MICROSTRUCTURE_V1, view)
    store.apply([catalog.TICKER, source, view, service])
    # DuckDB would take four fifths of the machine, whoever else is on it.
    ibis.get_backend().raw_sql(f"SET memory_limit = '{_FEAST_MEMORY}'")
    ibis.get_backend().raw_sql(f"SET temp_directory = '{feast_folder(home) / 'spilled'}'")

    def join(labels: "pa.Table") -> "pa.Table":
        times = [_EPOCH + timedelta(microseconds=t) for t in labels.column("time_us").to_pylist()]
        asked = pd.DataFrame(
            {
                "ticker": labels.column("ticker").to_pylist(),
                "event_timestamp": times,
                "place": range(labels.num_rows),
            }
        )
        answer = store.get_historical_features(asked, service).to_arrow()
        return answer.sort_by("place").select(["ticker", *MICROSTRUCTURE_V1.columns])

    return join


WAYS: Final[Mapping[str, Callable[[Path], Join]]] = {
    "ours": _ours,
    "polars": _polars,
    "feast": _feast,
}


def save_table(path: Path, table: "pa.Table") -> None:
    """As an Arrow file, which `load_table` maps into memory."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def load_table(path: Path) -> "pa.Table":
    """Its pages are read as they are looked at."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _memory_mib(name: str) -> float:
    """VmRSS or VmHWM of this process: what getrusage says would begin with the parent's peak."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise LookupError(f"the kernel tells no {name}")


def main() -> None:
    way, home, given, result = sys.argv[1], *map(Path, sys.argv[2:5])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > _MEMORY_MAX_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_MAX_BYTES, hard))
    join, labels = WAYS[way](home), load_table(given)
    before_mib = _memory_mib("VmRSS")
    wall, cpu = perf_counter(), process_time()
    answer = join(labels)
    cpu_s, wall_s = process_time() - cpu, perf_counter() - wall
    peak_mib = _memory_mib("VmHWM")
    save_table(result, answer)
    figures = {"cpu_s": cpu_s, "wall_s": wall_s, "peak_mib": peak_mib, "before_mib": before_mib}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
