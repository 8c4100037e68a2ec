"""What a reader of `outcry bench feed` notes, and how the ways are shown beside each other."""

import time

from services.tools.bench.feed import WAYS, FeedFigures, WayFigures, feed_table
from services.tools.bench.feed_reader import TIME_BYTES, _Ear
from services.tools.bench.tries import Spread


async def test_an_ear_notes_ages_and_ends_after_so_many_records() -> None:
    ear, now_ns = _Ear(20), time.time_ns()
    ear.hear([])
    assert not ear.first_s
    old = (now_ns - 60_000_000_000).to_bytes(TIME_BYTES)
    new = now_ns.to_bytes(TIME_BYTES)
    ear.hear([old, old] + [new] * 17)
    assert not ear.done.is_set()
    ear.hear([new + b"and a value"])
    assert ear.done.is_set()
    assert 0 < ear.first_s <= ear.last_s
    # The first tenth does not count.
    assert 0 <= ear.lag_ms(99) < 60_000


def test_each_way_is_a_column() -> None:
    one = Spread(1.0, 0.5, 2.0)
    ways = [WayFigures(way, one, one, one, one, one, one) for way in WAYS]
    table = feed_table(FeedFigures(5_000, 10.0, 100_000, 3, (1.0, 2.0), ways))
    assert len(table.columns) == 1 + len(WAYS) == 4
    assert table.row_count == 6
