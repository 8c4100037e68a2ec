"""Rows of history come into the lake once; what is there is never changed unasked."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.ticks import Tick
from services.lake.errors import LakeError
from services.lake.files import write_file
from services.lake.places import Lake
from services.lake.schemas import BARS, TRADES, feature_schema
from services.tools.features.backfill import Days, day_rows, fill
from services.tools.features.commands import register
from services.tools.features.errors import FeaturesError
from services.tools.features.inputs import Fed, expected_rows, reals
from services.tools.features.lake_trades import days_to_read, fold_days, read_days
from services.tools.features.quality import feature_batches
from services.tools.features.run import backfill_from_lake
from services.tools.features.stores import Expected, compare_lake
from services.tools.vectorfold.columns import trade_columns
from tests.support.drawn_ticks import seeded_ticks
from tests.support.feature_checks import folded

V1: FeatureSet[Tick] = SETS["microstructure_v1"]
ALL = Days()

app = typer.Typer()
register(app)


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
    told: list[tuple[int, int]] = []
    filled = backfill_from_lake(
        lake, V1.name, ALL, None, replace=False, progress=lambda *done: told.append(done)
    )
    assert (told[0], told[-1]) == ((0, 400), (400, 400))
    fed = [Fed("AAPL", Tick(place, *_rest(t)), t.time_us) for place, t in enumerate(ticks)]
    must = Expected()
    for row in expected_rows(V1, iter(fed)):
        must.note(V1, row)
    tally = compare_lake(lake, V1, must, {})
    assert tally.holds
    assert tally.matched == filled.written == filled.computed > 0


def _rest(tick: Tick) -> list[int]:
    return [getattr(tick, name) for name in Tick.__struct_fields__[1:]]


def test_a_history_folded_in_parts_gives_the_rows_of_the_whole() -> None:
    ticks = seeded_ticks(5, 900)
    for part_trades in (11, 250, 2_000):
        parts = [trade_columns(ticks[at : at + 130]) for at in range(0, 900, 130)]
        found = list(fold_days(V1, parts, part_trades))
        assert sum(part.fresh for part in found) == 900
        assert [row for part in found for row in part.rows.rows()] == folded(V1, ticks)
        closing = [t for part in found for t in part.trades.time_us[part.rows.closing].tolist()]
        fed = [Fed("AAPL", tick, tick.time_us) for tick in ticks]
        assert closing == [row.created_us for row in expected_rows(V1, fed)]


def midnights(lake: Lake) -> list[date]:
    """Put trades that go on across two midnights, then pause for days; days with trades."""
    midnight_us = 1_790_035_200_000_000
    first = seeded_ticks(6, 300)
    shift_us = midnight_us - first[150].time_us
    ticks = [Tick(t.offset, t.time_us + shift_us, *_rest(t)[1:]) for t in first]
    for days in (1, 4):
        ticks += [
            Tick(t.offset + days * 10_000, t.time_us + shift_us + days * 86_400_000_000,
                 *_rest(t)[1:])
            for t in first
        ]  # fmt: skip
    put_trades(lake, "AAPL", ticks)
    return lake.days("trades", "AAPL")


def test_days_begin_with_the_trade_that_their_first_row_needs(lake: Lake, tmp_path: Path) -> None:
    days = midnights(lake)
    assert len(days) == 5
    backfill_from_lake(lake, V1.name, ALL, None, replace=False)
    whole = stored(lake, V1.name)
    asked = [days[0] + timedelta(days=n) for n in range(7)]
    for number, day in enumerate(asked):
        part = Lake(tmp_path / str(number))
        part.root.mkdir(parents=True)
        (part.root / "trades").symlink_to(lake.root / "trades")
        backfill_from_lake(part, V1.name, Days(day, day), None, replace=False)
        must = [row for row in whole if isinstance(row[1], datetime) and row[1].date() == day]
        assert stored(part, V1.name) == must, day
        assert bool(must) == (day in days), day


def test_days_that_no_row_needs_are_not_read(lake: Lake) -> None:
    days = midnights(lake)
    path = lake.trades("AAPL", days[0])
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    path.write_bytes(damaged)
    filled = backfill_from_lake(lake, V1.name, Days(first=days[2]), None, replace=False)
    assert filled.written > 100
    with pytest.raises(LakeError, match="is damaged"):
        backfill_from_lake(lake, V1.name, Days(first=days[1]), None, replace=False)


def test_an_untold_side_is_the_tick_rules_and_no_zero(lake: Lake) -> None:
    ticks = [msgspec.structs.replace(tick, side=0) for tick in seeded_ticks(3, 200)]
    put_trades(lake, "AAPL", ticks)
    side, price, sides = 1, ticks[0].price, []
    for tick in ticks:
        side = side if tick.price == price else 1 if tick.price > price else -1
        price = tick.price
        sides.append(side)
    chosen = days_to_read(lake, "AAPL", 60, ALL)
    assert [s for day in read_days(lake, chosen) for s in day.side.tolist()] == sides
    assert len(set(sides)) == 2


def test_what_the_checks_say_of_a_backfill_is_kept(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = {"bid": 0, "bid_quantity": 0, "ask": 0, "ask_quantity": 0}
    ticks = [msgspec.structs.replace(tick, **bare) for tick in seeded_ticks(3, 300)]
    put_trades(lake, "AAPL", ticks)
    monkeypatch.setenv("OUTCRY_HOME", str(lake.root.parent))
    code, filled = outcry("backfill", "--set", V1.name)
    assert (code, filled["computed"]) == (0, filled["written"])
    (batch,) = feature_batches(lake)
    figures = batch.tickers["AAPL"]
    rows = stored(lake, V1.name)
    assert (figures.rows, figures.gaps > 0) == (len(rows), True)
    assert figures.features["spread"].nulls == len(rows), "no quotes were told"
    intensity = [row[6 + V1.columns.index("trade_intensity_5s")] for row in rows]
    known = [value for value in intensity if isinstance(value, float)]
    told = figures.features["trade_intensity_5s"]
    assert (told.nulls, told.least, told.most) == (
        len(rows) - len(known), min(known), max(known),
    )  # fmt: skip
    failed = {check.rule: check.count for check in batch.checks if not check.passed}
    assert failed == {"never_defined": 6}
    assert batch.fingerprint == rows[0][5]
    assert outcry("quality")[1]["batches"][0]["batch"] == batch.batch
    assert outcry("backfill", "--set", V1.name)[1]["written"] == 0
    assert len(feature_batches(lake)) == 2, "each run has its results"


def outcry(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["features", *arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


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
    fill(lake, V1, day_rows(V1, rows))
    assert compare_lake(lake, V1, must, {}).holds
    path, _ = next(iter(lake.feature_files(V1.name)))
    table = pq.read_table(path)
    place = table.column_names.index("mid")
    numbers = table.column("mid").to_pylist()
    numbers[5] = (numbers[5] or 0.0) + 0.00005
    changed = table.set_column(place, "mid", pa.array(numbers, pa.float64()))
    write_file(path, feature_schema(V1.columns), [changed])
    tally = compare_lake(lake, V1, must, {})
    assert (tally.mismatched, tally.matched) == (1, len(rows) - 1)
    assert "is not what the trades give" in tally.differences[0]
    copy = path.with_name("backfill-00000000000000000900-00000000000000000901.parquet")
    write_file(copy, feature_schema(V1.columns), [table])
    assert compare_lake(lake, V1, must, {}).extra == len(rows)


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
    (batch,) = feature_batches(lake)
    assert all(check.passed for check in batch.checks), batch.checks
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
