"""The feature room with one mending of Faust's consumer taken out: `python -m ... <which>`."""

import sys

from faust.transport.drivers import aiokafka as driver

from services.features import __main__ as room
from services.features.committed_reads import CommittedReadsConsumer, CommittedReadsThread


def plant(which: str) -> None:
    """Put Faust's own behaviour back."""
    match which:
        case "isolation":
            own = driver.AIOKafkaConsumerThread._create_worker_consumer
            CommittedReadsThread._create_worker_consumer = own  # type: ignore[method-assign]  # planted
        case "commits":
            stock = driver.Consumer
            CommittedReadsConsumer._drain_messages = stock._drain_messages  # type: ignore[method-assign]  # (same)
            CommittedReadsConsumer._new_offset = stock._new_offset  # type: ignore[method-assign]  # planted
        case "beginning":
            CommittedReadsConsumer.perform_seek = driver.Consumer.perform_seek  # type: ignore[method-assign]  # (same)
        case _:
            raise AssertionError(which)


if __name__ == "__main__":
    plant(sys.argv[1])
    sys.exit(room.main())
