"""Each row of the log once in the lake, wherever writing dies, and however it is cut afterwards."""

import errno
from pathlib import Path

import pytest

from services.lake.errors import LakeError
from services.lake.files import partial_of
from services.lake.places import Lake, is_ticker
from services.materializer.core import Intake, KeptRow
from services.materializer.lake_writer import NOTE, LakeWriter
from services.runtime.errors import ConfigurationError
from tests.support.disk_faults import Death, failing_at, full_disk
from tests.support.row_log import (
    DAY_US,
    KNOWN,
    SECOND_US,
    START_US,
    TOPIC_ID,
    V2,
    FeatureLog,
    feature_row,
    judged,
    lake_rows,
    require_each_once,
)

MIDNIGHT_US = START_US - START_US % DAY_US + DAY_US


def mixed_log() -> FeatureLog:
    """Two tickers, two sets, two partitions, gaps, repetitions, and midnight in between."""
    log = FeatureLog()
    for i in range(-3, 3):
        grid_time_us = MIDNIGHT_US + i * SECOND_US
        log.put(feature_row(grid_time_us), step=3)
        log.put(feature_row(grid_time_us))
        if i >= 0:
            log.put(feature_row(grid_time_us, feature_set=V2), step=2)
            log.put(feature_row(grid_time_us, ticker="MSFT"), partition=1)
    return log


class Writing:
    """What the room does with one lake: reads on from the note, a part of the log at a time."""

    def __init__(self, home: Path, log: FeatureLog, parts: int = 1) -> None:
        self.writer = LakeWriter(Lake(home))
        self._log = log
        self._parts = parts

    def run(self) -> int:
        """Open the lake and write what is not in it; how many files there are more."""
        offsets = dict(self.writer.open(TOPIC_ID))
        seen = {place: seen for place, (_, seen) in self.writer.recent().items()}
        intake = Intake(KNOWN, seen, is_ticker)
        records = [
            record
            for at, found in self._log.records.items()
            for record in found
            if record.offset >= offsets.get(at, 0)
        ]
        files, size = 0, max(1, -(-len(records) // self._parts))
        for start in range(0, len(records), size):
            part = records[start : start + size]
            rows = [kept for r in part if isinstance(kept := judged(intake, r), KeptRow)]
            offsets |= {r.partition: r.offset + 1 for r in part}
            files += self.writer.write(rows, TOPIC_ID, offsets)
        return files


def steps_of_a_run(tmp_path: Path, parts: int) -> int:
    home = tmp_path / "whole"
    with failing_at(home, 0, Death()) as planted:
        Writing(home, mixed_log(), parts).run()
    require_each_once(home, mixed_log())
    return planted.steps


@pytest.mark.parametrize("parts", [1, 2])
def test_a_death_at_any_step_loses_and_doubles_no_row(tmp_path: Path, parts: int) -> None:
    log, steps = mixed_log(), steps_of_a_run(tmp_path, parts)
    assert steps > 12
    for step in range(1, steps + 1):
        home = tmp_path / str(step)
        with failing_at(home, step, Death()) as planted, pytest.raises(Death):
            Writing(home, log, parts).run()
        assert planted.has_failed
        # The next process cuts the log elsewhere.
        Writing(home, log, 3 if step % 2 else 1).run()
        require_each_once(home, log)


def test_deaths_in_a_row_with_other_cuts_lose_and_double_no_row(tmp_path: Path) -> None:
    log = mixed_log()
    for step in (4, 7, 5, 11, 6, 9):
        with failing_at(tmp_path, step, Death()):
            try:
                Writing(tmp_path, log, 1 + step % 5).run()
            except Death:
                continue
    Writing(tmp_path, log).run()
    require_each_once(tmp_path, log)


@pytest.mark.parametrize("parts", [1, 2])
def test_an_error_at_any_step_is_made_good_with_more_rows(tmp_path: Path, parts: int) -> None:
    """The same writer goes on: what failed may have happened, and comes again in other company."""
    steps = steps_of_a_run(tmp_path, parts)
    for step in range(1, steps + 1):
        home, log = tmp_path / str(step), mixed_log()
        writing = Writing(home, log, parts)
        full = OSError(errno.ENOSPC, "No space left on device")
        with failing_at(home, step, full), pytest.raises(LakeError, match="No space left"):
            writing.run()
        log.rows(2, start_us=MIDNIGHT_US + 60 * SECOND_US)
        offsets = {at: found[-1].offset + 1 if found else 0 for at, found in log.records.items()}
        writing.writer.write(log.kept(), TOPIC_ID, offsets)
        require_each_once(home, log)
        assert Writing(home, log).run() == 0


def test_on_a_full_disk_nothing_half_written_is_to_be_seen(tmp_path: Path) -> None:
    log = FeatureLog()
    log.rows(500)
    writing = Writing(tmp_path, log)
    with full_disk(1_000), pytest.raises(LakeError, match="can't be written"):
        writing.run()
    assert lake_rows(tmp_path) == []
    assert list(tmp_path.rglob("*.parquet")) == []
    writing.run()
    require_each_once(tmp_path, log)


def test_rows_of_two_days_go_into_a_file_each(tmp_path: Path) -> None:
    log = FeatureLog()
    log.rows(4, start_us=MIDNIGHT_US - 2 * SECOND_US)
    assert Writing(tmp_path, log).run() == 2
    names = sorted(str(p.relative_to(p.parents[1])) for p in tmp_path.rglob("*.parquet"))
    assert [name.partition("/")[2] for name in names] == [
        f"stream-0-{0:020}-{1:020}.parquet",
        f"stream-0-{2:020}-{3:020}.parquet",
    ]
    require_each_once(tmp_path, log)


def test_nothing_new_makes_no_file_and_moves_the_note(tmp_path: Path) -> None:
    log = FeatureLog()
    log.rows(3)
    assert Writing(tmp_path, log).run() == 1
    assert Writing(tmp_path, log).run() == 0
    writer = LakeWriter(Lake(tmp_path))
    writer.open(TOPIC_ID)
    assert writer.write([], TOPIC_ID, {0: 9}) == 0
    assert LakeWriter(Lake(tmp_path)).open(TOPIC_ID) == {0: 9}


def test_a_new_lake_gets_a_note_in_which_a_loss_can_be_accepted(tmp_path: Path) -> None:
    offsets = LakeWriter(Lake(tmp_path)).open(TOPIC_ID)
    assert offsets == dict.fromkeys(range(5), 0)
    assert (tmp_path / "lake/features" / NOTE).exists()


def test_a_lost_note_costs_reading_and_no_row(tmp_path: Path) -> None:
    log = mixed_log()
    Writing(tmp_path, log).run()
    (tmp_path / "lake/features" / NOTE).unlink()
    log.rows(3, start_us=MIDNIGHT_US + 60 * SECOND_US)
    assert Writing(tmp_path, log).run() == 1
    require_each_once(tmp_path, log)


@pytest.mark.parametrize("text", [b"", b"{", b'{"topic_id": 1}', b"\xff\xfe", b"[]"])
def test_a_damaged_note_is_refused_and_says_what_to_do(tmp_path: Path, text: bytes) -> None:
    Writing(tmp_path, mixed_log()).run()
    (tmp_path / "lake/features" / NOTE).write_bytes(text)
    with pytest.raises(LakeError, match=r"is damaged .*; remove it"):
        LakeWriter(Lake(tmp_path)).open(TOPIC_ID)


def test_a_lake_of_another_topic_is_refused_by_name(tmp_path: Path) -> None:
    Writing(tmp_path, mixed_log()).run()
    with pytest.raises(ConfigurationError, match=r"id was a-topic, now another"):
        LakeWriter(Lake(tmp_path)).open("another")


def test_a_start_sweeps_what_a_dead_writer_left_and_not_what_a_backfill_writes(
    tmp_path: Path,
) -> None:
    log = mixed_log()
    Writing(tmp_path, log).run()
    whole = next(tmp_path.rglob("stream-*.parquet"))
    left = partial_of(whole)
    left.write_bytes(b"half")
    others = partial_of(whole.with_name(f"backfill-{0:020}-{1:020}.parquet"))
    others.write_bytes(b"half")
    LakeWriter(Lake(tmp_path)).open(TOPIC_ID)
    assert not left.exists()
    assert others.exists()
    require_each_once(tmp_path, log)


def test_the_newest_row_of_each_ticker_and_set_comes_back_as_it_was(tmp_path: Path) -> None:
    log = mixed_log()
    Writing(tmp_path, log, 3).run()
    newest = {(row.feature_set, row.ticker): row for row in log.kept()}
    found = LakeWriter(Lake(tmp_path)).recent()
    assert {place: row for place, (row, _) in found.items()} == newest


class Forgetful(LakeWriter):
    """A planted bug: it does not look at what its files hold."""

    def _take_stock(self) -> None:
        self._last_offset = {}
        self._is_sure = True


def test_a_planted_writer_that_forgets_its_files_is_found(tmp_path: Path) -> None:
    log = mixed_log()
    home = tmp_path / "one"
    writing = Writing(home, log)
    writing.writer = Forgetful(Lake(home))
    steps = steps_of_a_run(tmp_path, 1)
    with failing_at(home, steps - 1, OSError(errno.EIO, "I/O error")), pytest.raises(LakeError):
        writing.run()
    log.rows(2, start_us=MIDNIGHT_US + 60 * SECOND_US)
    writing.writer.write(log.kept(), TOPIC_ID, {})
    with pytest.raises(AssertionError, match="there twice"):
        require_each_once(home, log)
