"""Taking away what a demo made for itself alone."""

from typing import Final

from confluent_kafka import KafkaException

from services.runtime.kafka_admin import connect_admin
from services.wire.topics import TOPICS

_TIMEOUT_S: Final = 10.0


def delete_topics(bootstrap: str, prefix: str) -> bool:
    """Delete the topics of one prefix; false if not all could be, which harms nobody."""
    assert prefix, "the exchange's own topics are not a demo's to delete"
    admin = connect_admin(bootstrap)  # held: what it was asked for ends with it
    futures = admin.delete_topics([prefix + topic.name for topic in TOPICS])
    try:
        for future in futures.values():
            future.result(timeout=_TIMEOUT_S)
    except (KafkaException, TimeoutError):
        return False
    return True
