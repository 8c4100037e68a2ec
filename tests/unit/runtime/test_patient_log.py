"""A broker that is coming back is asked again; one that stays away is given up on."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from services.runtime.errors import HistoryLostError, RetriableError
from services.runtime.memory import MemoryReader
from services.runtime.memory_log import MemoryLog
from services.runtime.patient_log import PATIENCE_S, PatientLog
from services.runtime.ports import LogReader, Outgoing, Record, TopicPartition

AT = TopicPartition("trades", 0)
RECORDS = 6
LEADERLESS = "asking for the bounds of trades/0: not the leader; try again"


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


class RestartingLog:
    """A log whose broker refuses the first so many questions, and each chunk's first delivery."""

    def __init__(self, refusals: int, *, breaks_off: bool = False) -> None:
        log = MemoryLog()
        log.create_topic(AT.topic, 1)
        for number in range(RECORDS):
            log.append(Outgoing(AT.topic, 0, None, str(number).encode()))
        log.drop_records(AT, 1)
        self._log: LogReader = MemoryReader(log, chunk_records_max=2)
        self._refusals = refusals
        self._breaks_off = breaks_off
        self.is_closed = False

    def _refuse(self) -> None:
        if self._refusals:
            self._refusals -= 1
            raise RetriableError(LEADERLESS)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        self._refuse()
        return self._log.bounds(partition)

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        self._refuse()
        for chunk in self._log.read(partition, start, end):
            yield chunk
            if self._breaks_off:
                raise RetriableError("no answer while reading; try again")

    def topic_id(self, topic: str) -> str:
        self._refuse()
        return self._log.topic_id(topic)

    def close(self) -> None:
        self.is_closed = True


def patient(log: RestartingLog, clock: Clock) -> PatientLog:
    return PatientLog(log, clock.now, clock.wait)


def values(log: PatientLog, start: int = 1, end: int = RECORDS) -> list[bytes | None]:
    return [record.value for chunk in log.read(AT, start, end) for record in chunk]


QUESTIONS: list[tuple[Callable[[PatientLog], object], object]] = [
    (lambda log: log.bounds(AT), (1, RECORDS)),
    (values, [b"1", b"2", b"3", b"4", b"5"]),
    (lambda log: bool(log.topic_id(AT.topic)), True),
]


@pytest.mark.parametrize("ask,answer", QUESTIONS)
@pytest.mark.parametrize("refusals", [0, 1, 7])
def test_what_is_refused_for_now_is_asked_again(
    ask: Callable[[PatientLog], object], answer: object, refusals: int
) -> None:
    clock = Clock()
    assert ask(patient(RestartingLog(refusals), clock)) == answer
    assert (clock.now_s > 0) == (refusals > 0)


@pytest.mark.parametrize("ask", [ask for ask, _ in QUESTIONS])
def test_a_broker_that_never_answers_is_given_up_on_with_its_own_words(
    ask: Callable[[PatientLog], object],
) -> None:
    clock = Clock()
    with pytest.raises(RetriableError, match=LEADERLESS):
        ask(patient(RestartingLog(10**9), clock))
    assert clock.now_s == pytest.approx(PATIENCE_S, abs=1)


def test_a_read_that_breaks_off_goes_on_where_it_stood() -> None:
    log = patient(RestartingLog(3, breaks_off=True), Clock())
    assert values(log) == [b"1", b"2", b"3", b"4", b"5"]


def test_each_answer_renews_the_patience() -> None:
    clock = Clock()
    slow = RestartingLog(0, breaks_off=True)
    log = patient(slow, clock)
    seen = []
    for chunk in log.read(AT, 1, RECORDS):
        seen += [record.offset for record in chunk]
        clock.wait(PATIENCE_S + 1)
    assert seen == [1, 2, 3, 4, 5]


def test_what_is_lost_for_good_is_said_at_once() -> None:
    clock = Clock()
    with pytest.raises(HistoryLostError, match="begins at offset 1"):
        values(patient(RestartingLog(0), clock), start=0)
    assert clock.now_s == 0


def test_closing_closes_the_log_behind_it() -> None:
    log = RestartingLog(0)
    patient(log, Clock()).close()
    assert log.is_closed
