"""Whether everything written so far is decided: committed or aborted, with a marker behind it."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.runtime.errors import RetriableError
from services.runtime.kafka_faults import error_of, read_fault
from services.runtime.ports import TopicPartition

DECIDED_WAIT_S: Final = 5.0
_ANSWER_WAIT_S: Final = 5.0
_POLL_S: Final = 0.02


def await_decided(admin: AdminClient, prefix: str, partitions: Sequence[TopicPartition]) -> None:
    """Return once each record that stands in these partitions now is decided.

    A writer that has taken its transactional ids over must not write before that. The coordinator
    says that what was open is ended, but one of Kafka 4.3 that comes back from a crash may have
    forgotten to write the markers (docs/adr/0006): then the old records are still open in their
    partitions, under the very producer id that the writer goes on with, and its next commit would
    make them visible, a second time.

    Raises:
        RetriableError: not within 5 s. Somebody else may hold a transaction open for as long; one
            that hangs is ended by `services.tools.stack.hanging`.
    """
    if not partitions:
        return
    wanted = [KafkaPartition(prefix + at.topic, at.partition) for at in partitions]
    ends = _ends(admin, wanted, IsolationLevel.READ_UNCOMMITTED)
    give_up_at_s = time.monotonic() + DECIDED_WAIT_S
    while True:
        stable = _ends(admin, wanted, IsolationLevel.READ_COMMITTED)
        behind = sorted(place for place, end in ends.items() if stable[place] < end)
        if not behind:
            return
        if time.monotonic() > give_up_at_s:
            (topic, partition), more = behind[0], len(behind) - 1
            raise RetriableError(
                f"{topic}/{partition} (and {more} more) holds a transaction from offset"
                f" {stable[topic, partition]} on that is not decided yet; nothing is written before"
            )
        time.sleep(_POLL_S)


def _ends(
    admin: AdminClient, wanted: Sequence[KafkaPartition], isolation: IsolationLevel
) -> Mapping[tuple[str, int], int]:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library's
    try:
        asked = admin.list_offsets(
            dict.fromkeys(wanted, latest), isolation_level=isolation, request_timeout=_ANSWER_WAIT_S
        )
        return {
            (str(at.topic), at.partition): int(future.result(_ANSWER_WAIT_S).offset)
            for at, future in asked.items()
        }
    except KafkaException as error:
        raise read_fault(error_of(error), "asking how far transactions are decided") from error
    except TimeoutError as error:
        raise RetriableError("the broker does not say how far transactions are decided") from error
