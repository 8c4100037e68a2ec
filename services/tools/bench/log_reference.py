"""The reference of `bench pipeline`: the same bytes through one Kafka topic, and nothing else."""

import time
from itertools import islice
from statistics import median
from typing import Final

import msgspec
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, NewTopic

from services.tools.market.publish import encode
from services.tools.market.simulator import Crowd
from services.wire.codec import Codec

_TOPIC: Final = "bench-log"
_RECORDS: Final = 100_000
_ROUNDS: Final = 3


class LogReference(msgspec.Struct, frozen=True):
    """Records per second written (acks=all) and read back, one client, one partition."""

    records: int
    median_per_s: float
    min_per_s: float
    max_per_s: float


def measure_log(bootstrap: str, codec: Codec, seed: int) -> LogReference:
    """Write and read the crowd's first records, a few rounds; blocks for seconds."""
    values = [encode(codec, outbound, 0) for outbound in islice(Crowd(seed).commands(), _RECORDS)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(_TOPIC, 1, 1)])[_TOPIC].result(10)
    rates = [_round(bootstrap, values) for _ in range(_ROUNDS)]
    admin.delete_topics([_TOPIC])[_TOPIC].result(10)
    return LogReference(_RECORDS, median(rates), min(rates), max(rates))


def _round(bootstrap: str, values: list[bytes]) -> float:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": _TOPIC,  # required by the library; nothing joins or commits
            "enable.auto.commit": False,
        }
    )
    place = Place(_TOPIC, 0)
    place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
    consumer.assign([place])
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "queue.buffering.max.messages": 2 * _RECORDS,
        }
    )
    begun_s = time.monotonic()
    for value in values:
        producer.produce(_TOPIC, value, partition=0)
    producer.flush(60)
    read = 0
    while read < len(values):
        read += len(consumer.consume(5_000, 0.5))
    consumer.close()
    return len(values) / (time.monotonic() - begun_s)
