"""The recorder at work: from the log into the ledger, batch by batch, each exactly once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from services.recorder.core import RECORDED, RowMaker, Rows, Unreadable
from services.recorder.metrics import ROWS_RECORDED, report_tally, show_zeros
from services.recorder.postgres import Move
from services.recorder.settings import RecorderSettings
from services.runtime.errors import ConfigurationError, FatalError, OperatingError
from services.runtime.loop import LAG_INTERVAL_S, MARKERS_NOTED_AFTER_S, backoff_s
from services.runtime.ports import Record, TopicPartition
from services.runtime.restore import Pacer
from services.runtime.telemetry import (
    BATCH_RECORDS,
    COMMITTED_OFFSET,
    FOLD_SECONDS,
    LAG_OFFSETS,
    RECORD_AGE_SECONDS,
    RECORDS_CONSUMED,
    RECORDS_UNDECODABLE,
    RESTARTS,
    TRANSACTION_SECONDS,
    Telemetry,
)
from services.wire.codec import Codec

IDLE_WAIT_MS: Final = 1_000
"""How long a read waits for a first record; then PostgreSQL is asked whether it is there."""
STANDBY_WAIT_S: Final = 1.0
UNREADABLE_LOGGED_MAX: Final = 10
"""Most lines about unreadable records of one batch."""


class Tail(Protocol):
    """Where records come from; TopicTail is it."""

    def topic_ids(self) -> Mapping[str, str]: ...
    def start(self, offsets: Mapping[TopicPartition, int]) -> None: ...
    def read(self, records_max: int, idle_wait_ms: int, gather_ms: int) -> Sequence[Record]: ...
    def positions(self) -> Mapping[TopicPartition, int]: ...
    def ends(self) -> Mapping[TopicPartition, int]: ...
    def close(self) -> None: ...


class Ledger(Protocol):
    """Where rows go; PostgresLedger is it."""

    def try_lock(self) -> bool: ...
    def remember_topic(self, topic: str, topic_id: str) -> str: ...
    def deployment_id(self) -> int: ...
    def offsets(self, partitions: Mapping[str, int]) -> dict[TopicPartition, int]: ...
    def append(self, rows: Rows, moves: Mapping[TopicPartition, Move]) -> None: ...
    def ping(self) -> None: ...
    def close(self) -> None: ...


class Turn(Enum):
    """What one call of `run_once` did."""

    CONNECTED = auto()
    """A session with the database; whether this is the one writer is asked next."""
    STANDING_BY = auto()
    """Another recorder has the lock; waited a little."""
    STARTED = auto()
    """The one writer, and the log read from where the record ends."""
    IDLE = auto()
    """Nothing had arrived; the database was asked whether it is there."""
    RECORDED = auto()
    """One batch, or the positions behind markers, in one database transaction."""
    RESTARTED = auto()
    """The session was dropped, to begin anew; waited a little."""


@dataclass
class _Session:
    """From connecting to the database to its loss, or to the end."""

    ledger: Ledger
    has_waited: bool = False
    tail: Tail | None = None
    recording: "_Recording | None" = None


@dataclass
class _Recording:
    """What the one writer works with."""

    tail: Tail
    maker: RowMaker
    offsets: dict[TopicPartition, int]
    """The next offset to record, as the database has it."""
    appended_s: float
    """When something was last added."""
    lag_due_s: float = 0.0
    """When the distance from the log's end is told next."""


class Recorder:
    """Runs until told to stop. Everything happens in the caller's thread, one turn a call.

    Args:
        load_codec: asks the registry; called until it answers once.
        open_ledger: connects to the database; called at each start and after each failure.
        open_tail: connects to the log; likewise.
    """

    def __init__(
        self,
        settings: RecorderSettings,
        telemetry: Telemetry,
        pacer: Pacer,
        *,
        load_codec: Callable[[], Codec],
        open_ledger: Callable[[], Ledger],
        open_tail: Callable[[], Tail],
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._pacer = pacer
        self._load_codec = load_codec
        self._open_ledger = open_ledger
        self._open_tail = open_tail
        self._codec: Codec | None = None
        self._session: _Session | None = None
        self._failures = 0
        show_zeros(telemetry)

    def run(self) -> None:
        """Record; whatever fails is started anew from the offsets in the database.

        Returns when asked to stop, between two batches.

        Raises:
            FatalError: a person has to act; the message says how.
        """
        try:
            while not self._pacer.stopping():
                self.run_once()
        finally:
            self.close()

    def run_once(self) -> Turn:
        """One turn. Raises as `run`; then close."""
        try:
            return self._take_turn()
        except FatalError:
            raise
        except OperatingError as error:
            self.close()
            self._back_off(error)
            return Turn.RESTARTED

    def close(self) -> None:
        """Give up the log and the database. The next turn would connect anew."""
        self._telemetry.ready.clear()
        session, self._session = self._session, None
        if session is not None:
            try:
                if session.tail is not None:
                    session.tail.close()
            finally:
                session.ledger.close()

    def _back_off(self, error: OperatingError) -> None:
        self._failures += 1
        wait_s = backoff_s(self._failures)
        self._telemetry.count(RESTARTS, error=type(error).__name__)
        self._telemetry.log.warning(
            "recording_failed", error=str(error), failures=self._failures, wait_s=wait_s
        )
        self._pacer.wait(wait_s)

    def _take_turn(self) -> Turn:
        session = self._session
        if session is None:
            # 1. Connect to the database.
            self._codec = self._codec or self._load_codec()
            self._session = _Session(self._open_ledger())
            return Turn.CONNECTED
        if session.recording is not None:
            # 5. Record.
            return self._record(session.ledger, session.recording)
        # 2. Become the one writer.
        if not session.ledger.try_lock():
            self._stand_by(session)
            return Turn.STANDING_BY
        if session.has_waited:
            self._telemetry.log.info("taking_over")
        session.recording = self._start(session)
        return Turn.STARTED

    def _stand_by(self, session: _Session) -> None:
        if not session.has_waited:
            self._telemetry.log.info("standing_by", cause="another recorder has the lock")
            # For whoever starts one recorder before stopping another.
            self._telemetry.ready.set()
        session.has_waited = True
        self._pacer.wait(STANDBY_WAIT_S)

    def _start(self, session: _Session) -> _Recording:
        assert self._codec is not None, "a session begins with the codec"
        ledger = session.ledger
        tail = session.tail = self._open_tail()
        # 3. Be sure that these are the topics that were recorded so far.
        _require_known_topics(ledger, tail.topic_ids())
        # 4. Go to where the database says that the record ends.
        offsets = ledger.offsets({topic.name: topic.partitions for topic in RECORDED})
        tail.start(offsets)
        maker = RowMaker(self._codec, ledger.deployment_id())
        self._telemetry.log.info("recording")
        self._telemetry.ready.set()
        return _Recording(tail, maker, offsets, self._pacer.now_s())

    def _record(self, ledger: Ledger, recording: _Recording) -> Turn:
        now_s = self._pacer.now_s
        settings = self._settings
        # 5.1 Take what has arrived.
        records = recording.tail.read(
            settings.batch_records_max, IDLE_WAIT_MS, settings.flush_interval_ms
        )
        if not records and now_s() - recording.appended_s < MARKERS_NOTED_AFTER_S:
            self._report_lag_if_due(recording)
            ledger.ping()
            return Turn.IDLE
        # 5.2 Make its rows.
        began_s = now_s()
        rows = recording.maker.rows(records)
        made_s = now_s()
        # 5.3 Add them and move the offsets, both or neither.
        positions = recording.tail.positions()
        moves = {
            at: Move(offset, positions[at])
            for at, offset in recording.offsets.items()
            if positions[at] != offset
        }
        ledger.append(rows, moves)
        recording.appended_s = now_s()
        recording.offsets.update(positions)
        self._failures = 0
        self._report(rows, records, moves)
        self._report_lag_if_due(recording)
        if records:
            self._telemetry.observe(FOLD_SECONDS, made_s - began_s)
            self._telemetry.observe(TRANSACTION_SECONDS, recording.appended_s - made_s)
        return Turn.RECORDED

    def _report(
        self, rows: Rows, records: Sequence[Record], moves: Mapping[TopicPartition, Move]
    ) -> None:
        telemetry = self._telemetry
        if records:
            telemetry.observe(BATCH_RECORDS, len(records))
        counts: dict[str, int] = {}
        for record in records:
            counts[record.topic] = counts.get(record.topic, 0) + 1
        for topic, count in counts.items():
            telemetry.count(RECORDS_CONSUMED, count, topic=topic)
            oldest_ms = min(record.timestamp_ms for record in records if record.topic == topic)
            telemetry.observe_age(RECORD_AGE_SECONDS, oldest_ms, topic=topic)
        report_tally(telemetry, rows.tally)
        for table, packed in rows.by_table.items():
            telemetry.count(ROWS_RECORDED, len(packed), table=table)
        for at, move in moves.items():
            telemetry.set(
                COMMITTED_OFFSET, move.next_offset, topic=at.topic, partition=str(at.partition)
            )
        self._report_unreadable(rows.unreadable)

    def _report_lag_if_due(self, recording: _Recording) -> None:
        """How far each partition is from its end, at most once a second: there are many."""
        now_s = self._pacer.now_s()
        if now_s < recording.lag_due_s:
            return
        recording.lag_due_s = now_s + LAG_INTERVAL_S
        for at, end in recording.tail.ends().items():
            lag = max(0, end - recording.offsets[at])
            self._telemetry.set(LAG_OFFSETS, lag, topic=at.topic, partition=str(at.partition))

    def _report_unreadable(self, unreadable: Iterable[Unreadable]) -> None:
        for place, record in enumerate(unreadable):
            self._telemetry.count(RECORDS_UNDECODABLE, topic=record.topic)
            if place < UNREADABLE_LOGGED_MAX:
                self._telemetry.log.warning(
                    "unreadable_record",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    cause=record.cause,
                    detail=record.detail,
                )


def _require_known_topics(ledger: Ledger, topic_ids: Mapping[str, str]) -> None:
    for topic, topic_id in topic_ids.items():
        known = ledger.remember_topic(topic, topic_id)
        if known != topic_id:
            raise ConfigurationError(
                f"topic {topic} was deleted and made again (its id was {known}, now {topic_id}):"
                " its offsets mean other records. Use another OUTCRY_TOPIC_PREFIX or database"
            )
