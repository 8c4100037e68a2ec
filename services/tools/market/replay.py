"""A recorded session through real topics and real rooms, then the verdict.

Commands are sent without waiting for answers, while `matching`, `trades` and `book` are read back
and verified. Once every command is answered nothing more can come, since an answer travels behind
all that its command caused: what is left of the three topics is read to its end, and the verdict
stands.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from services.domain import codes
from services.domain.commands import ClientCommand
from services.domain.events import ExecutionReport
from services.domain.reasons import Reason
from services.tools.market.genesis import PARTITION
from services.tools.market.lobster import Adapter, Skipped, Step
from services.tools.market.lobster_files import BookRow, LobsterMessage
from services.tools.market.oracle import Findings, Oracle
from services.tools.market.publish import Publisher
from services.tools.market.replay_deployment import (
    BOOK_PLACE,
    MATCHING_PLACE,
    TRADES_PLACE,
    ReplayDeployment,
)
from services.tools.market.verify import Verifier
from services.tools.operate.errors import NoAnswerError
from services.tools.operate.exchange import Seen
from services.wire.topics import EXECUTIONS, ORDERS

AHEAD_ROWS_MAX: Final = 10_000
"""Sending pauses while so many rows are unverified: they wait in memory, levels and all."""

SILENCE_S_MAX: Final = 30.0
"""How long nothing may come back while something is awaited."""

_POLL_S: Final = 0.02
_SENT_AT_ONCE: Final = 500
"""Commands between two looks at what has come back."""
_US_PER_S: Final = 1_000_000

_REFUSED: Final = (
    codes.EXEC_REJECTED,
    codes.EXEC_CANCEL_REJECTED,
    codes.EXEC_REPLACE_REJECTED,
    codes.EXEC_COMMAND_REJECTED,
)

type Session = Iterable[tuple[LobsterMessage, BookRow | None]]
type Progress = Callable[[int], None]
"""Takes the number of rows done: verified or, without verification, sent."""


class ReplayOrder(msgspec.Struct, frozen=True):
    """What to replay, and how."""

    ticker: str
    levels: int
    """Of the window; 0: there is no orderbook file."""
    verify: bool
    midnight_us: int
    """The session day's midnight, microseconds since the epoch."""
    speed: float
    """So many times faster than it happened; 0: as fast as it goes."""


class Replayed(msgspec.Struct, frozen=True):
    """How it came out."""

    ticker: str
    prefix: str
    rows: int
    commands: int
    skipped: Skipped
    reports: dict[str, int]
    """How many execution reports of each type."""
    refusals: dict[str, int]
    """How many commands were refused, by reason."""
    unanswered: int
    """Commands that no report ever spoke of."""
    duration_s: float
    """From the first command to the verdict."""
    findings: Findings | None
    """None without verification."""

    @property
    def holds(self) -> bool:
        """Whether all was answered, nothing refused and, if verified, everything was equal."""
        served = not self.refusals and not self.unanswered
        return served and (self.findings is None or self.findings.holds)


def replay(
    place: ReplayDeployment, order: ReplayOrder, session: Session, progress: Progress
) -> Replayed:
    """Replay a session. Blocks until it is over.

    Raises:
        NoAnswerError: the rooms stopped answering.
        UnreachableError: Kafka can't be read.
        RetriableError: Kafka did not take the commands.
        LobsterFileError: the session breaks off in a faulty row.
    """
    return _Run(place, order, progress).replay(session)


class _Run:
    """One replay under way."""

    def __init__(self, place: ReplayDeployment, order: ReplayOrder, progress: Progress) -> None:
        self._place = place
        self._order = order
        self._progress = progress
        self._adapter = Adapter(order.ticker, order.levels)
        self._oracle = Oracle(PARTITION, order.levels)
        self._verifier = Verifier(self._oracle)
        deployment = place.deployment
        self._publisher = Publisher(deployment.bootstrap, deployment.prefix, place.codec)
        self._rows = 0
        self._commands = 0
        self._unanswered: set[str] = set()
        """Keys of commands that risk has not spoken of yet."""
        self._reports: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._heard_at_s = time.monotonic()
        self._started_at_s = time.monotonic()

    def replay(self, session: Session) -> Replayed:
        for step, row in self._paced(session):
            if self._order.verify:
                self._oracle.expect(step, row)
            for command, key in zip(step.commands, step.keys, strict=True):
                self._unanswered.add(key)
                self._send(command, step.time_us)
            self._rows += 1
        self._publisher.flush()
        self._await_answers()
        if self._order.verify:
            self._read_rest()
            self._verifier.finish()
        self._tell()
        return Replayed(
            ticker=self._order.ticker,
            prefix=self._place.deployment.prefix,
            rows=self._rows,
            commands=self._commands,
            skipped=self._adapter.skipped,
            reports=dict(sorted(self._reports.items())),
            refusals=dict(sorted(self._refusals.items())),
            unanswered=len(self._unanswered),
            duration_s=time.monotonic() - self._started_at_s,
            findings=self._oracle.findings if self._order.verify else None,
        )

    # --- sending --------------------------------------------------------------------------

    def _paced(self, session: Session) -> Iterator[tuple[Step, BookRow | None]]:
        """Each row's commands, not before their time, nor too far ahead of what is verified."""
        first_us = -1
        for message, row in session:
            step = self._adapter.step(message, row)
            if first_us < 0:
                first_us = step.time_us
            if self._order.speed:
                happened_s = (step.time_us - first_us) / _US_PER_S
                due_s = self._started_at_s + happened_s / self._order.speed
                while (left_s := due_s - time.monotonic()) > 0:
                    self._listen(min(left_s, _POLL_S))
                    self._heard_at_s = time.monotonic()  # a quiet market is no silence
            self._await_room()
            yield step, row

    def _await_room(self) -> None:
        while self._oracle.rows_pending >= AHEAD_ROWS_MAX:
            self._listen(_POLL_S)
            if self._silence_s() > SILENCE_S_MAX:
                raise NoAnswerError(
                    f"nothing came back for {SILENCE_S_MAX:.0f} s, {self._rows} rows on the way: "
                    f"see the rooms' logs in OUTCRY_HOME/sets/"
                    f"{self._place.deployment.prefix.strip('.')}/logs"
                )

    def _send(self, command: ClientCommand, time_us: int) -> None:
        event_time_us = self._order.midnight_us + time_us
        value = self._place.codec.encode_command(ORDERS.name, command, event_time_us)
        # One partition of `orders`: only within one is order promised.
        self._publisher.send(self._order.ticker, value, PARTITION)
        self._commands += 1
        if self._commands % _SENT_AT_ONCE == 0:
            self._publisher.poll()
            self._listen(0)

    # --- hearing --------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> None:
        """Take what has come, and verify as far as it goes."""
        seen = self._place.watch.poll(timeout_s)
        if seen:
            self._heard_at_s = time.monotonic()
        for record in seen:
            if record.topic == EXECUTIONS.name:
                self._note_report(record)
            elif self._order.verify:
                self._verifier.take(record)
        self._verifier.advance()
        self._tell()

    def _tell(self) -> None:
        self._progress(self._rows - self._oracle.rows_pending)

    def _note_report(self, record: Seen) -> None:
        report = record.decoded.payload
        if not isinstance(report, ExecutionReport):
            return
        self._reports[codes.EXEC_TYPE_NAMES[report.exec_type]] += 1
        if report.exec_type in _REFUSED:
            self._refusals[Reason(report.reason).name] += 1
        is_entry = report.client_command_id == report.client_order_id
        self._unanswered.discard(report.order_id if is_entry else report.client_command_id)

    def _await_answers(self) -> None:
        """Until every command is answered, or nothing comes any more."""
        while self._unanswered and self._silence_s() < SILENCE_S_MAX:
            self._listen(_POLL_S)

    def _silence_s(self) -> float:
        return time.monotonic() - self._heard_at_s

    def _read_rest(self) -> None:
        """What the watch has not brought yet, to the end that stands now."""
        reader, codec = self._place.reader, self._place.codec
        for place in (MATCHING_PLACE, TRADES_PLACE, BOOK_PLACE):
            _, end = reader.bounds(place)
            start = self._verifier.next_offset(place.topic)
            for records in reader.read(place, start, end):
                for record in records:
                    decoded = codec.decode(record.topic, record.value)
                    self._verifier.take(Seen(place.topic, place.partition, record.offset, decoded))
