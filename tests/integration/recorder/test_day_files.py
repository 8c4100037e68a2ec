"""A day of the log written to files, dropped from the database, and brought back."""

import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from services.domain.genesis import default_genesis
from services.matcher.service import make_folds as matcher_folds
from services.recorder.archive import ArchiveReader, read_messages
from services.recorder.core import RECORDED, RowMaker
from services.recorder.migrations import migrate
from services.recorder.postgres import Move, PostgresLedger
from services.risk.service import make_folds as risk_folds
from services.runtime.errors import HistoryLostError
from services.runtime.ports import Fold, Record, Snapshot, TopicPartition
from services.runtime.restore import hash_state
from services.runtime.snapshots import PostgresSnapshots
from services.tools.ledger.archive import archive_day, restore_day
from services.tools.ledger.database import Day, list_days, open_session, parse_day
from services.tools.ledger.drop import FirstOffset, drop_day, rooms_with_state
from services.tools.ledger.errors import LedgerError
from services.tools.market.population import crowd_controls
from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.tools.operate.ledger import latest_account_states
from services.wire import topics
from services.wire.topics import ACCOUNTS, MATCHING
from tests.support.memory_exchange import MemoryExchange
from tests.support.recorder_world import create_database, drop_database
from tests.support.stack_fixture import StackInfra

pytestmark = pytest.mark.kafka

NAME = "default"
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = (TODAY - timedelta(days=1)).date()
_NOON_MS = int(TODAY.timestamp() * 1_000) - 43_200_000
_ORDERS_A_DAY = 400
STATEFUL = ((ACCOUNTS, "risk", risk_folds), (MATCHING, "matcher", matcher_folds))


class TwoDays:
    """An exchange that traded yesterday and today, and the database that recorded it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.exchange = MemoryExchange()
        self.now_ms = _NOON_MS
        self.exchange.log.clock_ms = self._clock_ms
        self.exchange.publish("controls", 0, "", default_genesis())
        for control in crowd_controls(7):
            self.exchange.publish("controls", 0, "", control)
        self.exchange.run()
        self._crowd = Crowd(7).commands()
        self._ledger = PostgresLedger(dsn, NAME, 60)
        partitions = {topic.name: topic.partitions for topic in RECORDED}
        self.offsets = self._ledger.offsets(partitions)
        self._maker = RowMaker(self.exchange.codec, self._ledger.deployment_id())
        self.trade()
        self.yesterday_ends = dict(self.offsets)
        self.now_ms = int(TODAY.timestamp() * 1_000)
        self.trade()

    def _clock_ms(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def trade(self) -> None:
        """A part of the crowd's stream, worked on and recorded."""
        exchange = self.exchange
        for outbound in islice(self._crowd, _ORDERS_A_DAY):
            value = encode(exchange.codec, outbound, 0)
            exchange.publish_raw("orders", outbound.index % 5, value)
        exchange.run()
        for at, start in self.offsets.items():
            end = exchange.log.stable_offset(at)
            rows = self._maker.rows(exchange.log.scan(at, start, end))
            if end > start:
                self._ledger.append(rows, {at: Move(start, end)})
            self.offsets[at] = end

    def take_snapshots(self, ends: dict[TopicPartition, int], *, damaged: str = "") -> None:
        """What each room would keep at these offsets."""
        store = PostgresSnapshots(self.dsn, NAME, 5)
        for topic, room, make_folds in STATEFUL:
            factory = make_folds(self.exchange.codec, lambda _record, _error: None)
            for partition in range(topic.partitions):
                at = TopicPartition(topic.name, partition)
                fold = factory.fresh(at)
                for record in self.exchange.log.scan(at, 0, ends[at]):
                    fold.handle(record)
                state = fold.dump()
                state_hash = hash_state(state if room != damaged else state + b"x")
                version, genesis = factory.format_version, fold.genesis_hash()
                place = (room, at.topic, at.partition, ends[at], "id")
                store.put(Snapshot(*place, version, genesis, state, state_hash))

    def state_hashes(self) -> dict[str, str]:
        """Of every shard and book, folded from the archive's first record on."""
        archive = ArchiveReader(self.dsn, NAME)
        try:
            hashes = {}
            for topic, room, make_folds in STATEFUL:
                factory = make_folds(self.exchange.codec, lambda _record, _error: None)
                for partition in range(topic.partitions):
                    at = TopicPartition(topic.name, partition)
                    fold = factory.fresh(at)
                    replay(fold, archive.read(at, *archive.bounds(at)))
                    hashes[f"{room}-{partition}"] = hash_state(fold.dump())
        finally:
            archive.close()
        return hashes

    def close(self) -> None:
        self._ledger.close()


def replay(fold: Fold, chunks: Iterator[list[Record]] | Iterator[object]) -> None:
    for chunk in chunks:
        assert isinstance(chunk, list)
        for record in chunk:
            fold.handle(record)


@pytest.fixture
def two_days(stack_infra: StackInfra) -> Iterator[TwoDays]:
    dsn = make_conninfo(stack_infra.addresses.pg_dsn, dbname=f"files_{uuid4().hex[:8]}")
    create_database(dsn)
    migrate(dsn)
    made = TwoDays(dsn)
    yield made
    made.close()
    drop_database(dsn)


def kafka_begins_at(offsets: dict[TopicPartition, int]) -> FirstOffset:
    return lambda _name, at: offsets[at]


def drop(two_days: TwoDays, folder: Path, kafka: FirstOffset | None = None) -> None:
    with open_session(two_days.dsn) as session:
        begins = kafka or kafka_begins_at(two_days.yesterday_ends)
        drop_day(session, YESTERDAY, folder, rooms_with_state(), begins)


def archive(two_days: TwoDays, folder: Path) -> bool:
    with open_session(two_days.dsn) as session:
        return archive_day(session, YESTERDAY, folder)[1]


def listed(two_days: TwoDays) -> dict[str, Day]:
    with open_session(two_days.dsn) as session:
        return {one.day: one for one in list_days(session)}


def total_rows(two_days: TwoDays) -> dict[str, int]:
    tables = ("orders", "cancels", "amendments", "executions", "trades", "archive")
    with psycopg.connect(two_days.dsn) as connection:
        return {
            table: len(connection.execute(sql.SQL("TABLE outcry.{}").format(name)).fetchall())
            for table, name in ((table, sql.Identifier(table)) for table in tables)
        }


def test_a_dropped_day_is_missed_by_name_and_a_restored_one_replays_to_the_same_states(
    two_days: TwoDays, tmp_path: Path
) -> None:
    states, rows = two_days.state_hashes(), total_rows(two_days)
    with psycopg.connect(two_days.dsn) as connection:
        accounts = latest_account_states(connection, NAME)
    assert archive(two_days, tmp_path)
    two_days.take_snapshots(two_days.offsets)
    drop(two_days, tmp_path)

    day = listed(two_days)[str(YESTERDAY)]
    assert (day.is_archived, day.is_dropped) == (True, True)
    left = total_rows(two_days)
    grown = ("orders", "executions", "trades", "archive")
    assert all(0 < left[table] < rows[table] for table in grown)
    with pytest.raises(HistoryLostError, match=f"dropped with the day {YESTERDAY}.*ledger restore"):
        two_days.state_hashes()
    with psycopg.connect(two_days.dsn) as connection:
        with pytest.raises(HistoryLostError, match=f"executions.*the day {YESTERDAY}"):
            list(read_messages(connection, NAME, "executions", 0))
        assert latest_account_states(connection, NAME) == accounts, "positions went with the day"
    reader = ArchiveReader(two_days.dsn, NAME)
    for at, start in two_days.yesterday_ends.items():
        if at.topic in ("accounts", "matching"):
            found = [r for chunk in reader.read(at, start, two_days.offsets[at]) for r in chunk]
            end = two_days.offsets[at]
            assert found == list(two_days.exchange.log.scan(at, start, end)), f"{at} of today"
    controls = TopicPartition("controls", 0)
    assert sum(len(chunk) for chunk in reader.read(controls, *reader.bounds(controls))) > 50
    reader.close()

    with open_session(two_days.dsn) as session:
        restore_day(session, YESTERDAY, tmp_path)
    assert total_rows(two_days) == rows
    assert two_days.state_hashes() == states
    assert not listed(two_days)[str(YESTERDAY)].is_dropped
    with psycopg.connect(two_days.dsn, autocommit=True) as connection:
        name = f"orders_{YESTERDAY:%Y_%m_%d}"
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(sql.SQL("DELETE FROM outcry.{}").format(sql.Identifier(name)))
    with (
        open_session(two_days.dsn) as session,
        pytest.raises(LedgerError, match=r"has the day .* already"),
    ):
        restore_day(session, YESTERDAY, tmp_path)
    drop(two_days, tmp_path)  # and again, from the same files


def test_archiving_twice_writes_the_same_bytes_and_changes_nothing(
    two_days: TwoDays, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert archive(two_days, here)
    before = {p.name: p.read_bytes() for p in (here / str(YESTERDAY)).iterdir()}
    assert not archive(two_days, here)
    assert archive(two_days, there)
    for folder in (here, there):
        assert {p.name: p.read_bytes() for p in (folder / str(YESTERDAY)).iterdir()} == before
        assert [p.name for p in folder.iterdir()] == [str(YESTERDAY)], "a partial folder is left"


def test_a_day_that_something_may_still_need_is_not_dropped(
    two_days: TwoDays, tmp_path: Path
) -> None:
    rows = total_rows(two_days)
    with pytest.raises(LedgerError, match="no archived day"):
        drop(two_days, tmp_path)
    archive(two_days, tmp_path)
    with pytest.raises(LedgerError, match=r"risk of default has no good snapshot of accounts/0"):
        drop(two_days, tmp_path)
    two_days.take_snapshots({at: end // 2 for at, end in two_days.yesterday_ends.items()})
    with pytest.raises(LedgerError, match="has no good snapshot"):
        drop(two_days, tmp_path)
    two_days.take_snapshots(two_days.offsets, damaged="matcher")
    with pytest.raises(LedgerError, match="matcher of default has no good snapshot"):
        drop(two_days, tmp_path)
    two_days.take_snapshots(two_days.offsets)
    with pytest.raises(LedgerError, match=r"Kafka still has accounts/\d of default from offset 0"):
        drop(two_days, tmp_path, kafka_begins_at(dict.fromkeys(two_days.offsets, 0)))
    assert total_rows(two_days) == rows, "nothing was dropped so far"
    drop(two_days, tmp_path)


def test_files_with_one_changed_byte_are_refused(two_days: TwoDays, tmp_path: Path) -> None:
    archive(two_days, tmp_path)
    two_days.take_snapshots(two_days.offsets)
    folder = tmp_path / str(YESTERDAY)
    for path in sorted(folder.glob("*.gz")):
        good = path.read_bytes()
        rows = bytearray(gzip.decompress(good))
        rows[-3] ^= 1
        for bad in (gzip.compress(bytes(rows)), good[:-9], b""):
            path.write_bytes(bad)
            with pytest.raises(LedgerError, match=f"{path.name} is damaged"):
                drop(two_days, tmp_path)
        path.write_bytes(good)
    manifest = folder / "manifest.json"
    text = manifest.read_bytes()
    for bad, said in ((text[:-9], "is damaged"), (b'{"format": 1}', "is damaged")):
        manifest.write_bytes(bad)
        with pytest.raises(LedgerError, match=said):
            drop(two_days, tmp_path)
    newer = msgspec.json.encode(msgspec.json.decode(text) | {"format": 2})
    manifest.write_bytes(newer)
    with pytest.raises(LedgerError, match="has format 2 and this version reads 1"):
        drop(two_days, tmp_path)


def test_rows_that_came_after_the_archive_are_not_dropped_with_it(
    two_days: TwoDays, tmp_path: Path
) -> None:
    archive(two_days, tmp_path)
    two_days.now_ms = _NOON_MS + 40_000_000
    two_days.trade()
    two_days.take_snapshots(two_days.offsets)
    begins = kafka_begins_at(two_days.offsets)
    with pytest.raises(LedgerError, match="archive the day again, to another directory"):
        drop(two_days, tmp_path, begins)
    with pytest.raises(LedgerError, match="holds other rows"):
        archive(two_days, tmp_path)
    archive(two_days, tmp_path / "again")
    drop(two_days, tmp_path / "again", begins)


def test_what_is_no_day_is_refused(two_days: TwoDays, tmp_path: Path) -> None:
    with open_session(two_days.dsn) as session:
        for day, said in ((TODAY.date(), "is not over"), (date(2020, 1, 1), "has no day")):
            with pytest.raises(LedgerError, match=said):
                archive_day(session, day, tmp_path)
        with pytest.raises(LedgerError, match="no archived day"):
            restore_day(session, YESTERDAY, tmp_path)
    with pytest.raises(LedgerError, match="'yesterday' is no day: write it as 2026-11-25"):
        parse_day("yesterday")


def test_a_day_is_not_restored_into_another_database(two_days: TwoDays, tmp_path: Path) -> None:
    """There, its rows would become another deployment's."""
    archive(two_days, tmp_path)
    other = make_conninfo(two_days.dsn, dbname=f"files_{uuid4().hex[:8]}")
    create_database(other)
    migrate(other)
    try:
        with (
            open_session(other) as session,
            pytest.raises(LedgerError, match="number 1 in the files and none here"),
        ):
            restore_day(session, YESTERDAY, tmp_path)
    finally:
        drop_database(other)


def test_a_log_in_use_is_not_dropped_under_its_reader(two_days: TwoDays, tmp_path: Path) -> None:
    archive(two_days, tmp_path)
    two_days.take_snapshots(two_days.offsets)
    assert topics.TRADES in RECORDED
    with psycopg.connect(two_days.dsn) as reader:
        reader.execute("SELECT count(*) FROM outcry.trades").fetchone()
        with pytest.raises(LedgerError, match="reads or writes the log meanwhile"):
            drop(two_days, tmp_path)
    drop(two_days, tmp_path)
