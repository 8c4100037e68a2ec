"""A log that is asked again for as long as its broker is only just coming back."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from services.runtime.errors import RetriableError
from services.runtime.ports import LogReader, Record, TopicPartition

PATIENCE_S: Final = 30.0
"""A broker that was killed leads its partitions again some seconds after it accepts connections."""
_PAUSE_S: Final = 0.25


class Attempts:
    """How long one question has been refused without an answer in between."""

    def __init__(
        self,
        now_s: Callable[[], float],
        wait: Callable[[float], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._now_s = now_s
        self._wait = wait
        self._patience_s = patience_s
        self._refused_since_s: float | None = None

    def answered(self) -> None:
        """The next refusal is the first of its kind again."""
        self._refused_since_s = None

    def refused(self, error: RetriableError) -> None:
        """Wait before the next attempt.

        Raises:
            RetriableError: the one given; so long has passed since the first.
        """
        now_s = self._now_s()
        if self._refused_since_s is None:
            self._refused_since_s = now_s
        elif now_s - self._refused_since_s >= self._patience_s:
            raise error
        self._wait(_PAUSE_S)


def asked_patiently[Answer](
    ask: Callable[[], Answer],
    patience_s: float = PATIENCE_S,
    now_s: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Answer:
    """The first answer that is no refusal for now.

    Raises:
        RetriableError: the last refusal; so long has passed since the first.
    """
    attempts = Attempts(now_s, wait, patience_s)
    while True:
        try:
            return ask()
        except RetriableError as error:
            attempts.refused(error)


class PatientLog:
    """`ports.LogReader` for tools that people start: asks again where a room's loop would.

    What the broker refuses only for now (it has just restarted, a partition has no leader yet) is
    asked again. Once refusals have gone on for PATIENCE_S, the next is raised. A read goes on where
    it broke off, so that no record comes twice.
    """

    def __init__(
        self,
        log: LogReader,
        now_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._log = log
        self._now_s = now_s
        self._wait = wait

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """The log's own, as soon as it tells them."""
        return self._asked(lambda: self._log.bounds(partition))

    def read(self, partition: TopicPartition, start: int, end: int) -> Iterator[Sequence[Record]]:
        """The log's own records, each once.

        Raises:
            HistoryLostError: the log no longer reaches back to `start`.
            RetriableError: the broker has answered nothing for PATIENCE_S.
        """
        attempts = Attempts(self._now_s, self._wait)
        while True:
            try:
                for chunk in self._log.read(partition, start, end):
                    attempts.answered()
                    start = chunk[-1].offset + 1 if chunk else start
                    yield chunk
                return
            except RetriableError as error:
                attempts.refused(error)

    def topic_id(self, topic: str) -> str:
        """The log's own."""
        return self._asked(lambda: self._log.topic_id(topic))

    def close(self) -> None:
        """Closes the log."""
        self._log.close()

    def _asked[Answer](self, ask: Callable[[], Answer]) -> Answer:
        return asked_patiently(ask, now_s=self._now_s, wait=self._wait)
