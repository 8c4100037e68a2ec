"""The `predictions` topic, behind a bounded buffer: nothing is dropped in silence.

While Kafka is away predictions wait in the buffer and answers go out. Once it is full a request is
refused (503), since an answer that nobody can look into later is not given. What the log will
never take, and what still waits when the process ends, is counted and logged as lost.
"""

from collections.abc import Sequence
from threading import Event, Thread
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.domain.origin import NOWHERE, Origin
from services.domain.predictions import REQUESTED, STREAMED, Prediction
from services.inference import metrics
from services.inference.core import Fit, most_probable
from services.inference.slots import ServedModel
from services.runtime.kafka import KafkaConnection
from services.runtime.telemetry import Telemetry
from services.runtime.traces import HEADER
from services.wire.codec import Codec
from services.wire.topics import PREDICTIONS

_POLL_S: Final = 0.2
_LAST_WAIT_S: Final = 3.0
_KIB_MAX: Final = 65_536


class PredictionSink(Protocol):
    """Where predictions go. Any thread may offer one."""

    def offer(
        self, origin: Origin, prediction: Prediction, traceparent: bytes | None = None
    ) -> bool:
        """Take it, to be written soon; False: there is no room for it. Never waits.

        `traceparent`: the header of its trace, if it has one.
        """
        ...

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was offered is durable; False: it is not, or never will be."""
        ...

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        ...


class PredictionLog:
    """`PredictionSink` on Kafka: acknowledged by all in-sync replicas, at least once.

    A ticker's predictions are all in one partition: CRC-32 of its name, since this room knows no
    genesis. Two writers of one process, requests and the stream, have a log each.
    """

    def __init__(
        self, connection: KafkaConnection, codec: Codec, unsent_max: int, telemetry: Telemetry
    ) -> None:
        self._codec = codec
        self._telemetry = telemetry
        self._topic = connection.prefix + PREDICTIONS.name
        self._failed = 0
        for cause in metrics.LOSSES:  # No alert sees a rise of what appears with it.
            telemetry.count(metrics.LOST, 0, cause=cause)
        self._stopping = Event()
        self._producer = Producer(
            connection.client_config()
            | {
                "acks": "all",
                "linger.ms": 5,
                "partitioner": "consistent",
                # It waits in the buffer for as long as it takes; the buffer is what is bounded.
                "message.timeout.ms": 0,
                "queue.buffering.max.messages": unsent_max,
                "queue.buffering.max.kbytes": _KIB_MAX,
                # Who was written needs no call back into Python.
                "delivery.report.only.error": True,
                "on_delivery": self._note_failure,
            }
        )
        self._thread = Thread(target=self._serve, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._producer)

    def offer(
        self, origin: Origin, prediction: Prediction, traceparent: bytes | None = None
    ) -> bool:
        """Take it, to be written soon; False: there is no room for it."""
        value = self._codec.encode(PREDICTIONS.name, origin, prediction)
        key = prediction.ticker.encode()
        try:
            if traceparent is None:
                self._producer.produce(self._topic, value, key)
            else:
                headers: dict[str, str | bytes | None] = {HEADER: traceparent}
                self._producer.produce(self._topic, value, key, headers=headers)
        except BufferError:
            return False
        except KafkaException as error:
            self._lose(1, metrics.REFUSED_BY_LOG, error.args[0].name())
            return False
        return True

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was offered is durable; False: it is not, or never will be."""
        failed = self._failed
        return self._producer.flush(timeout_s) == 0 and self._failed == failed

    def close(self) -> None:
        """Wait some seconds for what waits; what then still does is lost, and said to be."""
        self._stopping.set()
        self._thread.join()
        if left := self._producer.flush(_LAST_WAIT_S):
            self._lose(left, metrics.STOPPED)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(_POLL_S)
            self._telemetry.set(metrics.UNSENT, len(self._producer))

    def _note_failure(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._lose(1, metrics.REFUSED_BY_LOG, error.name())

    def _lose(self, count: int, cause: str, error: str | None = None) -> None:
        self._failed += count
        self._telemetry.count(metrics.LOST, count, cause=cause)
        self._telemetry.log.error("predictions_lost", count=count, cause=cause, error=error)


def requested(
    model: ServedModel,
    row: Fit,
    probabilities: Sequence[float],
    request_id: str,
    served_at_us: int,
    index: int,
) -> tuple[Origin, Prediction]:
    """What somebody asked for over HTTP, as it goes to the log."""
    origin = Origin(NOWHERE, -1, -1, index, 0, served_at_us, row.grid_time_us)
    return origin, _prediction(model, row, probabilities, request_id, REQUESTED, served_at_us)


def streamed(
    model: ServedModel,
    row: Fit,
    probabilities: Sequence[float],
    request_id: str,
    origin: Origin,
) -> tuple[Origin, Prediction]:
    """What a feature row caused; a function of the row and the model alone."""
    return origin, _prediction(model, row, probabilities, request_id, STREAMED, origin.time_us)


def _prediction(
    model: ServedModel,
    row: Fit,
    probabilities: Sequence[float],
    request_id: str,
    mode: int,
    served_at_us: int,
) -> Prediction:
    return Prediction(
        request_id=request_id,
        mode=mode,
        ticker=row.ticker,
        served_at_us=served_at_us,
        grid_time_us=row.grid_time_us,
        feature_set=model.feature_set,
        fingerprint=model.fingerprint,
        model=model.name,
        model_version=model.version,
        model_sha256=model.sha256,
        is_shadow=model.is_shadow,
        is_degraded=row.is_stale,
        predicted_class=most_probable(probabilities),
        probabilities=tuple(probabilities),
        vector=tuple(row.vector),
    )
