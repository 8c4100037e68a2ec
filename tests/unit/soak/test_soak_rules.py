"""What a long run keeps, when its figures count as flat, and what its pictures show."""

from itertools import islice
from pathlib import Path

import msgspec

from services.tools.soak.pictures import draw_panels, draw_run
from services.tools.soak.readers import Tape
from services.tools.soak.rules import RECOVERY_S, RUN_S_MIN, judge_flat
from services.tools.soak.run import SoakOrder, kills
from services.tools.soak.samples import Mark, Sample, lag_in, read_samples, series
from services.tools.stack.rooms import TRADING_ROOMS

HOUR_S = 3_600.0
type Points = list[tuple[float, float]]


def each_5_s(value: float, per_hour: float = 0.0, run_s: float = HOUR_S) -> Points:
    return [(at, value + per_hour * at / HOUR_S) for at in map(float, range(0, int(run_s), 5))]


def test_what_stays_as_it_is_is_flat_and_a_planted_leak_is_not() -> None:
    lines = {
        "memory of risk": each_5_s(100.0),
        "memory of matcher": each_5_s(60.0, per_hour=80.0),
        "lag of risk": each_5_s(40.0),
        "order to trade, p99": each_5_s(120.0),
    }
    found = {one.name: one.holds for one in judge_flat(lines, [], HOUR_S, ("risk", "matcher"))}
    assert found == {
        "memory of risk": True,
        "memory of matcher": False,
        "lag of risk": True,
        "order to trade, p99": True,
    }


def test_latency_that_grows_is_found_though_kills_disturb_it() -> None:
    kills_s = [float(at) for at in range(100, 3_600, 300)]

    def slow_after_kills(points: Points) -> Points:
        return [
            (at, 9_000.0 if any(0 <= at - kill < RECOVERY_S for kill in kills_s) else value)
            for at, value in points
        ]

    for growth, holds in ((0.0, True), (400.0, False)):
        lines = {"order to trade, p50": slow_after_kills(each_5_s(100.0, growth))}
        (found,) = judge_flat(lines, kills_s, HOUR_S, ())
        assert found.holds is holds


def test_a_run_that_is_all_warm_up_is_not_judged() -> None:
    lines = {"order to trade, p50": each_5_s(100.0, per_hour=1e6)}
    assert judge_flat(lines, [], RUN_S_MIN - 1, ()) == []


def test_kills_are_the_same_from_the_same_seed_and_take_every_room_before_any_again() -> None:
    order = SoakOrder(Path("home"), Path("folder"), 1.0, 3, kill_every_s=100.0)
    first = list(islice(kills(order), 10))
    assert first == list(islice(kills(order), 10))
    assert {room for _, room in first[: len(TRADING_ROOMS)]} == set(TRADING_ROOMS)
    assert all(50 <= wait_s <= 150 for wait_s, _ in first)
    assert list(kills(msgspec.structs.replace(order, kill_every_s=0.0))) == []


def test_samples_are_read_again_but_for_a_line_that_is_not_whole(tmp_path: Path) -> None:
    sample = Sample(5.0, {"risk": 80.0}, {"risk": 12.0}, 40, 50.0, None)
    path = tmp_path / "samples"
    path.write_bytes(msgspec.json.encode(sample) + b"\n" + b'{"at_s": 10')
    assert read_samples(path) == [sample]
    assert series([sample]) == {
        "memory of risk": [(5.0, 80.0)],
        "lag of risk": [(5.0, 12.0)],
        "order to trade, p50": [(5.0, 50.0)],
    }


def test_lag_is_the_sum_of_all_partitions_and_unknown_without_any() -> None:
    said = (
        '# HELP outcry_lag_offsets x\noutcry_lag_offsets{topic="orders",partition="0"} 3.0\n'
        'outcry_lag_offsets{topic="orders",partition="1"} 4.0\noutcry_other{topic="a"} 9\n'
    )
    assert lag_in(said) == 7
    assert lag_in("outcry_other 1\n") is None


def test_a_reader_notices_a_trade_that_is_missing_and_one_that_comes_twice() -> None:
    tape = Tape()
    for message in (
        b'{"type":"snapshot","data":[{"trade_sequence":4},{"trade_sequence":5}]}',
        b'{"type":"update","data":{"trade_sequence":6}}',
        b'{"type":"heartbeat"}',
        b'{"type":"update","data":{"trade_sequence":7}}',
    ):
        tape.take(message)
    assert (tape.last, tape.heard, tape.gaps) == (7, 2, [])
    tape.take(b'{"type":"update","data":{"trade_sequence":9}}')
    tape.take(b'{"type":"update","data":{"trade_sequence":9}}')
    assert tape.gaps == ["9 after 7", "9 after 9"]


def test_a_picture_has_a_line_for_each_series_and_the_same_bytes_again() -> None:
    lines = {"memory of risk": [(0.0, 80.0), (60.0, 81.0)], "lag of risk": [(0.0, 3.0)]}
    picture = draw_run("outcry soak", lines, [Mark(30.0, "SIGKILL risk")])
    assert picture == draw_run("outcry soak", lines, [Mark(30.0, "SIGKILL risk")])
    text = picture.decode()
    assert text.count("<svg") == 1
    assert "memory, MiB" in text
    assert "minutes" in text
    assert b"risk" in draw_panels("x", "y", {"ms": {"risk": [(1.0, 2.0)]}})
