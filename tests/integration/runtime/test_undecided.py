"""A writer begins only when everything in its output partitions is decided."""

from typing import Final

import pytest

from services.runtime.errors import RetriableError
from services.runtime.kafka import KafkaConnection, KafkaProducer
from services.runtime.kafka_admin import create_topics
from services.runtime.ports import Outgoing, TopicPartition
from services.tools.proof.chaos.site import Ends
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

PREFIX: Final = "undecided."
PLACE: Final = TopicPartition("trades", 0)
OTHER: Final = TopicPartition("trades", 1)


def test_a_takeover_waits_for_what_hangs_in_its_partitions_and_for_nothing_else(
    stack_infra: StackInfra,
) -> None:
    bootstrap = stack_infra.addresses.kafka_bootstrap
    create_topics(bootstrap, PREFIX)
    connection = KafkaConnection(bootstrap, PREFIX)
    # Another writer, whose transaction the takeover does not end: as one that hangs.
    hanging = KafkaProducer(connection, "hanging-0", transaction_timeout_ms=10_000)
    hanging.initialise()
    hanging.begin()
    hanging.send([Outgoing(PLACE.topic, PLACE.partition, None, b"undecided")])
    with Ends(connection) as ends:
        wait_until(lambda: ends.last(PLACE) == 1, "the record to be in the log")
    elsewhere = KafkaProducer(connection, "elsewhere-0", outputs=[OTHER])
    elsewhere.initialise()
    heir = KafkaProducer(connection, "heir-0", outputs=[PLACE, OTHER])
    with pytest.raises(RetriableError, match=r"trades/0 .* holds a transaction"):
        heir.initialise()
    hanging.abort()
    heir.initialise()
    heir.begin()
    heir.send([Outgoing(PLACE.topic, PLACE.partition, None, b"decided")])
    heir.commit()
    for producer in (hanging, elsewhere, heir):
        producer.close()


@pytest.mark.long
def test_a_takeover_goes_on_as_soon_as_a_broker_that_crashed_is_back(
    stack_infra: StackInfra,
) -> None:
    """Its partitions have a leader of a later epoch then, and what a client knew is refused."""
    bootstrap = stack_infra.addresses.kafka_bootstrap
    create_topics(bootstrap, PREFIX)
    writer = KafkaProducer(KafkaConnection(bootstrap, PREFIX), "writer-0", outputs=[PLACE, OTHER])
    writer.initialise()
    stack_infra.crash("kafka")

    def initialise() -> str:
        try:
            writer.initialise()
        except RetriableError as error:
            return str(error)
        return ""

    refusals = [refusal for _ in range(20) if (refusal := initialise())]
    assert sum("FENCED_LEADER_EPOCH" in refusal for refusal in refusals) <= 1
    assert initialise() == ""
    writer.close()
