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
