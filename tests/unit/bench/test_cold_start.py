"""The log that cold starts are measured on is a real one, and the projection says what it says."""

import pytest

from services.domain.genesis import default_genesis
from services.runtime.ports import TopicPartition
from services.runtime.restore import hash_state
from services.tools.bench.cold_start import (
    ColdStartReport,
    Source,
    StartFigures,
    project,
)
from services.tools.bench.cold_start_log import STATEFUL, CommittedLog
from services.tools.bench.cold_start_table import cold_start_tables
from services.wire.codec import local_codec


def grown(*steps: int) -> CommittedLog:
    log = CommittedLog(local_codec(), default_genesis(), 7, 1_790_000_000_000, 100)
    for commands in steps:
        for _ in log.grow(commands):
            pass
    return log


def test_a_log_made_in_steps_is_the_log_and_folds_to_what_its_makers_hold() -> None:
    log = grown(400, 800)
    assert log.records == grown(800).records
    assert sum(len(r) for at, r in log.records.items() if at.topic == "accounts") > 1_600
    for _, topic, make_folds in STATEFUL:
        factory = make_folds(local_codec(), lambda _record, _error: None)
        for partition in range(topic.partitions):
            at = TopicPartition(topic.name, partition)
            fold = factory.fresh(at)
            for record in log.records[at]:
                fold.handle(record)
            assert hash_state(fold.dump()) == hash_state(log._folds[at].dump())


def test_log_time_passes_at_the_stated_rate() -> None:
    log = grown(800)
    stamps = [r.timestamp_ms for records in log.records.values() for r in records]
    assert max(stamps) - min(stamps) == 8_000


def figures(source: Source, commands: int, seconds: float, cpu_s: float) -> StartFigures:
    return StartFigures("risk", source, commands, 300, seconds, 1.0, 9.0, cpu_s, 12.0)


def test_a_projection_grows_with_the_log_but_from_a_snapshot() -> None:
    report = ColdStartReport(
        1_000,
        (
            figures("log", 500, 2.0, 1.0),
            figures("log", 1_000, 4.0, 2.0),
            figures("snapshot", 1_000, 0.5, 0.4),
        ),
        {"risk": 10},
        {"accounts": 20},
        30,
    )
    found = {one.source: one.seconds for one in project(report, 10_000)}
    assert found == {"log": pytest.approx(20.0), "snapshot": pytest.approx(0.5)}
    assert [table.row_count for table in cold_start_tables(report)] == [3, 2, 3]
