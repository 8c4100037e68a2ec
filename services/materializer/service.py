"""The materializer at work: from `features` into the online store and the lake.

Online goes what is newest, a tenth of a second after it came; into the lake goes every row, some
minute later, exactly once. Neither waits for the other to succeed: what waits for the online store
is one row of each ticker and set, and what waits for the lake is bounded, then nothing is read.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

from services.featuresets import SETS
from services.featuresets.definitions import FeatureSet
from services.lake.errors import LakeError, LakeLockedError
from services.lake.lock import STREAM, locked
from services.lake.places import Lake, is_ticker
from services.materializer.core import Intake, KeptRow, KnownSet, Passed
from services.materializer.lake_writer import LakeWriter
from services.materializer.metrics import (
    FEATURE_TIME,
    LAKE_FILES,
    LAKE_WAITING,
    ONLINE_SECONDS,
    ROWS_IN_LAKE,
    ROWS_ONLINE,
    ROWS_PASSED,
)
from services.materializer.settings import MaterializerSettings
from services.online.errors import OnlineStoreAwayError
from services.online.rows import OnlineRow
from services.runtime.errors import FatalError, OperatingError
from services.runtime.loop import backoff_s
from services.runtime.ports import Record, TopicPartition
from services.runtime.restore import Pacer
from services.runtime.telemetry import (
    COMMITTED_OFFSET,
    LAG_OFFSETS,
    RECORD_AGE_SECONDS,
    RECORDS_CONSUMED,
    RECORDS_UNDECODABLE,
    RESTARTS,
    Telemetry,
)
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import FEATURES

IDLE_WAIT_MS: Final = 250
STANDBY_WAIT_S: Final = 1.0
READ_RECORDS_MAX: Final = 2_000
PASSED_LOGGED_MAX: Final = 10
"""Most lines about records that were passed over in one turn."""


class Tail(Protocol):
    """Where records come from; TopicTail is it."""

    def topic_ids(self) -> Mapping[str, str]: ...
    def start(self, offsets: Mapping[TopicPartition, int]) -> None: ...
    def read(self, records_max: int, idle_wait_ms: int, gather_ms: int) -> Sequence[Record]: ...
    def positions(self) -> Mapping[TopicPartition, int]: ...
    def ends(self) -> Mapping[TopicPartition, int]: ...
    def close(self) -> None: ...


class Online(Protocol):
    """Where the newest rows go; OnlineFeatures is it."""

    def declare(self) -> None: ...
    def write(self, feature_set: FeatureSet[object], rows: Sequence[OnlineRow]) -> None: ...


class Turn(Enum):
    """What one call of `run_once` did."""

    STARTED = auto()
    """The lake's one writer, and the log read from where the lake ends."""
    IDLE = auto()
    """Nothing had arrived, and nothing was due."""
    WORKED = auto()
    """Rows were read, or written somewhere."""
    STANDING_BY = auto()
    """Another materializer writes this lake; waited a little."""
    RESTARTED = auto()
    """The log was given up, to begin anew; waited a little."""


@dataclass
class _Patience:
    """Of what fails: how often in a row, and when it is tried again."""

    failures: int = 0
    due_s: float = 0.0


@dataclass
class _Session:
    """From the lock on the lake to its loss, or to the end."""

    resources: ExitStack
    tail: Tail
    writer: LakeWriter
    intake: Intake
    topic_id: str
    for_lake: list[KeptRow] = field(default_factory=list)
    for_lake_since_s: float | None = None
    for_online: dict[tuple[str, str], KeptRow] = field(default_factory=dict)
    """The newest row of each feature set and ticker that is not online yet."""
    is_declared: bool = False
    """Whether the online store was told of the sets. While it is away the lake goes on."""


class Materializer:
    """Runs until told to stop. Everything happens in the caller's thread, one turn a call.

    Args:
        codec: for what is on `features`.
        open_tail: connects to the log; called at each start and after each failure.
    """

    def __init__(
        self,
        settings: MaterializerSettings,
        telemetry: Telemetry,
        pacer: Pacer,
        *,
        codec: Codec,
        sets: Mapping[str, KnownSet],
        open_tail: Callable[[], Tail],
        online: Online,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        telemetry.expect([FEATURES.name])
        self._pacer = pacer
        self._codec = codec
        self._sets = sets
        self._open_tail = open_tail
        self._online = online
        self._lake = Lake(settings.home.absolute())
        self._session: _Session | None = None
        self._failures = 0
        self._online_patience = _Patience()
        self._lake_patience = _Patience()
        self._stands_by = False

    def run(self) -> None:
        """Work until asked to stop; then what was read goes into the lake.

        Raises:
            FatalError: a person has to act; the message says how.
        """
        try:
            while not self._pacer.stopping():
                self.run_once()
            if self._session is not None:
                self._write_lake(self._session)
        finally:
            self.close()

    def run_once(self) -> Turn:
        """One turn. Raises as `run`; then close."""
        try:
            if self._session is None:
                self._session = self._start()
                self._declare(self._session)
                self._show_ready()
                return Turn.STARTED
            return self._work(self._session)
        except LakeLockedError as error:
            return self._stand_by(error)
        except LakeError as error:
            return self._back_off(error)
        except FatalError:
            raise
        except OperatingError as error:
            self.close()
            return self._back_off(error)

    def close(self) -> None:
        """Give up the log and the lake's lock. The next turn would begin anew."""
        self._telemetry.ready.clear()
        session, self._session = self._session, None
        if session is not None:
            session.resources.close()

    def _stand_by(self, error: LakeLockedError) -> Turn:
        if not self._stands_by:
            self._telemetry.log.info("standing_by", error=str(error))
        self._stands_by = True
        self._telemetry.ready.set()
        self._pacer.wait(STANDBY_WAIT_S)
        return Turn.STANDING_BY

    def _back_off(self, error: OperatingError) -> Turn:
        self._failures += 1
        wait_s = backoff_s(self._failures)
        self._telemetry.ready.clear()
        self._telemetry.count(RESTARTS, error=type(error).__name__)
        self._telemetry.log.warning(
            "materializing_failed", error=str(error), failures=self._failures, wait_s=wait_s
        )
        self._pacer.wait(wait_s)
        return Turn.RESTARTED

    def _start(self) -> _Session:
        with ExitStack() as resources:
            # 1. Be the lake's one writer of streamed rows.
            resources.enter_context(locked(self._lake, STREAM))
            # 2. Go to where the lake ends.
            tail = self._open_tail()
            resources.callback(tail.close)
            topic_id = tail.topic_ids()[FEATURES.name]
            writer = LakeWriter(self._lake)
            noted = writer.open(topic_id)
            tail.start(
                {
                    TopicPartition(FEATURES.name, partition): noted.get(partition, 0)
                    for partition in range(FEATURES.partitions)
                }
            )
            # 3. The newest rows of the lake may have missed the online store: they go first.
            recent = writer.recent()
            newest = {
                place: row
                for place, (row, _) in recent.items()
                if row.fingerprint == self._sets[row.feature_set].fingerprint
            }
            seen = {place: seen for place, (_, seen) in recent.items()}
            intake = Intake(self._sets, seen, is_ticker)
            self._telemetry.log.info("materializing", offsets=dict(noted))
            self._stands_by = False
            return _Session(resources.pop_all(), tail, writer, intake, topic_id, for_online=newest)

    def _declare(self, session: _Session) -> bool:
        """4. Tell Feast what there is; whether it knows now."""
        if session.is_declared:
            return True
        if self._pacer.now_s() < self._online_patience.due_s:
            return False
        try:
            self._online.declare()
        except OnlineStoreAwayError as error:
            self._try_later(self._online_patience, "online_store_away", error)
            return False
        self._online_patience = _Patience()
        session.is_declared = True
        return True

    def _show_ready(self) -> None:
        if self._online_patience.failures or self._lake_patience.failures:
            self._telemetry.ready.clear()
        else:
            self._telemetry.ready.set()

    def _work(self, session: _Session) -> Turn:
        settings = self._settings
        # 5. Take what has arrived, unless too much waits already.
        room = settings.lake_rows_max - len(session.for_lake)
        records: Sequence[Record] = ()
        if room > 0:
            records_max = min(room, READ_RECORDS_MAX)
            records = session.tail.read(records_max, IDLE_WAIT_MS, settings.gather_ms)
            self._take(session, records)
        # 6. The newest rows go online.
        wrote_online = self._declare(session) and self._write_online(session)
        # 7. All rows go into the lake once enough wait, or the first has waited long enough.
        wrote_lake = self._is_lake_due(session) and self._try_lake(session)
        self._show_ready()
        if room <= 0 and not wrote_lake:
            # Nothing may be read and nothing could be written: let time pass.
            self._pacer.wait(IDLE_WAIT_MS / 1_000)
        self._failures = 0
        return Turn.WORKED if records or wrote_online or wrote_lake else Turn.IDLE

    def _take(self, session: _Session, records: Sequence[Record]) -> None:
        passed: Counter[str] = Counter()
        logged = 0
        for record in records:
            outcome = self._judge(session.intake, record)
            if isinstance(outcome, KeptRow):
                session.for_lake.append(outcome)
                place = (outcome.feature_set, outcome.ticker)
                known = session.for_online.get(place)
                if known is None or known.grid_time_us < outcome.grid_time_us:
                    session.for_online[place] = outcome
                continue
            passed[outcome] += 1
            if outcome != Passed.REPEATED.value and logged < PASSED_LOGGED_MAX:
                logged += 1
                self._telemetry.log.warning(
                    "record_passed_over",
                    cause=outcome,
                    partition=record.partition,
                    offset=record.offset,
                )
        if records:
            if session.for_lake_since_s is None:
                # Also without a row to keep: the note must not fall behind the log's beginning.
                session.for_lake_since_s = self._pacer.now_s()
            self._telemetry.count(RECORDS_CONSUMED, len(records), topic=FEATURES.name)
            oldest_ms = min(record.timestamp_ms for record in records)
            self._telemetry.observe_age(RECORD_AGE_SECONDS, oldest_ms, topic=FEATURES.name)
        for cause, count in passed.items():
            self._telemetry.count(ROWS_PASSED, count, cause=cause)
        self._telemetry.set(LAKE_WAITING, len(session.for_lake))
        positions = session.tail.positions()
        for at, end in session.tail.ends().items():
            lag = max(0, end - positions[at])
            self._telemetry.set(LAG_OFFSETS, lag, topic=at.topic, partition=str(at.partition))

    def _judge(self, intake: Intake, record: Record) -> KeptRow | str:
        """The row of a record, or why there is none."""
        try:
            decoded = self._codec.decode(FEATURES.name, record.value)
        except UndecodableError as error:
            self._telemetry.count(RECORDS_UNDECODABLE, topic=FEATURES.name)
            return error.cause
        assert decoded.origin is not None, "each schema of features has an origin"
        outcome = intake.take(
            record.partition,
            record.offset,
            record.timestamp_ms * 1_000,
            decoded.origin,
            decoded.payload,
        )
        return outcome.value if isinstance(outcome, Passed) else outcome

    def _write_online(self, session: _Session) -> bool:
        """Whether rows went online; while the store is away they wait, replaced by newer ones."""
        if not session.for_online or self._pacer.now_s() < self._online_patience.due_s:
            return False
        by_set: dict[str, list[KeptRow]] = {}
        for row in session.for_online.values():
            by_set.setdefault(row.feature_set, []).append(row)
        began_s = self._pacer.now_s()
        try:
            for name, rows in by_set.items():
                self._online.write(SETS[name], [_online_row(row) for row in rows])
        except OnlineStoreAwayError as error:
            self._try_later(self._online_patience, "online_store_away", error)
            return False
        self._online_patience = _Patience()
        self._telemetry.observe(ONLINE_SECONDS, self._pacer.now_s() - began_s)
        for name, rows in by_set.items():
            self._telemetry.count(ROWS_ONLINE, len(rows), feature_set=name)
            for row in rows:
                grid_time_s = row.grid_time_us / 1_000_000
                self._telemetry.set(FEATURE_TIME, grid_time_s, feature_set=name, ticker=row.ticker)
        session.for_online.clear()
        return True

    def _is_lake_due(self, session: _Session) -> bool:
        since_s, now_s = session.for_lake_since_s, self._pacer.now_s()
        if since_s is None or now_s < self._lake_patience.due_s:
            return False
        is_full = len(session.for_lake) >= self._settings.lake_rows_max
        return is_full or now_s - since_s >= self._settings.lake_interval_s

    def _try_lake(self, session: _Session) -> bool:
        """Whether what waits is in the lake; if not it waits on, bounded, until there is room."""
        try:
            self._write_lake(session)
        except LakeError as error:
            self._try_later(self._lake_patience, "lake_failed", error)
            return False
        self._lake_patience = _Patience()
        return True

    def _try_later(self, patience: _Patience, event: str, error: OperatingError) -> None:
        patience.failures += 1
        wait_s = backoff_s(patience.failures)
        patience.due_s = self._pacer.now_s() + wait_s
        self._telemetry.count(RESTARTS, error=type(error).__name__)
        self._telemetry.log.warning(
            event, error=str(error), failures=patience.failures, wait_s=wait_s
        )

    def _write_lake(self, session: _Session) -> None:
        offsets = {at.partition: offset for at, offset in session.tail.positions().items()}
        files = session.writer.write(session.for_lake, session.topic_id, offsets)
        self._telemetry.count(ROWS_IN_LAKE, len(session.for_lake))
        self._telemetry.count(LAKE_FILES, files)
        for partition, offset in offsets.items():
            self._telemetry.set(
                COMMITTED_OFFSET, offset, topic=FEATURES.name, partition=str(partition)
            )
        session.for_lake.clear()
        session.for_lake_since_s = None
        self._telemetry.set(LAKE_WAITING, 0)


def _online_row(row: KeptRow) -> OnlineRow:
    return OnlineRow(row.ticker, row.grid_time_us, row.created_us, row.values)
