"""Streamed rows into the lake, each once: files by offset ranges, and a note of how far they go.

The files say what is there: of each set and ticker, every row up to the greatest offset in their
names. The note says from where the log must be read again. It is written after the files, so after
a crash it is early at most, and rows that a file has already are passed over.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from services.featuresets import SETS
from services.lake.errors import LakeError
from services.lake.files import partial_of, put_in_place, read_file, sweep, write_file
from services.lake.places import FeatureFile, Lake, day_of, stream_file
from services.lake.schemas import feature_schema
from services.materializer.core import SEEN_MAX, KeptRow, Seen
from services.runtime.errors import ConfigurationError
from services.wire.topics import FEATURES

NOTE: Final = "positions.json"


class Note(msgspec.Struct, frozen=True):
    """From where to read on."""

    topic_id: str
    """Of the topic that the offsets are of."""
    offsets: dict[int, int]
    """The next offset to read, by partition."""


class LakeWriter:
    """The one writer of streamed rows. Hold the lake's lock for streams meanwhile.

    Raises (any method):
        LakeError: the disk does not take it, or a file is not the lake's.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._note_path = lake.root / "features" / NOTE
        self._last_offset: dict[tuple[str, str, int], int] = {}
        """By feature set, ticker and partition: what the files hold."""
        self._is_sure = False
        """Whether it is known what they hold: not after a failure."""

    def open(self, topic_id: str) -> Mapping[int, int]:
        """Sweep what a crash left, see what is there, and say from where to read, by partition.

        A lake without a note gets one, so that there is a place to accept a loss in.

        Raises:
            ConfigurationError: the note is of another topic: its offsets mean other records.
        """
        for own in ("stream-*", NOTE):  # A backfill may be at work: its files are not ours.
            sweep(self._lake.root / "features", own)
        self._take_stock()
        note = self._read_note()
        if note is None:
            note = Note(topic_id, dict.fromkeys(range(FEATURES.partitions), 0))
            self._write_note(note)
        if note.topic_id != topic_id:
            raise ConfigurationError(
                f"{self._note_path}: the lake's rows came from another topic (its id was"
                f" {note.topic_id}, now {topic_id}); use another OUTCRY_HOME, or move"
                f" {self._note_path.parent} away"
            )
        return note.offsets

    def recent(self) -> dict[tuple[str, str], tuple[KeptRow, Seen]]:
        """Of each feature set and ticker the newest streamed row, and which there are."""
        found: dict[tuple[str, str], tuple[KeptRow, Seen]] = {}
        for feature_set in SETS:
            by_ticker: dict[str, list[tuple[Path, FeatureFile]]] = {}
            for path, file in self._lake.feature_files(feature_set):
                if file.origin == "stream":
                    by_ticker.setdefault(_ticker_of(path), []).append((path, file))
            for ticker, files in by_ticker.items():
                found[feature_set, ticker] = _recent(feature_set, files)
        return found

    def write(self, rows: Sequence[KeptRow], topic_id: str, offsets: Mapping[int, int]) -> int:
        """Rows in the order of the log, then the note; how many files there are more.

        All or part of it may be there afterwards if it fails: write it again, with more or not.
        """
        if not self._is_sure:
            self._take_stock()
        self._is_sure = False
        fresh = [
            row
            for row in rows
            if row.offset > self._last_offset.get((row.feature_set, row.ticker, row.partition), -1)
        ]
        # A ticker's days one after the other: what a crash leaves is then a beginning of them.
        fresh.sort(key=lambda row: (row.feature_set, row.ticker, row.partition, row.offset))
        files = 0
        for (feature_set, ticker, partition, _), group in groupby(fresh, key=_file_key):
            members = list(group)
            first, last = members[0].offset, members[-1].offset
            folder = self._lake.features(feature_set, ticker, day_of(members[0].grid_time_us))
            path = folder / stream_file(partition, first, last).name
            try:
                write_file(path, feature_schema(SETS[feature_set].columns), [_table(members)])
            except LakeError:
                # It may have its name, and that not be durable: rather without it than unsure.
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                raise
            self._last_offset[feature_set, ticker, partition] = last
            files += 1
        self._write_note(Note(topic_id, dict(offsets)))
        self._is_sure = True
        return files

    def _take_stock(self) -> None:
        self._last_offset = {}
        for feature_set in SETS:
            for path, file in self._lake.feature_files(feature_set):
                if file.origin == "stream":
                    place = (feature_set, _ticker_of(path), file.partition)
                    self._last_offset[place] = max(self._last_offset.get(place, -1), file.last)
        self._is_sure = True

    def _read_note(self) -> Note | None:
        try:
            text = self._note_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakeError(f"{self._note_path} can't be read ({error.strerror})") from error
        try:
            return msgspec.json.decode(text, type=Note)
        except msgspec.DecodeError as error:
            raise LakeError(
                f"{self._note_path} is damaged ({error}); remove it: the log is then read from its"
                " start, and rows that are there are passed over"
            ) from error

    def _write_note(self, note: Note) -> None:
        with _told(self._note_path):
            self._note_path.parent.mkdir(parents=True, exist_ok=True)
            partial = partial_of(self._note_path)
            partial.write_bytes(msgspec.json.encode(note))
            put_in_place(partial, self._note_path)


def _file_key(row: KeptRow) -> tuple[str, str, int, object]:
    return row.feature_set, row.ticker, row.partition, day_of(row.grid_time_us)


def _table(rows: Sequence[KeptRow]) -> pa.Table:
    columns = SETS[rows[0].feature_set].columns
    table: dict[str, list[object]] = {
        "ticker": [row.ticker for row in rows],
        "event_timestamp": [row.grid_time_us for row in rows],
        "created": [row.created_us for row in rows],
        "processed": [row.processed_us for row in rows],
        "trade_offset": [row.trade_offset for row in rows],
        "fingerprint": [row.fingerprint for row in rows],
    }
    for place, name in enumerate(columns):
        table[name] = [row.values[place] for row in rows]
    schema = feature_schema(columns)
    return pa.table(
        {name: pa.array(values, schema.field(name).type) for name, values in table.items()}
    )


def _recent(feature_set: str, files: list[tuple[Path, FeatureFile]]) -> tuple[KeptRow, Seen]:
    """The newest row, and the times of the last files, as many as are remembered."""
    files = sorted(files, key=lambda found: found[1].last, reverse=True)
    newest: KeptRow | None = None
    times_us: set[int] = set()
    for place, (path, file) in enumerate(files):
        table = read_file(path, "features")
        times = table.column("event_timestamp").cast(pa.int64()).to_pylist()
        times_us.update(times)
        # A row that was written late stands behind newer ones, in the file after theirs at most.
        row = _row_at(feature_set, table, times.index(max(times)), file)
        newest = row if newest is None or row.grid_time_us > newest.grid_time_us else newest
        if len(times_us) >= SEEN_MAX and place + 1 < len(files):
            assert newest is not None
            return newest, Seen(times_us, min(times_us))
    assert newest is not None, "a ticker has files"
    return newest, Seen(times_us)


def _row_at(feature_set: str, table: pa.Table, place: int, file: FeatureFile) -> KeptRow:
    row = table.slice(place, 1)
    times = {
        name: row.column(name).cast(pa.int64())[0].as_py()
        for name in ("event_timestamp", "created", "processed")
    }
    cells = row.drop_columns([*times]).to_pylist()[0]
    return KeptRow(
        feature_set,
        cells["ticker"],
        file.partition,
        file.last,
        times["event_timestamp"],
        times["created"],
        times["processed"],
        cells["trade_offset"],
        cells["fingerprint"],
        tuple(cells[name] for name in SETS[feature_set].columns),
    )


def _ticker_of(path: Path) -> str:
    return path.parent.parent.name.partition("=")[2]


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LakeError(f"{path} can't be written ({error.strerror or error})") from error
