"""Whether what the stream wrote is what history gives: row by row, compared with `==`.

Four places hold a row: the fold over `trades` says what must be there; `features`, the lake and
the online store say what is. A row's grid time tells where it belongs; everything else about it
is compared: values, fingerprint, the trade that closed it, and from where it can be folded again.
`served_parity` looks at what was served of rows.

Retention takes trades and the rows stay. A row that may depend on a trade that is gone is neither
right nor wrong: it is counted as unprovable.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.domain.features import FeatureRow
from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.runtime.errors import HistoryLostError
from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.features.digests import digest
from services.tools.features.inputs import ExpectedRow, LogTrades
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import FEATURES

FIRST_SHOWN_MAX: Final = 10
"""Differences that are told one by one, of each kind of place."""
NEVER_US: Final = 2**63 - 1
"""After every grid time."""

type OnRow = Callable[[FeatureSet[Any], ExpectedRow], None]
"""Told each row that follows from the trades, if it depends on none that are gone."""


class Tally(msgspec.Struct):
    """One feature set in one place."""

    place: str
    """`features/3`, `lake`, `online`, `served`."""
    feature_set: str
    matched: int = 0
    mismatched: int = 0
    missing: int = 0
    """Follow from the trades, and are not there."""
    extra: int = 0
    """Are there, and follow from no trade."""
    repeated: int = 0
    """Were written again after a crash, with the same bytes."""
    before: int = 0
    """Follow from trades before the set's first row here: a backfill's, not the stream's."""
    behind: int = 0
    """Are newer than the newest that is there: on their way, if anything writes here at all."""
    unprovable: int = 0
    """Are there, and their trades are not on the log: retention took them, or it is a history that
    was ingested."""
    foreign: int = 0
    """Were served by a model of other feature definitions than this code's; not compared."""
    differences: list[str] = msgspec.field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every row matches."""
        return not (self.mismatched or self.missing or self.extra or self.behind)

    def tell(self, what: str) -> None:
        """Keep a difference for people."""
        if len(self.differences) < FIRST_SHOWN_MAX:
            self.differences.append(what)


class _Indexed(msgspec.Struct, frozen=True, gc=False):
    digest: bytes
    offset: int
    closing_offset: int
    """Of the trade that closed it."""


class _Index:
    """The rows of one set in one partition of `features`, by grid time.

    A digest a row, since a week of rows would not fit into memory. A row may stand before one
    that is older: a broker's failure can take one and leave the next, and both are written again.
    """

    def __init__(self) -> None:
        self.rows: dict[int, _Indexed] = {}
        self.repeated = 0
        self.conflicts: list[int] = []
        """Offsets of rows that were written again with other bytes."""

    def add(self, grid_time_us: int, found: _Indexed) -> None:
        """Note a record; offsets rise."""
        known = self.rows.setdefault(grid_time_us, found)
        if known is not found:
            if known.digest == found.digest:
                self.repeated += 1
            else:
                self.conflicts.append(found.offset)


class Judged(msgspec.Struct, frozen=True):
    """Which rows of a set in a partition can be judged."""

    from_us: int
    """Grid time of the first one that depends on no trade that is gone; NEVER_US: there is none."""
    trades_end: int
    """Those that trades below this offset closed."""


class StreamParity(msgspec.Struct):
    """The stream, partition by partition."""

    tallies: list[Tally] = []
    unreadable: int = 0
    """Records of `features` that are no rows of a known set: a stranger's."""
    judged: dict[str, dict[int, Judged]] = {}
    """By set and partition, where the set has rows."""
    ends: dict[int, int] = {}
    """How far the trades of each partition were looked at."""


def compare_stream(
    log: LogReader,
    codec: Codec,
    sets: Sequence[FeatureSet[Any]],
    ends: Mapping[int, int | None],
    on_row: OnRow = lambda _set, _row: None,
) -> StreamParity:
    """`features` against the fold over `trades`, read once for all sets that have rows.

    `ends` has the partitions, and how far to look at their trades; None: to where they end now.

    Raises:
        RetriableError: the broker does not answer.
        HistoryLostError: retention took trades while they were read.
    """
    parity = StreamParity()
    silent: list[Tally] = []
    for partition, end in ends.items():
        # Trades first: a row that is written meanwhile follows from one that is read.
        trades = LogTrades(log, codec, partition, end)
        parity.ends[partition] = trades.end
        indexes, unreadable = _read_indexes(log, codec, sets, partition)
        parity.unreadable += unreadable
        judges = {
            feature_set.name: _Judge(feature_set, partition, indexes[feature_set.name], trades)
            for feature_set in sets
            if indexes[feature_set.name].rows
        }
        if judges:
            for found in trades.rows([SETS[name] for name in judges]):
                if found.is_provable:
                    on_row(found.feature_set, found.row)
                    judges[found.feature_set.name].take(found.row)
        for name, judge in judges.items():
            judge.finish(log, codec)
            parity.tallies.append(judge.tally)
            parity.judged.setdefault(name, {})[partition] = judge.judged
        place = f"{FEATURES.name}/{partition}"
        silent += [Tally(place, s.name) for s in sets if s.name not in judges and trades.has_any]
    # Where a set that runs wrote no row, people are to see that nothing was compared.
    parity.tallies += [tally for tally in silent if tally.feature_set in parity.judged]
    return parity


class _Judge:
    """Holds expected rows against an index, in order of grid time."""

    def __init__(
        self, feature_set: FeatureSet[Any], partition: int, index: _Index, trades: LogTrades
    ) -> None:
        self.tally = Tally(f"{FEATURES.name}/{partition}", feature_set.name)
        self._name = feature_set.name
        self._fingerprint = fingerprint(feature_set)
        self._at = TopicPartition(FEATURES.name, partition)
        self._index = index
        self._left = dict(index.rows)
        self._first_us = min(index.rows)
        self._newest_closing = max(r.closing_offset for r in index.rows.values())
        self._trades_end = trades.end
        self._from_us = NEVER_US if trades.is_cut else 0
        self._wrong: list[tuple[ExpectedRow, int]] = []
        """What must be there, and the offset of what is."""

    @property
    def judged(self) -> Judged:
        """Which rows could be judged; ask when all are taken."""
        return Judged(self._from_us, self._trades_end)

    def take(self, row: ExpectedRow) -> None:
        """Judge a row."""
        tally = self.tally
        self._from_us = min(self._from_us, row.grid_time_us)
        if row.grid_time_us < self._first_us:
            tally.before += 1
            return
        found = self._left.pop(row.grid_time_us, None)
        if found is None and row.closing_offset >= self._newest_closing:
            tally.behind += 1
        elif found is None:
            tally.missing += 1
            tally.tell(
                f"{row.ticker} at {row.grid_time_us}: missing, though the trade at offset"
                f" {row.closing_offset} closed it"
            )
        elif found.digest != _digest(self._name, self._fingerprint, row):
            tally.mismatched += 1
            if len(self._wrong) < FIRST_SHOWN_MAX:
                self._wrong.append((row, found.offset))
        else:
            tally.matched += 1

    def finish(self, log: LogReader, codec: Codec) -> None:
        """What is left follows from nothing, unless a trade closed it that came after the look."""
        tally = self.tally
        for grid_time_us, found in sorted(self._left.items()):
            if found.closing_offset >= self._trades_end:
                continue
            if grid_time_us < self._from_us:
                tally.unprovable += 1
                continue
            tally.extra += 1
            tally.tell(f"offset {found.offset}, at {grid_time_us}: follows from no trade")
        tally.repeated = self._index.repeated
        tally.mismatched += len(self._index.conflicts)
        for offset in self._index.conflicts:
            tally.tell(f"offset {offset}: written again with other bytes")
        for row, offset in self._wrong:
            tally.tell(_explain(log, codec, self._fingerprint, self._at, offset, row))


def _read_indexes(
    log: LogReader, codec: Codec, sets: Sequence[FeatureSet[Any]], partition: int
) -> tuple[dict[str, _Index], int]:
    """Of each set, and how many records are rows of none."""
    indexes = {feature_set.name: _Index() for feature_set in sets}
    unreadable = 0
    at = TopicPartition(FEATURES.name, partition)
    for chunk in log.read(at, *log.bounds(at)):
        for record in chunk:
            written = _decode(codec, record)
            index = None if written is None else indexes.get(written[0].feature_set)
            if written is None or (index is None and written[0].feature_set not in SETS):
                unreadable += 1
            elif index is not None:
                row, expected = written
                digest = _digest(row.feature_set, row.fingerprint, expected)
                index.add(
                    row.grid_time_us, _Indexed(digest, record.offset, expected.closing_offset)
                )
    return indexes, unreadable


def first_grid_time_us(
    log: LogReader, codec: Codec, feature_set: str, partition: int
) -> int | None:
    """The least grid time of a set's rows in a partition of `features`; None: it has none.

    Rows stand in order but for what was written again, which is never the first.
    """
    at = TopicPartition(FEATURES.name, partition)
    for chunk in log.read(at, *log.bounds(at)):
        for record in chunk:
            written = _decode(codec, record)
            if written is not None and written[0].feature_set == feature_set:
                return written[0].grid_time_us
    return None


def _decode(codec: Codec, record: Record) -> tuple[FeatureRow, ExpectedRow] | None:
    """A record as a row, and as what must be there in its place; None: it is no row."""
    try:
        decoded = codec.decode(FEATURES.name, record.value)
    except UndecodableError:
        return None
    row, origin = decoded.payload, decoded.origin
    assert origin is not None, "each schema of features has an origin"
    return row, ExpectedRow(
        row.ticker, row.grid_time_us, origin.time_us, origin.offset, origin.index,
        row.rewind_offset, row.values,
    )  # fmt: skip


def _digest(feature_set: str, made_by: str, row: ExpectedRow) -> bytes:
    return digest(feature_set, made_by, *msgspec.structs.astuple(row))


def _explain(
    log: LogReader, codec: Codec, made_by: str, at: TopicPartition, offset: int, must: ExpectedRow
) -> str:
    """What differs between the row at an offset and the one that must be there, read once more."""
    try:
        for chunk in log.read(at, offset, offset + 1):
            for record in chunk:
                written = _decode(codec, record)
                if written is not None:
                    return f"offset {offset}: {_differences(must, made_by, *written)}"
    except HistoryLostError:
        pass
    return f"offset {offset}: retention took it meanwhile"


def _differences(must: ExpectedRow, made_by: str, found_row: FeatureRow, found: ExpectedRow) -> str:
    pairs = [("fingerprint", made_by, found_row.fingerprint)]
    pairs += [
        (name.replace("_", " "), getattr(must, name), getattr(found, name))
        for name in ExpectedRow.__struct_fields__
    ]
    told = [f"{name} is {is_!r}, and must be {be!r}" for name, be, is_ in pairs if be != is_]
    return "; ".join(told)
