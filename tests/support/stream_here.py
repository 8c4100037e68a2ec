"""Inference's stream in this process, on a deployment's real topics, with a model of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from services.inference.predictions import PredictionLog
from services.inference.rows_source import KafkaRows
from services.inference.stream import Stream
from services.runtime.kafka_admin import create_topics
from services.runtime.room import ProcessPacer
from services.wire.topics import PREDICTIONS
from tests.support.feature_world import FeatureWorld
from tests.support.inference_world import InferenceWorld


class StreamHere:
    """Makes the topic, and a stream that can die at a chosen step or run beside a test."""

    def __init__(self, world: FeatureWorld, folder: Path) -> None:
        self.world = world
        create_topics(world.addresses.kafka_bootstrap, world.prefix, (PREDICTIONS,))
        folder.mkdir(exist_ok=True)
        self.parts = InferenceWorld(folder)
        self.parts.registry.add(1)
        self.parts.serve(1)

    def begin(self) -> Stream:
        """Nothing is read before its first turn."""
        world = self.world
        self.log = PredictionLog(world.connection, world.codec, 1_000, self.parts.telemetry)
        return Stream(
            self.parts.slots,
            world.codec,
            self.log,
            lambda: KafkaRows(world.connection, "0"),
            self.parts.telemetry,
            ProcessPacer(),
        )

    def end(self, stream: Stream) -> None:
        stream.close()
        self.log.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Turn after turn on a thread, until the block ends."""
        stream, is_over = self.begin(), False

        def work() -> None:
            while not is_over:
                stream.run_once()

        thread = Thread(target=work, name="stream-here")
        thread.start()
        try:
            yield
        finally:
            is_over = True
            thread.join(60)
            self.end(stream)

    def close(self) -> None:
        self.parts.close()
