"""The shadow model: scored on what requests are answered from, after they are answered."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from services.domain.predictions import MODE_NAMES, REQUESTED
from services.inference import metrics
from services.inference.core import Alias, Fit, Freshness, judge_row
from services.inference.predictions import PredictionSink, requested
from services.inference.slots import ServedModel, Slots
from services.runtime.telemetry import Telemetry


class Shadow:
    """One thread, and a bounded number of requests that wait for it.

    Whatever happens here is counted and touches no answer.
    """

    def __init__(
        self,
        slots: Slots,
        sink: PredictionSink,
        freshness: Freshness,
        waiting_max: int,
        telemetry: Telemetry,
    ) -> None:
        self._slots = slots
        self._sink = sink
        self._freshness = freshness
        self._waiting_max = waiting_max
        self._telemetry = telemetry
        self._thread = ThreadPoolExecutor(1, "shadow")
        self._lock = Lock()
        self._waiting = 0
        for cause in metrics.SKIPS:  # No alert sees a rise of what appears with it.
            telemetry.count(metrics.SHADOW_SKIPPED, 0, cause=cause)

    def offer(self, model: ServedModel, rows: Sequence[Fit], request_id: str, now_us: int) -> None:
        """Have the shadow model score these rows, if there is one and it has the time."""
        shadow = self._slots.get(Alias.SHADOW)
        if shadow is None or not rows:
            return
        with self._lock:
            if self._waiting >= self._waiting_max:
                self._telemetry.count(metrics.SHADOW_SKIPPED, cause=metrics.BUSY)
                return
            self._waiting += 1
        self._thread.submit(self._score, shadow, model, rows, request_id, now_us)

    def _score(
        self,
        shadow: ServedModel,
        model: ServedModel,
        rows: Sequence[Fit],
        request_id: str,
        now_us: int,
    ) -> None:
        try:
            if (shadow.feature_set, shadow.columns) != (model.feature_set, model.columns):
                rows = self._own_rows(shadow, rows, now_us)
            found = shadow.predict([row.vector for row in rows])
            for index, (row, probabilities) in enumerate(zip(rows, found, strict=True)):
                made = requested(shadow, row, probabilities, request_id, now_us, index)
                if not self._sink.offer(*made):
                    self._telemetry.count(metrics.SHADOW_SKIPPED, cause=metrics.LOG_FULL)
                    return
                self._telemetry.count(
                    metrics.PREDICTIONS, mode=MODE_NAMES[REQUESTED], alias=shadow.alias
                )
        except Exception:
            self._telemetry.count(metrics.SHADOW_SKIPPED, cause=metrics.FAILED)
            self._telemetry.log.exception("shadow_failed", version=shadow.version)
        finally:
            with self._lock:
                self._waiting -= 1

    def _own_rows(self, shadow: ServedModel, rows: Sequence[Fit], now_us: int) -> list[Fit]:
        """Of the shadow's own feature set."""
        served = shadow.features.read([row.ticker for row in rows])
        judged = [judge_row(one, shadow.columns, now_us, self._freshness) for one in served]
        return [row for row in judged if isinstance(row, Fit)]

    def settle(self) -> None:
        """Wait until all that waits is scored; for tests and the end."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """What waits is scored first; it is bounded."""
        self._thread.shutdown()
