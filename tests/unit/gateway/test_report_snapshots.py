"""A snapshot of reports that is not good is said and passed over for the one before it."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Final, override

import msgspec
import pytest
from structlog.testing import capture_logs

from services.gateway.beginning import NothingRecordedError
from services.gateway.core.report_state import FORMAT_VERSION, ReportState
from services.gateway.report_snapshots import ROOM, ReportSnapshots, Standing
from services.gateway.snapshot_keeper import SnapshotKeeper
from services.runtime.errors import RetriableError
from services.runtime.memory import MemorySnapshots
from services.runtime.ports import Snapshot
from services.runtime.restore import hash_state
from services.runtime.telemetry import Telemetry
from services.wire.topics import EXECUTIONS
from tests.support.gateway_memory import CODEC, eventually, make_settings
from tests.support.report_flow import ReportFlow
from tests.support.stretches import states_of

TOPIC_ID: Final = "the topic's"
STATE: Final = states_of(ReportFlow(3, ("alice",)).run(100))[0]


def with_state(snapshot: Snapshot, state: bytes) -> Snapshot:
    return msgspec.structs.replace(snapshot, state=state, state_hash=hash_state(state))


def of_unknown_schema(state: bytes) -> bytes:
    """The same with another framing of every record, as long as it was."""
    framing = next(iter(STATE.values()))[:5]
    return state.replace(framing, framing[:1] + b"\xff\xff\xff\xff")


@pytest.fixture
def store() -> MemorySnapshots:
    return MemorySnapshots()


def snapshots(store: MemorySnapshots) -> ReportSnapshots:
    return ReportSnapshots(store, CODEC, Telemetry("gateway"))


@pytest.mark.parametrize(
    "damage,cause",
    [
        (lambda s: msgspec.structs.replace(s, state=s.state[:-9]), "hash"),
        (lambda s: with_state(s, s.state[:-9]), "truncated"),
        (lambda s: with_state(s, b"\x90"), "length"),
        (lambda s: with_state(s, of_unknown_schema(s.state)), "can't be read"),
        (lambda s: msgspec.structs.replace(s, topic_id="made anew"), "another topic"),
        (lambda s: msgspec.structs.replace(s, offset=81), "ahead of offset 80"),
        (lambda s: msgspec.structs.replace(s, format_version=FORMAT_VERSION + 1), "format"),
    ],
)
def test_a_bad_snapshot_is_said_and_the_one_before_it_taken(
    store: MemorySnapshots, damage: Callable[[Snapshot], Snapshot], cause: str
) -> None:
    kept = snapshots(store)
    kept.keep(2, Standing(40, STATE), TOPIC_ID)
    kept.keep(2, Standing(70, STATE), TOPIC_ID)
    store.put(damage(store.newest(ROOM, EXECUTIONS.name, 2, 1)[0]))
    with capture_logs() as lines:
        found = snapshots(store).newest({1: 80, 2: 80}, TOPIC_ID)
    if cause.startswith("ahead"):
        assert found[2].offset == 70
    else:
        assert found[2].offset == 40
    assert found[2].state.dump() == STATE.dump()
    assert set(found) == {2}
    refused = [line for line in lines if line["event"] == "snapshot_refused"]
    assert len(refused) == 1
    assert cause in refused[0]["cause"]
    assert refused[0]["partition"] == 2


def test_with_bad_ones_alone_there_is_none(store: MemorySnapshots) -> None:
    snapshots(store).keep(0, Standing(90, STATE), TOPIC_ID)
    assert snapshots(store).newest({0: 80}, TOPIC_ID) == {}
    assert snapshots(store).newest({0: 0}, TOPIC_ID) == {}


class Away(MemorySnapshots):
    """A store that does not answer."""

    @override
    def newest(self, room: str, topic: str, partition: int, limit: int) -> Sequence[Snapshot]:
        raise RetriableError("away")


def test_a_store_that_is_away_has_none() -> None:
    with capture_logs() as lines:
        assert snapshots(Away()).newest({0: 80}, TOPIC_ID) == {}
    assert [line["event"] for line in lines] == ["snapshots_unknown"]


def test_states_that_are_equal_are_kept_as_the_same_bytes(store: MemorySnapshots) -> None:
    kept = snapshots(store)
    kept.keep(0, Standing(7, STATE), TOPIC_ID)
    first = store.newest(ROOM, EXECUTIONS.name, 0, 1)
    kept.keep(0, Standing(7, ReportState.load(STATE.dump())), TOPIC_ID)
    assert store.newest(ROOM, EXECUTIONS.name, 0, 2) == first


class Reports:
    """Fails the first two times, and at last asks until it is told to stop."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.canceled = Event()

    def keep_snapshots(self, reports_min: int, timeout_ms: int) -> int:
        assert timeout_ms
        self.asked.append(reports_min)
        if len(self.asked) == 1:
            raise NothingRecordedError("PostgreSQL does not answer")
        if len(self.asked) == 2:
            raise ZeroDivisionError
        assert self.canceled.wait(30)
        raise NothingRecordedError("it was ended")

    def cancel(self) -> None:
        self.canceled.set()


async def test_a_keeper_tries_again_and_ends_what_it_asks_when_it_is_closed() -> None:
    reports = Reports()
    settings = make_settings(snapshot_interval_s=0.001, gateway_snapshot_reports=5)
    keeper = SnapshotKeeper(reports, settings, Telemetry("gateway"))
    with capture_logs() as lines:
        keeper.start()
        await eventually(lambda: len(reports.asked) == 3)
        keeper.close()
    assert reports.asked == [5, 5, 5]
    assert reports.canceled.is_set()
    said = [line["event"] for line in lines]
    assert said == ["snapshots_not_kept", "snapshots_not_kept"]
