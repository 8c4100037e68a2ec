"""A log of feature rows in memory, and ports of the materializer that fail at will."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from services.domain.features import FeatureRow
from services.domain.origin import TRADES, Origin
from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.lake.places import Lake, is_ticker
from services.materializer.core import Intake, KeptRow, KnownSet
from services.online.errors import OnlineStoreAwayError
from services.online.rows import OnlineRow
from services.runtime.ports import Record, TopicPartition
from services.wire.codec import local_codec
from services.wire.topics import FEATURES

CODEC: Final = local_codec()
V1: Final = "microstructure_v1"
V2: Final = "microstructure_v2"
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
START_US: Final = 20_000 * DAY_US + 43_200 * SECOND_US
"""Noon of a day, so that tests meet midnight only where they mean to."""
TOPIC_ID: Final = "a-topic"
KNOWN: Final = {name: KnownSet(found, fingerprint(found)) for name, found in SETS.items()}


def feature_row(
    grid_time_us: int = START_US,
    *,
    ticker: str = "AAPL",
    feature_set: str = V1,
    fingerprint: str | None = None,
    values: tuple[int | None, ...] | None = None,
) -> FeatureRow:
    """A row whose values tell its time and ticker; some are not defined."""
    if fingerprint is None:
        fingerprint = KNOWN[feature_set].fingerprint
    if values is None:
        count = len(SETS[feature_set].features) if feature_set in SETS else 1
        seed = grid_time_us // SECOND_US + sum(ticker.encode())
        values = tuple(None if i == seed % 5 else seed * 31 + i for i in range(count))
    return FeatureRow(feature_set, fingerprint, ticker, grid_time_us, 7, values)


def origin_of(row: FeatureRow, offset: int = 100) -> Origin:
    """Of the trade that closed it, a millisecond after."""
    return Origin(TRADES, 0, offset, 0, 0, row.grid_time_us + 1_000, row.grid_time_us + 1_000)


class FeatureLog:
    """What is on `features`, partition by partition; offsets have gaps, as on a real log."""

    def __init__(self) -> None:
        self.records: dict[int, list[Record]] = {p: [] for p in range(FEATURES.partitions)}

    def put(self, row: FeatureRow, partition: int = 0, step: int = 1) -> Record:
        """A row at the end of a partition, `step` offsets on."""
        value = CODEC.encode(FEATURES.name, origin_of(row), row)
        return self.put_bytes(value, partition, step)

    def put_bytes(self, value: bytes | None, partition: int = 0, step: int = 1) -> Record:
        records = self.records[partition]
        offset = records[-1].offset + step if records else 0
        processed_ms = START_US // 1_000 + offset
        record = Record(FEATURES.name, partition, offset, processed_ms, b"k", value)
        records.append(record)
        return record

    def rows(self, count: int, ticker: str = "AAPL", start_us: int = START_US, **more: int) -> None:
        """Rows of one ticker, a second apart."""
        for i in range(count):
            self.put(feature_row(start_us + i * SECOND_US, ticker=ticker), **more)

    def distinct(self) -> dict[tuple[str, str, int], tuple[float | None, ...]]:
        """What the lake must hold: by set, ticker and grid time the values."""
        found: dict[tuple[str, str, int], tuple[float | None, ...]] = {}
        for row in self.kept():
            found[row.feature_set, row.ticker, row.grid_time_us] = row.values
        return found

    def kept(self) -> list[KeptRow]:
        """The rows that count, in the order of the log."""
        intake = Intake(KNOWN, {}, is_ticker)
        return [
            kept
            for records in self.records.values()
            for record in records
            if isinstance(kept := judged(intake, record), KeptRow)
        ]


def judged(intake: Intake, record: Record) -> object:
    """What the intake says of a record; its bytes must be a row's."""
    decoded = CODEC.decode(FEATURES.name, record.value)
    assert decoded.origin is not None
    return intake.take(
        record.partition, record.offset, record.timestamp_ms * 1_000, decoded.origin,
        decoded.payload,
    )  # fmt: skip


def processed_us(home: Path) -> dict[tuple[str, str, int], int | None]:
    """By set, ticker and grid time: when the lake says that a row came to Kafka."""
    import pyarrow.parquet as pq

    found: dict[tuple[str, str, int], int | None] = {}
    for name in SETS:
        for path, _ in Lake(home).feature_files(name):
            table = pq.ParquetFile(path).read(["ticker", "event_timestamp", "processed"])
            columns = (
                table.column("ticker"),
                *(table.column(time).cast("int64") for time in ("event_timestamp", "processed")),
            )
            for ticker, time_us, at_us in zip(*(c.to_pylist() for c in columns), strict=True):
                found[name, ticker, time_us] = at_us
    return found


def lake_rows(home: Path) -> list[tuple[str, str, int, tuple[float | None, ...]]]:
    """Every row in the lake's files, as another reader sees them."""
    import pyarrow.parquet as pq

    lake, found = Lake(home), []
    for name, feature_set in SETS.items():
        for path, _ in lake.feature_files(name):
            table = pq.ParquetFile(path).read()
            times = table.column("event_timestamp").cast("int64").to_pylist()
            for time_us, cells in zip(times, table.to_pylist(), strict=True):
                assert path.parent.parent.name == f"ticker={cells['ticker']}"
                values = tuple(cells[column] for column in feature_set.columns)
                found.append((name, cells["ticker"], time_us, values))
    return found


def require_each_once(home: Path, log: FeatureLog) -> None:
    """The lake holds the distinct rows of the log, and none twice.

    Each with the time of its first record on the log, which is when it was processed.
    """
    rows = lake_rows(home)
    places = [row[:3] for row in rows]
    assert len(set(places)) == len(places), "a row is there twice"
    assert {row[:3]: row[3] for row in rows} == log.distinct()
    kept = {(row.feature_set, row.ticker, row.grid_time_us): row.processed_us for row in log.kept()}
    assert processed_us(home) == kept


class FakeTail:
    """Reads a FeatureLog; fails once when told to."""

    def __init__(self, log: FeatureLog, faults: list[Exception]) -> None:
        self._log = log
        self._faults = faults
        self._positions: dict[TopicPartition, int] = {}

    def topic_ids(self) -> Mapping[str, str]:
        return {FEATURES.name: TOPIC_ID}

    def start(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(offsets)

    def read(self, records_max: int, idle_wait_ms: int, gather_ms: int) -> Sequence[Record]:
        if self._faults:
            raise self._faults.pop(0)
        found: list[Record] = []
        for at, position in self._positions.items():
            for record in self._log.records[at.partition]:
                if record.offset >= position and len(found) < records_max:
                    found.append(record)
                    self._positions[at] = record.offset + 1
        return found

    def positions(self) -> Mapping[TopicPartition, int]:
        return self._positions

    def ends(self) -> Mapping[TopicPartition, int]:
        return {
            at: max((record.offset + 1 for record in self._log.records[at.partition]), default=0)
            for at in self._positions
        }

    def close(self) -> None:
        pass


class FakeOnline:
    """An online store that is away or slow at will, and notes what came."""

    def __init__(self) -> None:
        self.is_away = False
        self.is_declared = False
        self.linger: Callable[[], None] = lambda: None
        """Called before it answers."""
        self.writes: list[list[OnlineRow]] = []
        self.newest: dict[tuple[str, str], OnlineRow] = {}

    def declare(self) -> None:
        self._answer()
        self.is_declared = True

    def _answer(self) -> None:
        self.linger()
        if self.is_away:
            raise OnlineStoreAwayError("the online store does not answer")

    def write(self, feature_set: FeatureSet[object], rows: Sequence[OnlineRow]) -> None:
        self._answer()
        assert self.is_declared, "the real one has no table then"
        self.writes.append(list(rows))
        for row in rows:
            place = (feature_set.name, row.ticker)
            before = self.newest.get(place)
            assert before is None or before.grid_time_us <= row.grid_time_us
            self.newest[place] = row


class FakePacer:
    """A clock that stands still unless it is moved; waiting moves it."""

    def __init__(self) -> None:
        self.time_s = 1_000.0
        self.waits: list[float] = []
        self.is_stopping: Callable[[], bool] = lambda: False

    def now_s(self) -> float:
        return self.time_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        assert len(self.waits) < 1_000, "waits for ever"
        self.time_s += seconds

    def stopping(self) -> bool:
        return self.is_stopping()
