"""Rows of history come into the lake once; what is there is never changed unasked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.lake.files import write_file
from services.lake.places import Lake
from services.lake.schemas import BARS, TRADES, feature_schema
from services.tools.features.backfill import Days, fill
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import Fed, expected_rows, reals
from services.tools.features.run import backfill_from_lake
from services.tools.features.stores import Expected, compare_lake
from tests.support.drawn_ticks import seeded_ticks

V1: FeatureSet[Tick] = SETS["microstructure_v1"]
ALL = Days()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def put_trades(lake: Lake, ticker: str, ticks: Sequence[Tick]) -> None:
    """As history is ingested: a file a day."""
    by_day: dict[date, list[Tick]] = {}
    for tick in ticks:
        by_day.setdefault(datetime.fromtimestamp(tick.time_us / 1e6, UTC).date(), []).append(tick)
    for day, members in by_day.items():
        table = pa.table({
            "ticker": [ticker] * len(members),
            "time": pa.array([t.time_us for t in members], TRADES.field("time").type),
            "sequence": list(range(len(members))),
            "price": [t.price for t in members],
            "quantity": [t.quantity for t in members],
            "aggressor_side": [t.side for t in members],
            "bid": [t.bid for t in members],
            "bid_quantity": [t.bid_quantity for t in members],
            "ask": [t.ask for t in members],
            "ask_quantity": [t.ask_quantity for t in members],
            "trade_id": pa.nulls(len(members), pa.string()),
        })  # fmt: skip
        write_file(lake.trades(ticker, day), TRADES, [table])


def stored(lake: Lake, name: str) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for path, _ in lake.feature_files(name):
        table = pq.read_table(path)
        rows += [tuple(row.values()) for row in table.to_pylist()]
    return rows


def test_rows_of_the_lakes_trades_are_those_of_the_fold(lake: Lake) -> None:
    ticks = seeded_ticks(3, 400)
    put_trades(lake, "AAPL", ticks)
    filled = backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    fed = [Fed("AAPL", Tick(place, *_rest(t)), t.time_us) for place, t in enumerate(ticks)]
    must = Expected()
    for row in expected_rows(V1, iter(fed)):
        must.note(V1, row)
    tally = compare_lake(lake, V1, must)
    assert tally.holds
    assert tally.matched == filled.written == filled.computed > 0


def _rest(tick: Tick) -> list[int]:
    return [getattr(tick, name) for name in Tick.__struct_fields__[1:]]


def test_twice_is_once(lake: Lake) -> None:
    put_trades(lake, "AAPL", seeded_ticks(3, 400))
    first = backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    before = stored(lake, V1.name)
    again = backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    assert (again.written, again.kept) == (0, first.written)
    assert stored(lake, V1.name) == before


def test_days_that_are_not_asked_for_are_not_written(lake: Lake) -> None:
    ticks = seeded_ticks(3, 400)
    ticks += [Tick(t.offset + 10_000, t.time_us + 86_400_000_000, *_rest(t)[1:]) for t in ticks]
    put_trades(lake, "AAPL", ticks)
    second = lake.days("trades", "AAPL")[-1]
    part = backfill_from_lake(lake, V1.name, Days(first=second), None, replace=False)
    whole = backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    assert 0 < part.written < whole.computed
    assert whole.kept == part.written
    assert whole.written == whole.computed - part.written


def test_other_rows_are_refused_and_replaced_only_when_asked(lake: Lake) -> None:
    ticks = seeded_ticks(3, 400)
    put_trades(lake, "AAPL", ticks)
    backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    before = stored(lake, V1.name)
    wrong = ticks[200]
    ticks[200] = Tick(wrong.offset, wrong.time_us, wrong.price + 100, *_rest(wrong)[2:])
    put_trades(lake, "AAPL", ticks)
    with pytest.raises(FeaturesError, match=r"rows with other values .* --replace"):
        backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    assert stored(lake, V1.name) == before
    replaced = backfill_from_lake(lake, V1.name, ALL, None, replace=True)
    after = stored(lake, V1.name)
    assert replaced.written > 0
    assert len(after) == len(before)
    assert after != before


def test_a_row_that_is_there_twice_or_changed_is_found_in_the_lake(lake: Lake) -> None:
    ticks = seeded_ticks(3, 200)
    fed = [Fed("AAPL", t, t.time_us) for t in ticks]
    rows = list(expected_rows(V1, iter(fed)))
    must = Expected()
    for row in rows:
        must.note(V1, row)
    fill(lake, V1, rows)
    assert compare_lake(lake, V1, must).holds
    path, _ = next(iter(lake.feature_files(V1.name)))
    table = pq.read_table(path)
    place = table.column_names.index("mid")
    numbers = table.column("mid").to_pylist()
    numbers[5] = (numbers[5] or 0.0) + 0.00005
    changed = table.set_column(place, "mid", pa.array(numbers, pa.float64()))
    write_file(path, feature_schema(V1.columns), [changed])
    tally = compare_lake(lake, V1, must)
    assert (tally.mismatched, tally.matched) == (1, len(rows) - 1)
    assert "is not what the trades give" in tally.differences[0]
    copy = path.with_name("backfill-00000000000000000900-00000000000000000901.parquet")
    write_file(copy, feature_schema(V1.columns), [table])
    assert compare_lake(lake, V1, must).extra == len(rows)


def test_what_the_lake_does_not_have_is_said(lake: Lake) -> None:
    with pytest.raises(FeaturesError, match="the lake has no trades: ingest some"):
        backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    put_trades(lake, "AAPL", seeded_ticks(3, 20))
    with pytest.raises(FeaturesError, match="no trades of NOPE; it has AAPL"):
        backfill_from_lake(lake, V1.name, ALL, ["NOPE"], replace=False)


def test_daily_rows_come_from_the_lakes_bars(lake: Lake) -> None:
    days = [date(2026, 1, day) for day in range(1, 31)]
    closes = [1_000_000 + 1_000 * place for place in range(30)]
    table = pa.table({
        "ticker": ["AAPL"] * 30,
        "time": pa.array(
            [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in days], BARS.field("time").type
        ),
        "open": closes, "high": [c + 10 for c in closes], "low": [c - 10 for c in closes],
        "close": closes, "volume": list(range(100, 130)),
        "adjusted_close": pa.nulls(30, BARS.field("adjusted_close").type),
        "dividend": pa.nulls(30, BARS.field("dividend").type),
        "split_to": pa.nulls(30, pa.int64()), "split_from": pa.nulls(30, pa.int64()),
    })  # fmt: skip
    write_file(lake.bars("1d", "AAPL", 2026), BARS, [table])
    filled = backfill_from_lake(lake, "daily_v1", ALL, None, replace=False)
    assert (filled.written, filled.files) == (30, 30)
    rows = pq.read_table(lake.feature_set("daily_v1") / "ticker=AAPL")
    assert rows.column("return_1d").to_pylist()[0] is None
    assert rows.column("return_1d").to_pylist()[1] == 0.001


def test_reals_are_one_division_of_the_rows_integers() -> None:
    row = list(expected_rows(V1, iter(_trades())))[-1]
    for feature, real, value in zip(V1.features, reals(V1, row), row.values, strict=True):
        assert real == (None if value is None else value / feature.scale), feature.name


def _trades() -> list[Fed]:
    ticks = seeded_ticks(3, 60)
    return [Fed("AAPL", t, t.time_us) for t in ticks]
