"""Small files of a day become one; no row is lost, doubled or changed, also after a crash."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.lake.files import write_file
from services.lake.places import Lake, day_of, stream_file
from services.lake.schemas import feature_schema
from services.tools.features.commands import register
from services.tools.features.compact import compact
from services.tools.features.quality import feature_batches

V1 = SETS["microstructure_v1"]
DAY_US = 86_400_000_000

app = typer.Typer()
register(app)


def put(lake: Lake, day: int, first: int, count: int) -> Path:
    """Rows a second apart; offsets are the seconds of the day."""
    times = [day * DAY_US + (first + n) * 1_000_000 for n in range(count)]
    table = pa.table({
        "ticker": ["AAPL"] * count,
        "event_timestamp": times, "created": times, "processed": times,
        "trade_offset": list(range(first, first + count)),
        "fingerprint": [fingerprint(V1)] * count,
        **{name: [float(first + n) for n in range(count)] for name in V1.columns},
    })  # fmt: skip
    folder = lake.features(V1.name, "AAPL", day_of(day * DAY_US))
    path = folder / stream_file(0, first, first + count - 1).name
    schema = feature_schema(V1.columns)
    cast = pa.table({n: table.column(n).cast(schema.field(n).type) for n in table.column_names})
    write_file(path, schema, [cast])
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    for day in (20_000, 20_001):
        for first in (0, 10, 20):
            put(lake, day, first, 10)
    return lake


def rows(lake: Lake) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path, _ in lake.feature_files(V1.name):
        found += [tuple(row.values()) for row in pq.read_table(path).to_pylist()]
    return sorted(found, key=str)


def names(lake: Lake) -> list[str]:
    return [path.name for path, _ in lake.feature_files(V1.name)]


def test_a_day_that_is_over_becomes_one_file_with_the_same_rows(lake: Lake) -> None:
    before, last = rows(lake), lake.last_streamed_offset(V1.name, 0)
    done = compact(lake)
    assert (done.days, done.removed, done.rows) == (1, 3, 30)
    assert rows(lake) == before
    assert lake.last_streamed_offset(V1.name, 0) == last
    assert len(names(lake)) == 4, "the newest day may still get rows, so its files stay"


def test_the_command_says_what_was_done_and_keeps_what_the_checks_say(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTCRY_HOME", str(lake.root.parent))
    done = CliRunner().invoke(app, ["features", "compact", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"days": 1, "removed": 3, "rows": 30}
    (batch,) = feature_batches(lake)
    figures = batch.tickers["AAPL"]
    assert (batch.origin, figures.rows, figures.gaps) == ("stream", 30, 0)
    assert all(check.passed for check in batch.checks)
    compact(lake)
    assert len(feature_batches(lake)) == 1, "where nothing was merged there is nothing to say"


def test_twice_is_once(lake: Lake) -> None:
    compact(lake)
    before = names(lake)
    assert compact(lake).removed == 0
    assert names(lake) == before


def test_what_a_crash_left_twice_is_there_once_after_the_next(lake: Lake) -> None:
    before = rows(lake)
    parts = [path for path, _ in lake.feature_files(V1.name)][:3]
    kept = {path: path.read_bytes() for path in parts[1:]}
    compact(lake)
    for path, content in kept.items():  # as if it had died before it removed them
        path.write_bytes(content)
    assert len(rows(lake)) == len(before) + 20
    assert compact(lake).removed == 2
    assert rows(lake) == before
