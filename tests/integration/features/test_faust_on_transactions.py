"""Each fact about Faust on a transactional topic that the room stands on, on the real broker."""

import re
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from services.wire.topics import TRADES
from tests.support.feature_world import FeatureProcess, FeatureWorld
from tests.support.stack_fixture import StackInfra
from tests.support.trade_tape import TICKERS
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka


class Ran:
    """A room that was running while trades came in small transactions, aborted ones among them."""

    def __init__(self, world: FeatureWorld) -> None:
        self.world = world
        world.trade(30)
        world.trade(20, abort=True)
        self.room = world.start()
        self.room.wait_until_ready()
        world.trade_for(2.0)
        put_junk(world)
        world.trade_for(2.0)
        world.trade(15, abort=True)
        self.rows, self.repeated = world.require_equal()
        wait_until(lambda: world.committed() == world.ends(), "commits to reach the end")
        wait_until(lambda: self.metric("outcry_lag_offsets") == 0, "no lag to be left")

    def metric(self, name: str) -> float:
        return total(self.room, name)


def total(room: FeatureProcess, name: str) -> float:
    """The sum of a metric's samples."""
    text = room.ask("/metrics")[1]
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


JUNK = (b"", b"{}", b"\0\0\0\0\1half a trade")


def put_junk(world: FeatureWorld) -> None:
    """A stranger's, outside any transaction."""
    stranger = Producer({"bootstrap.servers": world.addresses.kafka_bootstrap, "log_level": 2})
    for partition, value in enumerate(JUNK):
        stranger.produce(world.prefix + TRADES.name, value, None, partition)
    assert stranger.flush(30) == 0


@pytest.fixture(scope="module")
def ran(stack_infra: StackInfra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    world = FeatureWorld(stack_infra.addresses, tmp_path_factory.mktemp("features"), seed=11)
    try:
        yield Ran(world)
    finally:
        world.close()


def test_aborted_trades_are_never_seen(ran: Ran) -> None:
    assert ran.world.aborted > 50
    consumed = ran.metric("outcry_records_consumed_total")
    assert consumed == ran.world.written + len(JUNK)


def test_commits_reach_the_end_across_the_markers_of_transactions(ran: Ran) -> None:
    assert ran.world.committed() == ran.world.ends()
    assert sum(ran.world.ends().values()) > ran.world.written + ran.world.aborted


def test_without_faults_no_row_is_written_twice(ran: Ran) -> None:
    assert ran.rows > 100
    assert ran.repeated == 0
    assert ran.metric("outcry_feature_rows_total") == ran.rows


def test_a_stranger_s_junk_is_counted_logged_with_its_place_and_passed(ran: Ran) -> None:
    assert ran.metric("outcry_records_undecodable_total") == len(JUNK)
    logged = [line for line in ran.room.events() if line["event"] == "undecodable_record"]
    assert sorted(line["partition"] for line in logged) == [0, 1, 2]
    assert all(line["topic"] == "trades" and line["offset"] >= 0 for line in logged)


def test_it_is_alive_ready_and_shows_how_old_its_features_are(ran: Ran) -> None:
    assert [ran.room.ask(path)[0] for path in ("/health", "/ready")] == [200, 200]
    assert aged_tickers(ran.room) == sorted(TICKERS)


def aged_tickers(*rooms: FeatureProcess) -> list[str]:
    """Of which tickers they show how old their features are."""
    sample = re.compile(r"^outcry_feature_event_age_seconds{.*ticker=\"(\w+)\"}", re.MULTILINE)
    return sorted(ticker for room in rooms for ticker in sample.findall(room.ask("/metrics")[1]))


def test_in_silence_a_second_room_shows_its_share_of_the_ages_and_stops_when_asked(
    ran: Ran,
) -> None:
    """Each ticker's age is shown by the room that has it now, and by no other."""
    again = ran.world.start("second")
    wait_until(lambda: again.count("restored") > 0, "partitions for the second room", 60)

    def ages_are_shared() -> bool:
        """Until the second shows its own, the first may still show all."""
        mine, others = aged_tickers(again), aged_tickers(ran.room)
        return bool(mine) and bool(others) and sorted(mine + others) == sorted(TICKERS)

    wait_until(ages_are_shared, "all ages, each once, some by each room")
    assert aged_tickers(again)
    assert aged_tickers(ran.room)
    assert again.stop() == 0
    assert again.events()[-1]["event"] == "stopped"
    assert all(line.startswith("{") for line in again.log.read_text().splitlines())


@pytest.mark.long
def test_a_reader_of_uncommitted_trades_would_be_stopped_by_the_fold(world: FeatureWorld) -> None:
    """The mending taken out: the aborted trades' sequences come twice."""
    world.trade(20)
    world.trade(40, abort=True)
    world.trade(60)
    room = world.start("0", "-m", "tests.support.planted_features", "isolation")
    assert room.process.wait(timeout=60) == 1
    assert "trades are missing in between" in room.log.read_text()


@pytest.mark.long
def test_faust_s_own_commits_would_stay_behind(world: FeatureWorld) -> None:
    """The mending taken out: what the test above asserts of commits does not come."""
    for _ in range(60):
        world.trade(5)
    room = world.start("0", "-m", "tests.support.planted_features", "commits")
    room.wait_until_ready()
    world.require_equal()
    samples: set[float] = set()

    def commits_had_their_time() -> bool:
        """It reports each second, and commits as often."""
        samples.add(total(room, "outcry_feature_row_age_seconds"))
        return len(samples) > 5

    wait_until(commits_had_their_time, "some commits")
    assert world.committed() != world.ends()


@pytest.mark.long
def test_faust_s_own_beginning_would_not_know_where_to_read(world: FeatureWorld) -> None:
    """The mending taken out: nothing is committed yet, and so nothing is said."""
    world.trade(60)
    room = world.start("0", "-m", "tests.support.planted_features", "beginning")
    assert room.process.wait(timeout=60) == 1
    assert room.count("restored") == TRADES.partitions
    assert "NoOffsetForPartitionError" in room.log.read_text()


def test_a_dead_agent_ends_the_process_with_its_cause_and_a_restart_at_the_same_trade(
    world: FeatureWorld,
) -> None:
    world.trade(30, partitions=[0])
    world.tapes[0].next()  # a trade that nobody will see
    world.trade(5, partitions=[0])
    places = []
    for _ in range(2):
        room = world.start()
        assert room.process.wait(timeout=60) == 1
        assert room.events()[-1]["event"] == "crashed"
        cause = r"trades/0 offset \d+ has sequence \d+ after \d+: trades are missing"
        places += re.findall(cause, room.log.read_text())[:1]
    assert len(places) == 2
    assert len(set(places)) == 1
