"""Whether each vector that was served is the one that the trades give, compared as bits.

`predictions` keeps with each answer the vector that the model was given. The row that the fold
makes of the committed trades, for the same set, ticker and grid time, goes through the function
that serving and training share, and both vectors are compared as IEEE numbers, bit by bit: a
column that stands elsewhere, another ticker's row or an older one all show.

1. Note where `predictions` ends: what comes later is not looked at.
2. Fold the trades. They are read after that, so each row that was served follows from them.
3. Read `predictions` once. Records are written at least once, so a repetition is counted.
4. Fold the first rows that differ once more, to say what each column must have been.

What is kept of a row is 32 bytes, and of the predictions only the ids of the last ones.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import msgspec

from services.domain.origin import NOWHERE, Origin
from services.domain.predictions import STREAMED, Prediction
from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.featuresets.fingerprint import fingerprint
from services.models.vector import NOT_INPUTS, VectorError, inputs_of, make_vector
from services.runtime.errors import HistoryLostError
from services.runtime.ports import LogReader, Record, TopicPartition
from services.tools.features.digests import digest
from services.tools.features.inputs import ExpectedRow, LogTrades
from services.tools.features.parity import FIRST_SHOWN_MAX, Tally
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import PREDICTIONS, TRADES

PLACE: Final = "served"
REMEMBERED_MAX: Final = 100_000
"""Ids of a partition's last predictions, by which a repetition is known. A crash repeats what was
read and not committed, a thousand or so; one that comes after more others counts as matched."""
_DIGEST_BYTES: Final = 16
_NO_VECTOR: Final = bytes(_DIGEST_BYTES)
"""In the place of a vector's digest: the row has features that are not defined."""


class Cause(StrEnum):
    """What is wrong with what was served: a closed list."""

    VALUE = "value"
    """A column has another number."""
    WIDTH = "width"
    """It has another number of columns than the set has inputs."""
    UNDEFINED = "undefined"
    """The row has features that are not defined, so no vector can be made of it."""
    NO_ROW = "no_row"
    """It follows from no trade."""
    REWRITTEN = "rewritten"
    """The stream wrote its id before, with another answer by the same model."""
    GONE = "gone"
    """Another number; retention took the trades before it could be said which."""


class ServedDifference(msgspec.Struct, frozen=True):
    """One prediction whose vector is not what the trades give."""

    topic: str
    partition: int
    offset: int
    feature_set: str
    ticker: str
    grid_time_us: int
    model: str
    """Name and version, as `direction_10s/3`."""
    cause: Cause
    column: str = ""
    """The first that differs, where one does."""
    served: float | None = None
    recomputed: float | None = None
    others: int = 0
    """How many columns differ beside it."""

    def told(self) -> str:
        """For people, in a line."""
        where = (
            f"{self.topic}/{self.partition} offset {self.offset}: {self.ticker} at"
            f" {self.grid_time_us}, {self.model}"
        )
        match self.cause:
            case Cause.VALUE:
                more = f"; {self.others} columns more differ" if self.others else ""
                return (
                    f"{where}: {self.column} was served as {self.served!r}, and the trades give"
                    f" {self.recomputed!r}{more}"
                )
            case Cause.WIDTH:
                return f"{where}: {self.others} columns too many or too few were served"
            case Cause.UNDEFINED:
                return f"{where}: was served, and {self.column} of its row is not defined"
            case Cause.NO_ROW:
                return f"{where}: was served, and follows from no trade"
            case Cause.REWRITTEN:
                return f"{where}: written again by the same model with another answer"
            case Cause.GONE:
                return f"{where}: not what the trades gave; retention took them meanwhile"


class ServedParity(msgspec.Struct):
    """What became of every prediction that there was when the comparison began."""

    tallies: list[Tally] = []
    """One a feature set; none where `predictions` has no record."""
    unreadable: int = 0
    """Records that are no predictions of a known set: a stranger's."""
    passed_over: int = 0
    """Predictions of sets that were not asked for."""
    ends: dict[int, int] = {}
    """By partition, the offset of `predictions` up to which was looked."""
    first: ServedDifference | None = None
    """In the order of partitions and offsets."""

    @property
    def holds(self) -> bool:
        """Whether nothing differs. Also where nothing could be compared: see `matched`."""
        return all(tally.holds for tally in self.tallies)

    @property
    def matched(self) -> int:
        """How many predictions were made of the right vector."""
        return sum(tally.matched for tally in self.tallies)


def compare_served(log: LogReader, codec: Codec, sets: Sequence[FeatureSet[Any]]) -> ServedParity:
    """Every prediction there is now against the fold over `trades`, of sets made of trades.

    Raises:
        RetriableError: the broker does not answer.
        HistoryLostError: retention took records while they were read.
    """
    bounds = {p: log.bounds(_at(p)) for p in range(PREDICTIONS.partitions)}
    ends = {partition: end for partition, (_, end) in bounds.items()}
    if all(first == end for first, end in bounds.values()):
        return ServedParity(ends=ends)
    judge = _Judge(_fold(log, codec, sets), sets)
    for partition, (first, end) in bounds.items():
        judge.recall = _Recall()
        for chunk in log.read(_at(partition), first, end):
            for record in chunk:
                judge.take(record, codec)
    explained = [each.explain(log, codec) for each in judge.wrong]
    for difference in explained:
        judge.tallies[difference.feature_set].tell(difference.told())
    return ServedParity(
        [tally for tally in judge.tallies.values() if tally.feature_set in judge.seen],
        judge.unreadable,
        judge.passed_over,
        ends,
        explained[0] if explained else None,
    )


def _at(partition: int) -> TopicPartition:
    return TopicPartition(PREDICTIONS.name, partition)


# --- what must have been served


class _Rows:
    """A set's rows of a ticker in a partition of `trades`: times, and what their vectors are."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.grid_times_us = array("q")
        self._rewinds = array("q")
        self._digests = bytearray()

    def add(self, row: ExpectedRow, vector_digest: bytes) -> None:
        """Grid times rise."""
        self.grid_times_us.append(row.grid_time_us)
        self._rewinds.append(row.rewind_offset)
        self._digests += vector_digest

    def find(self, grid_time_us: int) -> tuple[bytes, int] | None:
        """The vector's digest, and the trade from which the row can be folded again."""
        place = bisect_left(self.grid_times_us, grid_time_us)
        if place == len(self.grid_times_us) or self.grid_times_us[place] != grid_time_us:
            return None
        at = place * _DIGEST_BYTES
        return bytes(self._digests[at : at + _DIGEST_BYTES]), self._rewinds[place]


class _Expected:
    """Every row that can be proved, by set and ticker."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[_Rows]] = {}
        """Of a ticker whose trades a stranger wrote elsewhere too, one for each partition."""
        self.cut: set[int] = set()
        """Partitions of `trades` whose beginning retention took."""

    def note(self, partition: int, feature_set: FeatureSet[Any], row: ExpectedRow) -> None:
        """Partition by partition, rows in order of time."""
        rows = self._rows.setdefault((feature_set.name, row.ticker), [])
        if not rows or rows[-1].partition != partition:
            rows.append(_Rows(partition))
        try:
            vector_digest = _digest(vector_of(feature_set, row))
        except VectorError:
            vector_digest = _NO_VECTOR
        rows[-1].add(row, vector_digest)

    def find(self, feature_set: str, ticker: str, grid_time_us: int) -> Iterator["_Must"]:
        """What may have been served of this moment."""
        for rows in self._rows.get((feature_set, ticker), ()):
            found = rows.find(grid_time_us)
            if found is not None:
                yield _Must(found[0], rows.partition, found[1])

    def could_have_row(self, served: Prediction, origin: Origin) -> bool:
        """Whether a row that is not here may have been right: its trades are gone, or elsewhere.

        Before a ticker's first row a request may have been answered from a history that was put
        online. The stream's rows follow from the log alone, and it says from which partition.
        """
        rows = self._rows.get((served.feature_set, served.ticker), ())
        if any(some.grid_times_us[0] <= served.grid_time_us for some in rows):
            return False
        return origin.topic == NOWHERE or origin.partition in self.cut


class _Must(msgspec.Struct, frozen=True):
    vector_digest: bytes
    partition: int
    """Of the trades."""
    rewind_offset: int


def _fold(log: LogReader, codec: Codec, sets: Sequence[FeatureSet[Any]]) -> _Expected:
    expected = _Expected()
    for partition in range(TRADES.partitions):
        trades = LogTrades(log, codec, partition)
        if trades.is_cut:
            expected.cut.add(partition)
        for found in trades.rows(sets):
            if found.is_provable:
                expected.note(partition, found.feature_set, found.row)
    return expected


def vector_of(feature_set: FeatureSet[Any], row: ExpectedRow) -> list[float]:
    """What a model of a set must be given of a row.

    Raises:
        VectorError: some feature is not defined; nothing can be served.
    """
    values = {
        feature.name: feature.real(value)
        for feature, value in zip(feature_set.features, row.values, strict=True)
        if feature.name not in NOT_INPUTS
    }
    return make_vector(inputs_of(feature_set), values)


def _digest(vector: Sequence[float]) -> bytes:
    """Of the bits: zero and minus zero differ, and a NaN is equal to itself."""
    return blake2b(_bits(vector), digest_size=_DIGEST_BYTES).digest()


def _bits(vector: Sequence[float]) -> bytes:
    return array("d", vector).tobytes()


# --- what was


class _Recall:
    """The last predictions of a partition: which of them come once more."""

    def __init__(self) -> None:
        self._answers: dict[bytes, bytes] = {}

    def known(self, served: Prediction) -> bytes | None:
        """A digest of the answer that came under this id before."""
        return self._answers.get(self._id(served))

    def note(self, served: Prediction) -> None:
        """Remember it, and forget the oldest if there are too many."""
        self._answers[self._id(served)] = answer_digest(served)
        if len(self._answers) > REMEMBERED_MAX:
            del self._answers[next(iter(self._answers))]

    @staticmethod
    def _id(served: Prediction) -> bytes:
        """A request's id is its client's, who may use it again for later rows."""
        row = () if served.mode == STREAMED else (served.grid_time_us, _bits(served.vector))
        return digest(
            served.mode, served.request_id, served.ticker, served.model, served.model_version,
            served.model_sha256, served.is_shadow, *row,
        )  # fmt: skip


def answer_digest(served: Prediction) -> bytes:
    """All that a repetition must have again: not when it was, nor where its row stood.

    A feature row that was written twice is predicted from twice, under one id.
    """
    return digest(*msgspec.structs.astuple(msgspec.structs.replace(served, served_at_us=0)))


class _Wrong(msgspec.Struct, frozen=True):
    """A difference, before it is known what must have been."""

    found: ServedDifference
    vector: tuple[float, ...] = ()
    must: _Must | None = None
    """None: there is nothing more to say."""

    def explain(self, log: LogReader, codec: Codec) -> ServedDifference:
        """Fold the row once more, from where it can be, and compare column by column."""
        if self.must is None:
            return self.found
        feature_set, found = SETS[self.found.feature_set], self.found
        row = _fold_again(log, codec, feature_set, self.must, found.ticker, found.grid_time_us)
        if row is None:
            return msgspec.structs.replace(found, cause=Cause.GONE)
        try:
            right = vector_of(feature_set, row)
        except VectorError as error:
            return msgspec.structs.replace(found, cause=Cause.UNDEFINED, column=error.columns[0])
        if len(right) != len(self.vector):
            surplus = abs(len(self.vector) - len(right))
            return msgspec.structs.replace(found, cause=Cause.WIDTH, others=surplus)
        pairs = zip(inputs_of(feature_set), self.vector, right, strict=True)
        differ = [each for each in pairs if _bits((each[1],)) != _bits((each[2],))]
        assert differ, "a row that is folded again from its rewind offset is another one"
        column, is_, must_be = differ[0]
        return msgspec.structs.replace(
            found, column=column, served=is_, recomputed=must_be, others=len(differ) - 1
        )


def _fold_again(
    log: LogReader,
    codec: Codec,
    feature_set: FeatureSet[Any],
    must: _Must,
    ticker: str,
    grid_time_us: int,
) -> ExpectedRow | None:
    """One row, folded from where it can be; None: its trades are gone meanwhile."""
    trades = LogTrades(log, codec, must.partition, start=must.rewind_offset)
    try:
        for found in trades.rows([feature_set]):
            if (found.row.ticker, found.row.grid_time_us) == (ticker, grid_time_us):
                return found.row
    except HistoryLostError:
        pass
    return None


class _Judge:
    """Holds each prediction against what must have been."""

    def __init__(self, expected: _Expected, sets: Sequence[FeatureSet[Any]]) -> None:
        self.tallies: Mapping[str, Tally] = {s.name: Tally(PLACE, s.name) for s in sets}
        self.recall = _Recall()
        self.seen: set[str] = set()
        """Sets of which there are predictions."""
        self.unreadable = 0
        self.passed_over = 0
        self.wrong: list[_Wrong] = []
        """The first of each set, at most FIRST_SHOWN_MAX."""
        self._expected = expected
        self._fingerprints = {s.name: fingerprint(s) for s in sets}

    def take(self, record: Record, codec: Codec) -> None:
        """Judge a record."""
        try:
            decoded = codec.decode(PREDICTIONS.name, record.value)
        except UndecodableError:
            self.unreadable += 1
            return
        served: Prediction = decoded.payload
        tally = self.tallies.get(served.feature_set)
        if tally is None:
            self.unreadable += served.feature_set not in SETS
            self.passed_over += served.feature_set in SETS
            return
        assert decoded.origin is not None, "each schema of predictions has an origin"
        self.seen.add(served.feature_set)
        known = self.recall.known(served)
        if known is None:
            self.recall.note(served)
            self._judge(tally, record, served, decoded.origin)
        elif known == answer_digest(served):
            tally.repeated += 1
        else:
            tally.mismatched += 1
            self._keep(tally, record, served, Cause.REWRITTEN)

    def _judge(self, tally: Tally, record: Record, served: Prediction, origin: Origin) -> None:
        if served.fingerprint != self._fingerprints[served.feature_set]:
            tally.foreign += 1
            return
        place = (served.feature_set, served.ticker, served.grid_time_us)
        musts = list(self._expected.find(*place))
        is_ = _digest(served.vector)
        if any(must.vector_digest == is_ for must in musts):
            tally.matched += 1
        elif musts:
            tally.mismatched += 1
            self._keep(tally, record, served, Cause.VALUE, musts[0])
        elif self._expected.could_have_row(served, origin):
            tally.unprovable += 1
        else:
            tally.extra += 1
            self._keep(tally, record, served, Cause.NO_ROW)

    def _keep(
        self,
        tally: Tally,
        record: Record,
        served: Prediction,
        cause: Cause,
        must: _Must | None = None,
    ) -> None:
        if tally.mismatched + tally.extra > FIRST_SHOWN_MAX:
            return
        found = ServedDifference(
            PREDICTIONS.name, record.partition, record.offset, served.feature_set, served.ticker,
            served.grid_time_us, f"{served.model}/{served.model_version}", cause,
        )  # fmt: skip
        self.wrong.append(_Wrong(found, served.vector, must))
