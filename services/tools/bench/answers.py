"""Who reads what the rooms answer in a benchmark: what came when, and what it answered."""

import time
from collections.abc import Mapping
from threading import Event, Thread
from typing import Final

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

from services.domain.events import ExecutionReport
from services.wire.codec import Codec
from services.wire.topics import EXECUTIONS, Topic

_POLL_S: Final = 0.05
_POLL_RECORDS_MAX: Final = 2_000


class AnswerReader:
    """Reads a topic, `executions` if not told (committed records only), on a thread from now on.

    While the clock runs it only notes bytes and arrival times; decoding comes afterwards. Without
    `keep` it only counts.
    """

    def __init__(
        self, bootstrap: str, prefix: str, *, keep: bool, topic: Topic = EXECUTIONS
    ) -> None:
        self._keep = keep
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{prefix}bench",  # required by the library; nothing joins or commits
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        name = prefix + topic.name
        places = [Place(name, partition) for partition in range(topic.partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=10)[1]
        self._consumer.assign(places)
        self.arrived: list[tuple[float, bytes]] = []
        """Unix time and value of each record, if kept; to be looked at once closed."""
        self.count = 0
        self.last_at_s = time.time()
        self._stop = Event()
        self._thread = Thread(target=self._read, name="answers", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(_POLL_S)
            if first is None:
                continue
            # Readable now, not when a fuller batch would have been.
            now_s = time.time()
            messages = [first, *self._consumer.consume(_POLL_RECORDS_MAX, 0)]
            if self._keep:
                self.arrived += [(now_s, message.value() or b"") for message in messages]
            self.count += len(messages)
            self.last_at_s = now_s

    def wait_until_idle(self, idle_s: float, timeout_s: float) -> None:
        """Block until nothing came for `idle_s`.

        Raises:
            TimeoutError: it never became quiet.
        """
        give_up_at_s = time.time() + timeout_s
        while time.time() - self.last_at_s < idle_s:
            if time.time() > give_up_at_s:
                raise TimeoutError(f"answers still come after {timeout_s:g} s")
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def first_answers(self, codec: Codec) -> Mapping[str, float]:
        """When (Unix time) the first report of each command was readable, by its command id."""
        first: dict[str, float] = {}
        for at_s, value in self.arrived:
            report = codec.decode(EXECUTIONS.name, value).payload
            if isinstance(report, ExecutionReport) and report.client_command_id:
                first.setdefault(report.client_command_id, at_s)
        return first
