"""Rows in and out by the name of a FeatureService: one suite for SQLite and for Redis."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from feast import FeatureStore
from feast.repo_config import RepoConfig

from services.featuresets import SETS
from services.featuresets.fingerprint import fingerprint
from services.lake.schemas import feature_schema
from services.online import guarded_sqlite
from services.online.address import redis_connection
from services.online.catalog import FINGERPRINT
from services.online.errors import (
    ForeignFingerprintError,
    OnlineStoreAwayError,
    OnlineStoreError,
    UnknownServiceError,
)
from services.online.features import OnlineFeatures
from services.online.rows import Served
from services.online.settings import settings_of
from services.runtime.errors import ConfigurationError
from tests.support.online_world import (
    NOON_US,
    SECOND_US,
    V1,
    V2,
    declared,
    mark_of,
    online_row,
    redis_server,
    silent_listener,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def online(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnlineFeatures]:
    """A store for the whole module: each test has tickers of its own."""
    home = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield declared(home)
        return
    with redis_server(home) as url:
        yield declared(home, url)


@pytest.fixture(scope="module")
def sqlite_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A declared home, for what is of SQLite alone."""
    home = tmp_path_factory.mktemp("home")
    declared(home)
    return home


def read(online: OnlineFeatures, *tickers: str) -> list[Served]:
    """By Feast's own way and by the held reader, which must say the same."""
    found = online.read(online.service(V1.name), tickers)
    assert online.reader(V1.name).read(tickers) == found
    return found


def test_a_row_comes_back_with_its_time_fingerprint_and_values(online: OnlineFeatures) -> None:
    online.write(V1, [online_row("ONE", 7, nulls=True)])
    (served,) = read(online, "ONE")
    assert served.grid_time_us == NOON_US + 7 * SECOND_US
    assert served.fingerprint == fingerprint(V1)
    assert list(served.values) == list(V1.columns)
    expected = online_row("ONE", 7, nulls=True).reals
    assert tuple(served.values.values()) == expected


def test_a_ticker_that_was_never_seen_has_no_row_instead_of_zeros(online: OnlineFeatures) -> None:
    online.write(V1, [online_row("SEEN", 1)])
    answers = read(online, "SEEN", "NEVER", "SEEN")
    assert answers[1] == Served("NEVER", None, "", {})
    assert answers[0] == answers[2]
    assert answers[0].ticker == "SEEN"


def test_an_older_row_changes_nothing(online: OnlineFeatures) -> None:
    online.write(V1, [online_row("OLD", 100)])
    online.write(V1, [online_row("OLD", 99)])
    online.write(V1, [online_row("OLD", 50), online_row("OTHER", 1)])
    (served,) = read(online, "OLD")
    assert served.grid_time_us == NOON_US + 100 * SECOND_US
    assert set(served.values.values()) == {mark_of("OLD", 100)}


def test_feasts_own_ways_of_writing_put_no_older_row_over_a_newer_one(
    online: OnlineFeatures,
) -> None:
    online.write(V1, [online_row("FEAST", 100)])
    late = EPOCH + timedelta(microseconds=NOON_US + 60 * SECOND_US)
    frame = pd.DataFrame(
        {"ticker": ["FEAST"], "event_timestamp": [late], "created": [late], FINGERPRINT: ["late"]}
        | {name: [1.0] for name in V1.columns}
    )
    online.store.write_to_online_store(V1.name, frame)
    write_lake_row(online, "FEAST", 70)
    online.store.materialize(late - timedelta(hours=1), late + timedelta(hours=1), [V1.name])
    (served,) = read(online, "FEAST")
    assert served.grid_time_us == NOON_US + 100 * SECOND_US
    write_lake_row(online, "FEAST", 170)
    online.store.materialize(late - timedelta(hours=1), late + timedelta(hours=1), [V1.name])
    (served,) = read(online, "FEAST")
    assert served.grid_time_us == NOON_US + 170 * SECOND_US
    assert set(served.values.values()) == {mark_of("FEAST", 170)}


def write_lake_row(online: OnlineFeatures, ticker: str, at_s: int) -> None:
    """A file of the lake with one row, as the materializer or a backfill writes it."""
    import pyarrow as pa

    from services.lake.files import write_file
    from services.lake.places import backfill_file, day_of
    from services.online.settings import lake_of

    row = online_row(ticker, at_s)
    lake = lake_of(Path(str(online.store.config.repo_path)).parent)
    path = lake.features(V1.name, ticker, day_of(row.grid_time_us)) / backfill_file(0, at_s).name
    columns: dict[str, list[object]] = {
        "ticker": [ticker],
        "event_timestamp": [row.grid_time_us],
        "created": [row.created_us],
        "processed": [None],
        "trade_offset": [0],
        "fingerprint": [fingerprint(V1)],
    }
    columns |= {name: [real] for name, real in zip(V1.columns, row.reals, strict=True)}
    schema = feature_schema(V1.columns)
    arrays = {name: pa.array(cells, schema.field(name).type) for name, cells in columns.items()}
    write_file(path, schema, [pa.table(arrays)])


def torn_reads(online: OnlineFeatures, tickers: list[str], rounds: int) -> list[str]:
    """Read in four threads while two write; what no single row of the asked ticker says."""
    online.write(V1, [online_row(ticker, 0) for ticker in tickers])
    service, held = online.service(V1.name), online.reader(V1.name)
    found: list[str] = []
    done = threading.Event()

    def write(mine: list[str]) -> None:
        for at_s in range(1, rounds):
            try:
                online.write(V1, [online_row(ticker, at_s) for ticker in mine])
            except Exception as error:  # noqa: BLE001 - likewise
                found.append(f"writing: {type(error).__name__}: {error}")

    def look(ticker: str) -> None:
        while not done.is_set():
            try:
                (served,) = online.read(service, [ticker])
                (newer,) = held.read([ticker])
            except Exception as error:  # noqa: BLE001 - whatever a reader would have met
                found.append(f"{type(error).__name__}: {error}")
                continue
            at_s = ((served.grid_time_us or 0) - NOON_US) // SECOND_US
            if set(served.values.values()) != {mark_of(ticker, at_s)}:
                found.append(f"{ticker} at {at_s}: {served.values}")
            newer_s = ((newer.grid_time_us or 0) - NOON_US) // SECOND_US
            if newer_s < at_s or set(newer.values.values()) != {mark_of(ticker, newer_s)}:
                found.append(f"{ticker} held at {newer_s} after {at_s}: {newer.values}")

    writers = [threading.Thread(target=write, args=(tickers[i::2],)) for i in range(2)]
    readers = [threading.Thread(target=look, args=(ticker,)) for ticker in tickers]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    return found


def test_threads_that_read_while_others_write_see_whole_rows_of_their_own_ticker(
    online: OnlineFeatures,
) -> None:
    assert torn_reads(online, ["AAA", "BBB", "CCC", "DDD"], 40) == []


def test_the_same_readers_find_feasts_stock_store_unsafe(tmp_path: Path) -> None:
    online = OnlineFeatures(tmp_path)
    settings = settings_of(tmp_path)
    settings["online_store"] = {"type": "sqlite", "path": str(tmp_path / "feast" / "stock.db")}
    online._store = FeatureStore(config=RepoConfig(**settings, repo_path=tmp_path / "feast"))
    online.declare()
    assert torn_reads(online, ["AAA", "BBB", "CCC", "DDD"], 40) != []
    stock: Any = online.store._get_provider().online_store
    stock._conn.close()  # One connection for all threads.


def test_the_services_are_there_by_name_with_their_fingerprints(online: OnlineFeatures) -> None:
    for name, feature_set in SETS.items():
        assert online.service(name).tags[FINGERPRINT] == fingerprint(feature_set)


def test_an_unknown_service_is_told_with_those_that_there_are(online: OnlineFeatures) -> None:
    with pytest.raises(UnknownServiceError, match=r"'nine'.*daily_v1, microstructure_v1, micro"):
        online.service("nine")


def test_a_row_of_other_definitions_is_refused(online: OnlineFeatures) -> None:
    now = EPOCH + timedelta(microseconds=NOON_US)
    frame = pd.DataFrame(
        {"ticker": ["FOREIGN"], "event_timestamp": [now], "created": [now], FINGERPRINT: ["later"]}
        | {name: [1.0] for name in V1.columns}
    )
    online.store.write_to_online_store(V1.name, frame)
    with pytest.raises(ForeignFingerprintError, match=r"FOREIGN was made by later and micro"):
        read(online, "FOREIGN")
    with pytest.raises(ForeignFingerprintError, match=r"FOREIGN was made by later and micro"):
        online.reader(V1.name).read(["FOREIGN"])


def test_two_sets_of_one_ticker_do_not_meet(online: OnlineFeatures) -> None:
    online.write(V1, [online_row("BOTH", 5)])
    assert online.read(online.service(V2.name), ["BOTH"])[0].grid_time_us is None
    row = online_row("BOTH", 3)
    second = msgspec.structs.replace(row, reals=(2.0,) * len(V2.columns))
    online.write(V2, [second])
    assert set(online.read(online.service(V2.name), ["BOTH"])[0].values.values()) == {2.0}
    assert read(online, "BOTH")[0].grid_time_us == NOON_US + 5 * SECOND_US


def test_declaring_again_keeps_services_and_rows(online: OnlineFeatures) -> None:
    online.write(V1, [online_row("KEPT", 5)])
    online.declare()
    assert {s.name for s in online.store.list_feature_services()} == set(SETS)
    assert read(online, "KEPT")[0].grid_time_us == NOON_US + 5 * SECOND_US


def test_the_last_row_that_the_room_keeps_is_one_that_feast_takes(online: OnlineFeatures) -> None:
    from services.materializer.core import _TIME_MAX_US

    row = msgspec.structs.replace(
        online_row("LATE", 0), grid_time_us=_TIME_MAX_US, created_us=_TIME_MAX_US
    )
    online.write(V1, [row])
    assert read(online, "LATE")[0].grid_time_us == _TIME_MAX_US


# --- SQLite alone


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """New connections to SQLite wait a little for a lock."""
    monkeypatch.setattr(guarded_sqlite, "BUSY_TIMEOUT_S", 0.2)


@pytest.mark.usefixtures("short_patience")
def test_a_database_that_is_locked_is_away_and_answers_again(sqlite_home: Path) -> None:
    online = OnlineFeatures(sqlite_home)
    online.write(V1, [online_row("LOCK", 1)])
    holder = sqlite3.connect(sqlite_home / "feast" / "online.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OnlineStoreAwayError, match="locked"):
        online.write(V1, [online_row("LOCK", 2)])
    # Readers do not wait for writers, nor does a start where all tables are there.
    OnlineFeatures(sqlite_home).declare()
    assert read(online, "LOCK")[0].grid_time_us == NOON_US + SECOND_US
    holder.close()
    online.write(V1, [online_row("LOCK", 2)])
    assert read(online, "LOCK")[0].grid_time_us == NOON_US + 2 * SECOND_US


@pytest.mark.usefixtures("short_patience")
def test_a_database_that_is_locked_before_it_has_its_tables_is_away(tmp_path: Path) -> None:
    (tmp_path / "feast").mkdir()
    online = OnlineFeatures(tmp_path)
    with closing(sqlite3.connect(tmp_path / "feast" / "online.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OnlineStoreAwayError, match="it is locked"):
            online.declare()
    online.declare()
    online.write(V1, [online_row("LOCK", 1)])
    assert read(online, "LOCK")[0].grid_time_us == NOON_US + SECOND_US


def test_a_database_that_was_removed_or_is_none_is_told_and_not_written_into_the_void(
    tmp_path: Path,
) -> None:
    online = declared(tmp_path)
    online.write(V1, [online_row("GONE", 1)])
    database = tmp_path / "feast" / "online.db"
    for path in database.parent.glob("online.db*"):
        path.unlink()
    with pytest.raises(OnlineStoreError, match=r"no such table.*remove online.db"):
        online.write(V1, [online_row("GONE", 2)])
    online.declare()
    online.write(V1, [online_row("GONE", 3)])
    assert read(online, "GONE")[0].grid_time_us == NOON_US + 3 * SECOND_US
    for path in database.parent.glob("online.db*"):
        path.unlink()
    database.write_bytes(b"no database" * 1_000)
    with pytest.raises(OnlineStoreError, match="not a database"):
        online.write(V1, [online_row("GONE", 4)])


def test_a_home_without_a_registry_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(UnknownServiceError, match=r"none \(run `feast -c feature_repo apply`\)"):
        OnlineFeatures(tmp_path).service(V1.name)


def test_event_times_are_exact_in_any_time_zone(sqlite_home: Path) -> None:
    """A process in New York writes a row with microseconds; it and this one read the same."""
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path;"
        "from tests.support.online_world import V1, online_row;"
        "from services.online.features import OnlineFeatures;"
        "import msgspec; online = OnlineFeatures(Path(sys.argv[1]));"
        "row = msgspec.structs.replace(online_row('ZONE', 0), grid_time_us=int(sys.argv[2]));"
        "online.write(V1, [row]); service = online.service(V1.name);"
        "print(online.read(service, ['ZONE'])[0].grid_time_us)"
    )
    time_us = NOON_US + 123_457
    written = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(sqlite_home), str(time_us)],
        env=os.environ | {"TZ": "America/New_York"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(written.stdout.split()[-1]) == NOON_US
    with sqlite3.connect(sqlite_home / "feast" / "online.db") as database:
        ((stored,),) = database.execute(
            f'SELECT DISTINCT event_ts FROM "outcry_{V1.name}" WHERE entity_key IN'  # noqa: S608 - ours
            f" (SELECT entity_key FROM \"outcry_{V1.name}\" WHERE instr(entity_key, 'ZONE'))"
        ).fetchall()
    database.close()
    assert stored == time_us
    online = OnlineFeatures(sqlite_home)
    assert online.read(online.service(V1.name), ["ZONE"])[0].grid_time_us == NOON_US
    # Feast's own way cuts fractions of a second off; the grid has none.
    assert online.reader(V1.name).read(["ZONE"])[0].grid_time_us == time_us


def test_a_held_reader_sees_every_write_at_once_whoever_wrote(sqlite_home: Path) -> None:
    own, other = OnlineFeatures(sqlite_home), OnlineFeatures(sqlite_home)
    reader = own.reader(V1.name)
    seen = []
    for at_s in range(1, 9):
        writer = own if at_s % 2 else other
        writer.write(V1, [online_row("HELD", at_s)])
        seen.append(reader.read(["HELD", "NEVER"]))
    assert [held.grid_time_us for held, _ in seen] == [
        NOON_US + at_s * SECOND_US for at_s in range(1, 9)
    ]
    assert {never.grid_time_us for _, never in seen} == {None}
    other.write(V1, [online_row("NEVER", 1)])
    assert reader.read(["NEVER"])[0].grid_time_us == NOON_US + SECOND_US


def test_a_held_reader_keeps_a_row_for_as_long_as_nobody_writes(sqlite_home: Path) -> None:
    online = OnlineFeatures(sqlite_home)
    reader = online.reader(V1.name)
    online.write(V1, [online_row("KEPT", 1)])
    (first,) = reader.read(["KEPT"])
    assert reader.read(["KEPT"])[0] is first
    online.write(V1, [online_row("OTHER", 1)])
    assert reader.read(["KEPT"])[0] is not first


def test_what_is_at_hand_is_what_a_read_would_give_or_nothing(sqlite_home: Path) -> None:
    own, other = OnlineFeatures(sqlite_home), OnlineFeatures(sqlite_home)
    reader = own.reader(V1.name)
    own.write(V1, [online_row("HAND", 1), online_row("SIDE", 1)])
    assert reader.at_hand(["HAND"]) is None, "nobody has read it yet"
    kept = reader.read(["HAND", "UNKNOWN"])
    assert reader.at_hand(["HAND"]) == kept[:1]
    assert reader.at_hand(["HAND", "SIDE"]) is None
    assert reader.at_hand(["UNKNOWN"]) is None, "it may be written any moment, and is nobody's"
    for at_s, writer in enumerate((other, own), start=2):
        writer.write(V1, [online_row("SIDE", at_s)])
        assert reader.at_hand(["HAND"]) is None, "somebody wrote, so it may be older now"
        reader.read(["HAND"])
        assert reader.at_hand(["HAND"]) == kept[:1]


def test_what_another_thread_asks_the_store_is_not_waited_for(sqlite_home: Path) -> None:
    reader = OnlineFeatures(sqlite_home).reader(V1.name)
    OnlineFeatures(sqlite_home).write(V1, [online_row("HAND", 1)])
    (row,) = reader.read(["HAND"])
    assert reader._watch is not None
    with reader._watch._lock:
        assert reader.at_hand(["HAND"]) is None
    assert reader.at_hand(["HAND"]) == [row]


def test_a_held_reader_of_a_database_that_was_removed_keeps_nothing(tmp_path: Path) -> None:
    online = declared(tmp_path)
    reader = online.reader(V1.name)
    online.write(V1, [online_row("GONE", 1)])
    assert reader.read(["GONE"])[0].grid_time_us is not None
    assert reader.at_hand(["GONE"]) is not None
    for file in (tmp_path / "feast").glob("online.db*"):
        file.unlink()
    assert reader.at_hand(["GONE"]) is None
    online.declare()
    assert reader.at_hand(["GONE"]) is None
    assert reader.read(["GONE"])[0].grid_time_us is None


def test_a_redis_that_is_away_is_told(tmp_path: Path) -> None:
    online = OnlineFeatures(tmp_path, "redis://127.0.0.1:1/0")
    online.declare()
    with pytest.raises(OnlineStoreAwayError, match="OUTCRY_ONLINE_URL"):
        online.write(V1, [online_row("AWAY", 1)])
    with pytest.raises(OnlineStoreAwayError, match="OUTCRY_ONLINE_URL"):
        read(online, "AWAY")
    with pytest.raises(OnlineStoreAwayError, match="OUTCRY_ONLINE_URL"):
        online.reader(V1.name).read(["AWAY"])


def test_a_redis_that_never_answers_is_away_after_the_time_it_is_given(tmp_path: Path) -> None:
    with silent_listener() as port:
        online = declared(tmp_path, f"redis://127.0.0.1:{port}/0?socket_timeout=0.2")
        with pytest.raises(OnlineStoreAwayError, match=r"(?i)time.*OUTCRY_ONLINE_URL"):
            online.write(V1, [online_row("SLOW", 1)])
        with pytest.raises(OnlineStoreAwayError, match=r"(?i)time.*OUTCRY_ONLINE_URL"):
            read(online, "SLOW")


def test_the_time_that_a_redis_is_given_is_the_urls_or_five_seconds() -> None:
    said = redis_connection("redis://:secret@h:7000/3?socket_timeout=0.25")
    assert said == "h:7000,db=3,socket_timeout=0.25,retry=null,password=secret"
    assert redis_connection("redis://h") == "h:6379,db=0,socket_timeout=5,retry=null"


@pytest.mark.parametrize(
    "url",
    [
        "redis://", "redis://h/x", "http://h", "redis://:a%2Cb@h", "redis://h?socket_timeout=0",
        "redis://h?socket_timeout=soon", "redis://h?socket_timeout=nan", "redis://h?ssl=true",
        "redis://h?socket_timeout=1&db=3",
    ],
)  # fmt: skip
def test_an_address_that_is_none_of_redis_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="OUTCRY_ONLINE_URL"):
        OnlineFeatures(tmp_path, url)
