"""A process to kill: running sums of `in` on Kafka. `python -m tests.support.sum_room`."""

import sys

from services.runtime.kafka import GroupMetadata, KafkaConnection, KafkaConsumer, KafkaProducer
from services.runtime.kafka_reader import KafkaReader
from services.runtime.log_lines import configure_logging
from services.runtime.loop import Loop, LoopPlan, LoopPorts
from services.runtime.memory import MemorySnapshots
from services.runtime.restore import Restorer
from services.runtime.room import ProcessPacer
from services.runtime.telemetry import Telemetry
from tests.support.loop_kit import RunningSums


def run(bootstrap: str, prefix: str, instance: str) -> None:
    """Run until stopped."""
    configure_logging("INFO")
    connection = KafkaConnection(bootstrap, prefix)
    telemetry, pacer, factory = Telemetry("sums", instance), ProcessPacer(), RunningSums()
    pacer.install()
    reader, snapshots = KafkaReader(connection), MemorySnapshots()
    ports = LoopPorts[GroupMetadata](
        lambda: KafkaConsumer(connection, "sums", instance),
        lambda: KafkaProducer(connection, f"sums-{instance}"),
        Restorer("sums", factory, reader, snapshots, telemetry, pacer),
        None,
    )
    Loop(LoopPlan("sums", ("in",), batch_records_max=50), ports, factory, telemetry, pacer).run()
    reader.close()


if __name__ == "__main__":
    run(*sys.argv[1:])
