"""What is written is written whole, the same rows give the same bytes, and damage is seen."""

import multiprocessing
import time
from collections.abc import Iterator
from datetime import date
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.lake.errors import LakeError, LakeLockedError
from services.lake.files import (
    ROWS_A_GROUP,
    FileWriter,
    open_file,
    partial_of,
    read_batches,
    read_file,
    sweep,
    write_file,
)
from services.lake.lock import HISTORY, STREAM, locked
from services.lake.places import Lake
from services.lake.reading import connect, read_bars, read_trades
from services.lake.schemas import BARS, TRADES, feature_schema

DAY = date(2012, 6, 21)
DAY_US = 1_340_236_800_000_000


def trades(count: int, start_us: int = DAY_US, ticker: str = "AAPL") -> "pa.Table":
    return pa.table(
        {
            "ticker": [ticker] * count,
            "time": pa.array(range(start_us, start_us + count), pa.timestamp("us", tz="UTC")),
            "sequence": range(count),
            "price": [1_000_000 + i % 7 for i in range(count)],
            "quantity": [1 + i % 100 for i in range(count)],
            "aggressor_side": pa.array([0] * count, pa.int8()),
            "bid": pa.array([None] * count, pa.int64()),
            "bid_quantity": pa.array([None] * count, pa.int64()),
            "ask": pa.array([None] * count, pa.int64()),
            "ask_quantity": pa.array([None] * count, pa.int64()),
            "trade_id": pa.array([None] * count, pa.string()),
        },
        schema=TRADES,
    )


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trades.parquet"
    assert write_file(path, TRADES, [trades(10)])
    assert read_file(path, "trades").equals(trades(10))
    assert [p.name for p in path.parent.iterdir()] == ["trades.parquet"]


def test_the_bytes_do_not_tell_how_rows_were_handed_over(tmp_path: Path) -> None:
    rows = trades(ROWS_A_GROUP + 500)
    pieces = [rows.slice(0, 7), rows.slice(7, ROWS_A_GROUP), rows.slice(ROWS_A_GROUP + 7)]
    write_file(tmp_path / "one.parquet", TRADES, [rows])
    write_file(tmp_path / "many.parquet", TRADES, pieces)
    one, many = (tmp_path / f"{name}.parquet" for name in ("one", "many"))
    assert one.read_bytes() == many.read_bytes()
    assert pq.ParquetFile(one).num_row_groups == 2


def test_the_same_rows_again_change_nothing_and_other_rows_do(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    write_file(path, TRADES, [trades(10)])
    before = path.stat()
    assert not write_file(path, TRADES, [trades(10)])
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert write_file(path, TRADES, [trades(11)])
    assert read_file(path, "trades").num_rows == 11


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    write_file(path, TRADES, [trades(10)])

    def breaking() -> "Iterator[pa.Table]":
        yield trades(5)
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        write_file(path, TRADES, breaking())
    assert read_file(path, "trades").num_rows == 10
    assert [p.name for p in tmp_path.iterdir()] == ["trades.parquet"]


def test_a_writer_that_died_leaves_nothing_that_a_reader_takes(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    path = lake.trades("AAPL", DAY)
    FileWriter(path, TRADES).write(trades(10))  # and never finishes
    assert partial_of(path).exists()
    assert lake.files("trades") == []
    assert sweep(lake.root) == 1
    assert not partial_of(path).exists()


@pytest.mark.parametrize("cut", [0, 3, 200, -1])
def test_a_half_written_file_is_refused_with_its_name(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "trades.parquet"
    write_file(path, TRADES, [trades(1_000)])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(LakeError, match=r"trades\.parquet is half-written or damaged"):
        open_file(path, "trades")


def test_a_byte_that_changed_on_the_disk_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    write_file(path, TRADES, [trades(20_000)])
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(LakeError, match=r"trades\.parquet is (half-written or )?damaged"):
        list(read_batches(path, "trades"))


def test_anothers_parquet_and_another_kind_are_refused(tmp_path: Path) -> None:
    foreign, bars = tmp_path / "foreign.parquet", tmp_path / "bars.parquet"
    pq.write_table(pa.table({"ticker": ["AAPL"]}), foreign)
    write_file(bars, BARS, [BARS.empty_table()])
    with pytest.raises(LakeError, match=r"foreign\.parquet .*was not written by Outcry"):
        open_file(foreign, "trades")
    with pytest.raises(LakeError, match="it holds bars, not trades"):
        open_file(bars, "trades")
    with pytest.raises(LakeError, match="no file"):
        open_file(tmp_path / "none.parquet", "trades")


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    write_file(path, TRADES, [trades(1)], {b"outcry.format": b"2"})
    with pytest.raises(LakeError, match="format 2 and this version reads 1"):
        open_file(path, "trades")


def test_a_disk_that_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LakeError, match=r"can't be written \(File exists\)"):
        write_file(tmp_path / "file" / "trades.parquet", TRADES, [trades(1)])


def hold(home: Path, ready: Event) -> None:
    with locked(Lake(home), HISTORY):
        ready.set()
        time.sleep(60)  # killed long before


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(tmp_path, ready))
    holder.start()
    try:
        assert ready.wait(30)
        with (
            pytest.raises(LakeLockedError, match=f"process {holder.pid} writes history"),
            locked(Lake(tmp_path), HISTORY),
        ):
            pass
        with locked(Lake(tmp_path), STREAM):
            pass  # another part of the lake
        holder.kill()
        holder.join(30)
        with locked(Lake(tmp_path), HISTORY):
            pass  # the kernel freed it
    finally:
        holder.kill()
        holder.join(30)
        holder.close()


def test_trades_are_read_in_order_of_days_and_sql_sees_them_all(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    later = date(2012, 6, 22)
    write_file(lake.trades("AAPL", later), TRADES, [trades(5, DAY_US + 86_400_000_000)])
    write_file(lake.trades("AAPL", DAY), TRADES, [trades(3)])
    write_file(lake.trades("MSFT", DAY), TRADES, [trades(4, ticker="MSFT")])
    assert [batch.num_rows for batch in read_trades(lake, "AAPL")] == [3, 5]
    assert [batch.num_rows for batch in read_trades(lake, "AAPL", later)] == [5]
    assert [batch.num_rows for batch in read_trades(lake, "AAPL", None, DAY)] == [3]
    with connect(lake) as sql:
        counted = sql.sql("SELECT ticker, count(*) FROM trades GROUP BY 1 ORDER BY 1").fetchall()
        times = sql.sql("SELECT min(epoch_us(time)) FROM trades").fetchall()
    assert counted == [("AAPL", 8), ("MSFT", 4)]
    assert times == [(DAY_US,)]


def test_sql_refuses_a_lake_with_a_file_that_is_not_its_own(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_file(lake.trades("AAPL", DAY), TRADES, [trades(3)])
    pq.write_table(pa.table({"x": [1]}), lake.trades("AAPL", DAY).with_name("extra.parquet"))
    with pytest.raises(LakeError, match=r"extra\.parquet does not belong here"):
        connect(lake)


def test_bars_of_a_ticker_without_any_are_an_empty_table(tmp_path: Path) -> None:
    found = read_bars(Lake(tmp_path), "1d", "AAPL")
    assert (found.num_rows, found.schema.names) == (0, BARS.names)


def test_a_feature_schema_has_its_times_first_and_a_column_a_feature() -> None:
    schema = feature_schema(["spread", "mid"])
    assert schema.names[-2:] == ["spread", "mid"]
    assert schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")
    assert not schema.field("trade_offset").nullable
