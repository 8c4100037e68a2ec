"""The hand-written request, on the real broker: it ends what a dead writer left open, at once."""

from typing import Final

import pytest

from services.runtime.errors import FencedError
from services.runtime.kafka import KafkaConnection, KafkaProducer
from services.runtime.kafka_admin import create_topics
from services.runtime.kafka_reader import KafkaReader
from services.runtime.ports import Outgoing, TopicPartition
from services.tools.proof.chaos.site import Ends
from services.tools.stack.fencing import fence, transactional_ids
from tests.support.stack_fixture import StackInfra
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

PREFIX: Final = "fencing."
PLACE: Final = TopicPartition("trades", 0)


def test_what_a_dead_room_left_open_is_ended_before_its_timeout(stack_infra: StackInfra) -> None:
    bootstrap = stack_infra.addresses.kafka_bootstrap
    create_topics(bootstrap, PREFIX)
    connection = KafkaConnection(bootstrap, PREFIX)
    # Its own end is far away: what ends it sooner is the request.
    writer = KafkaProducer(connection, "matcher-0", transaction_timeout_ms=10_000)
    writer.initialise()
    writer.begin()
    writer.send([Outgoing(PLACE.topic, PLACE.partition, None, b"unfinished")])
    with Ends(connection) as ends:
        wait_until(lambda: ends.last(PLACE) == 1, "the record to be in the log")
        assert ends.stable(PLACE) == 0
        ids = transactional_ids(PREFIX, "matcher", "0")
        assert fence(stack_infra.settings.port("kafka"), ids)()
        wait_until(lambda: ends.stable(PLACE) == 2, "the marker behind it", 9)
        with pytest.raises(FencedError):
            writer.commit()
        writer.close()
        reader = KafkaReader(connection)
        assert [len(chunk) for chunk in reader.read(PLACE, 0, ends.stable(PLACE))] == []
        reader.close()
