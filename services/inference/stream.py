"""The streaming mode: a prediction for each new row of the champion's feature set.

At least once. What is read is committed only after all that it caused is durable, so a crash or an
outage repeats predictions, and a repetition has the same request id and, by the same model, the
same bytes: it is a function of the row, of where the row stands on the log and of the model.

1. Read what has arrived.
2. Judge each row: its set, its fingerprint, its values.
3. Predict them together, by the champion and by the shadow.
4. Offer them to the log; wait where it has no room. Nothing is left out.
5. Wait until they are durable, then commit. Otherwise begin again from what is committed.

A row that came while no model was in service is passed over: its prediction would come too late.
Whether there is one only the registry knows, so nothing is read before it was asked: a process that
takes the place of another would pass over what came in between.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from services.domain.features import FeatureRow
from services.domain.origin import FEATURES as FROM_FEATURES
from services.domain.origin import Origin
from services.domain.predictions import MODE_NAMES, STREAMED
from services.featuresets import SETS
from services.featuresets.definitions import EXACT_MAX
from services.inference import metrics
from services.inference.core import Alias, Fit, stream_request_id
from services.inference.predictions import PredictionSink, streamed
from services.inference.slots import ServedModel, Slots
from services.models.vector import NOT_INPUTS, VectorError, make_vector
from services.runtime.errors import FatalError, OperatingError, RetriableError
from services.runtime.loop import backoff_s
from services.runtime.ports import Record
from services.runtime.restore import Pacer
from services.runtime.telemetry import (
    RECORD_AGE_SECONDS,
    RECORDS_CONSUMED,
    RECORDS_UNDECODABLE,
    RESTARTS,
    Telemetry,
)
from services.runtime.traces import RoomTraces
from services.wire.codec import Codec, UndecodableError
from services.wire.topics import FEATURES, PREDICTIONS

READ_RECORDS_MAX: Final = 500
IDLE_WAIT_MS: Final = 250
SETTLE_S: Final = 10.0
ROOM_WAIT_S: Final = 0.05
UNDECIDED_WAIT_S: Final = 0.05

NO_MODEL: Final = "no_model"
OTHER_SET: Final = "other_set"
FOREIGN_FINGERPRINT: Final = "foreign_fingerprint"
UNDEFINED_FEATURES: Final = "undefined_features"
MALFORMED: Final = "malformed"
UNDECODABLE: Final = "undecodable"
PREDICTED: Final = "predicted"


class RowSource(Protocol):
    """New feature rows, as a member of a group. Called from one thread."""

    def read(self, records_max: int, wait_ms: int) -> Sequence[Record]:
        """What has arrived; waits for the first one.

        Raises:
            OperatingError: the log does not answer, or this place in the group is lost.
        """
        ...

    def commit(self) -> None:
        """All that was read is dealt with.

        Raises:
            OperatingError: as `read`.
        """
        ...

    def close(self) -> None: ...


class Stream:
    """Runs until told to stop, in the caller's thread.

    Args:
        sink: its own, so that what it waits for is only what it offered.
        open_source: connects; called at the start and after each failure.
        traces: None: no prediction has a trace.
    """

    def __init__(
        self,
        slots: Slots,
        codec: Codec,
        sink: PredictionSink,
        open_source: Callable[[], RowSource],
        telemetry: Telemetry,
        pacer: Pacer,
        traces: RoomTraces | None = None,
    ) -> None:
        self._slots = slots
        self._codec = codec
        self._sink = sink
        self._open_source = open_source
        self._telemetry = telemetry
        telemetry.expect([FEATURES.name])
        self._pacer = pacer
        self._traces = traces
        self._source: RowSource | None = None
        self._failures = 0

    def run(self) -> None:
        """Work until asked to stop.

        Raises:
            FatalError: a person has to act; the message says how.
        """
        try:
            while not self._pacer.stopping():
                self.run_once()
        finally:
            self.close()

    def run_once(self) -> int:
        """One turn; how many rows were read. Raises as `run`."""
        if not self._slots.decided.is_set():
            self._pacer.wait(UNDECIDED_WAIT_S)
            return 0
        try:
            if self._source is None:
                self._source = self._open_source()
            records = self._source.read(READ_RECORDS_MAX, IDLE_WAIT_MS)
            if records:
                self._work(records)
                self._source.commit()
                self._telemetry.count(RECORDS_CONSUMED, len(records), topic=FEATURES.name)
                oldest_ms = min(record.timestamp_ms for record in records)
                self._telemetry.observe_age(RECORD_AGE_SECONDS, oldest_ms, topic=FEATURES.name)
        except FatalError:
            raise
        except OperatingError as error:
            self.close()
            self._failures += 1
            wait_s = backoff_s(self._failures)
            self._telemetry.count(RESTARTS, error=type(error).__name__)
            self._telemetry.log.warning("stream_failed", error=str(error), wait_s=wait_s)
            self._pacer.wait(wait_s)
            return 0
        self._failures = 0
        return len(records)

    def close(self) -> None:
        """Give up the place in the group; the next turn would begin from what is committed."""
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _work(self, records: Sequence[Record]) -> None:
        champion = self._slots.get(Alias.CHAMPION)
        if champion is None:
            self._telemetry.count(metrics.STREAM_ROWS, len(records), outcome=NO_MODEL)
            return
        if self._traces is not None:
            self._traces.begin()
        self._predict(champion, records, counts=True)
        shadow = self._slots.get(Alias.SHADOW)
        if shadow is not None:
            self._predict(shadow, records, counts=False)
        if not self._sink.settle(SETTLE_S):
            raise RetriableError("predictions are not durable; their rows are read again")
        if self._traces is not None:
            self._traces.committed()

    def _predict(self, model: ServedModel, records: Sequence[Record], *, counts: bool) -> None:
        outcomes: Counter[str] = Counter()
        fit: list[tuple[Record, Fit]] = []
        for record in records:
            judged = self._judge(model, record)
            if isinstance(judged, Fit):
                fit.append((record, judged))
            outcomes[judged if isinstance(judged, str) else PREDICTED] += 1
        found = model.predict([row.vector for _, row in fit])
        for (record, row), probabilities in zip(fit, found, strict=True):
            request_id = stream_request_id(row.ticker, row.grid_time_us, model.name, model.version)
            made = streamed(model, row, probabilities, request_id, _origin(record, row))
            traceparent = self._follow(record)
            while not self._sink.offer(*made, traceparent):
                if self._pacer.stopping():
                    raise RetriableError("stopped while predictions waited for the log")
                self._pacer.wait(ROOM_WAIT_S)
        if fit:
            mode = MODE_NAMES[STREAMED]
            self._telemetry.count(metrics.PREDICTIONS, len(fit), mode=mode, alias=model.alias)
        if counts:
            for outcome, count in outcomes.items():
                self._telemetry.count(metrics.STREAM_ROWS, count, outcome=outcome)

    def _follow(self, record: Record) -> bytes | None:
        """The trace of a row, which is that of its predictions, too."""
        if self._traces is None or record.traceparent is None:
            return None
        return self._traces.follow(record, (PREDICTIONS.name,))

    def _judge(self, model: ServedModel, record: Record) -> Fit | str:
        """The row to predict from, or why there is none."""
        try:
            row: FeatureRow = self._codec.decode(FEATURES.name, record.value).payload
        except UndecodableError:
            self._telemetry.count(RECORDS_UNDECODABLE, topic=FEATURES.name)
            return UNDECODABLE
        if row.feature_set != model.feature_set:
            return OTHER_SET
        if row.fingerprint != model.fingerprint:
            return FOREIGN_FINGERPRINT
        features = SETS[model.feature_set].features
        if len(row.values) != len(features) or not all(
            value is None or -EXACT_MAX < value < EXACT_MAX for value in row.values
        ):
            return MALFORMED
        values = {
            feature.name: feature.real(value)
            for feature, value in zip(features, row.values, strict=True)
            if feature.name not in NOT_INPUTS
        }
        try:
            vector = make_vector(model.columns, values)
        except VectorError:
            return UNDEFINED_FEATURES
        age_ms = max(0, record.timestamp_ms - row.grid_time_us // 1_000)
        return Fit(row.ticker, row.grid_time_us, age_ms, vector, is_stale=False)


def _origin(record: Record, row: Fit) -> Origin:
    time_us = record.timestamp_ms * 1_000
    return Origin(FROM_FEATURES, record.partition, record.offset, 0, 0, time_us, row.grid_time_us)
