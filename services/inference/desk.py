"""What becomes of a request: rows, model, probabilities, record. Blocks; runs on the threads."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from services.domain.predictions import MODE_NAMES, REQUESTED
from services.inference import metrics
from services.inference.core import (
    Alias,
    Answer,
    Fit,
    Freshness,
    ModelView,
    RowFault,
    Unfit,
    by_class,
    by_column,
    is_canary,
    judge_row,
    most_probable,
    views_of,
)
from services.inference.predictions import PredictionSink, requested
from services.inference.problems import Reason, problem, rows_problem, vector_problem
from services.inference.shadow import Shadow
from services.inference.slots import ServedModel, Slots
from services.inference.threads import Permit
from services.models.classes import CLASS_NAMES
from services.models.predictors import Explainer
from services.models.vector import VectorError, make_vector
from services.online.errors import (
    ForeignFingerprintError,
    OnlineStoreAwayError,
    OnlineStoreError,
)
from services.online.rows import Served
from services.runtime.telemetry import Telemetry

NEXT_STEP: Final = "`outcry train` makes a model and `outcry models promote` makes it the champion"
AT_ONCE_MS_MAX: Final = 2.0
"""Longest that a model may hold up the requests of others."""
_NS_PER_US: Final = 1_000


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // _NS_PER_US


class VectorAnswer(msgspec.Struct, frozen=True):
    """Of POST /predict/vector."""

    request_id: str
    model: ModelView
    feature_set: str
    fingerprint: str
    predicted_class: str
    probabilities: Mapping[str, float]


class Contribution(msgspec.Struct, frozen=True):
    """What one feature added to the score of each class, before the softmax."""

    value: float
    added: Mapping[str, float]


class Explanation(msgspec.Struct, frozen=True):
    """Of GET /explain: what is added up over all features and `base` is the score."""

    request_id: str
    ticker: str
    model: ModelView
    feature_set: str
    fingerprint: str
    grid_time_us: int
    feature_age_ms: int
    degraded: bool
    predicted_class: str
    probabilities: Mapping[str, float]
    base: Mapping[str, float]
    contributions: Mapping[str, Contribution]


class Desk:
    """Answers. Any number of threads.

    Args:
        clock_us: the time now.
    """

    def __init__(
        self,
        slots: Slots,
        sink: PredictionSink,
        shadow: Shadow,
        telemetry: Telemetry,
        *,
        freshness: Freshness,
        canary_percent: int,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._slots = slots
        self._sink = sink
        self._shadow = shadow
        self._telemetry = telemetry
        self._freshness = freshness
        self._canary_percent = canary_percent
        self._clock_us = clock_us

    def predict(
        self, tickers: Sequence[str], request_id: str, fingerprint: str | None, permit: Permit
    ) -> Answer:
        """One answer for all the tickers, by one model; recorded if somebody still waits for it.

        Raises:
            ProblemError: there is none; nothing, or a part that is written again, was recorded.
        """
        model = self._model_for(request_id, fingerprint)
        at_us = self._clock_us()
        return self._answer(model, _read(model, tickers), request_id, at_us, permit)

    def predict_at_once(
        self, tickers: Sequence[str], request_id: str, fingerprint: str | None
    ) -> Answer | None:
        """As `predict`, if that takes no waiting and little time; None: it would, ask a thread.

        Handing a request to a thread and back costs more than such an answer itself.
        """
        model = self._model_for(request_id, fingerprint)
        if model.row_ms * len(tickers) > AT_ONCE_MS_MAX:
            return None
        at_us = self._clock_us()
        served = model.features.at_hand(tickers)
        if served is None:
            return None
        return self._answer(model, served, request_id, at_us, Permit())

    def _answer(
        self,
        model: ServedModel,
        served: Sequence[Served],
        request_id: str,
        at_us: int,
        permit: Permit,
    ) -> Answer:
        rows = self._judged(model, served, at_us)
        fit = [row for row in rows if isinstance(row, Fit)]
        found = model.predict([row.vector for row in fit])
        if not permit.take():
            raise problem(Reason.ANSWER_TIMEOUT, "nobody waits for it any more")
        self._record(model, fit, found, request_id, at_us)
        self._shadow.offer(model, fit, request_id, at_us)
        return Answer(
            request_id, model.view, model.feature_set, model.fingerprint, views_of(rows, found)
        )

    def predict_vector(
        self, features: Mapping[str, object], request_id: str, fingerprint: str | None
    ) -> VectorAnswer:
        """What a model says of these features. Of no ticker, so it is not recorded."""
        model = self._model_for(request_id, fingerprint)
        try:
            vector = make_vector(model.columns, features)
        except VectorError as error:
            raise vector_problem(error) from error
        (found,) = model.predict([vector])
        return VectorAnswer(
            request_id,
            model.view,
            model.feature_set,
            model.fingerprint,
            CLASS_NAMES[most_probable(found)],
            by_class(found),
        )

    def explain(self, ticker: str, request_id: str) -> Explanation:
        """What each feature added to what the model says of a ticker now. Not recorded."""
        model = self._model_for(request_id, None)
        predictor = model.loaded.predictor
        if not isinstance(predictor, Explainer):
            raise problem(
                Reason.NOT_EXPLAINABLE,
                f"a model of the kind {predictor.kind} has no contributions; see its model card",
            )
        at_us = self._clock_us()
        (row,) = self._judged(model, _read(model, [ticker]), at_us)
        if isinstance(row, Unfit):
            raise rows_problem([ticker], [row])
        (found,) = model.predict([row.vector])
        added = predictor.contributions(np.array([row.vector], np.float64))[0].T
        *features, base = (by_class(each) for each in added.tolist())
        values = by_column(model.columns, row.vector)
        return Explanation(
            request_id=request_id,
            ticker=ticker,
            model=model.view,
            feature_set=model.feature_set,
            fingerprint=model.fingerprint,
            grid_time_us=row.grid_time_us,
            feature_age_ms=row.age_ms,
            degraded=row.is_stale,
            predicted_class=CLASS_NAMES[most_probable(found)],
            probabilities=by_class(found),
            base=base,
            contributions={
                name: Contribution(values[name], each)
                for name, each in zip(model.columns, features, strict=True)
            },
        )

    def models(self) -> dict[str, Any]:
        """What is in service, and what was not let in."""
        return {
            "models": {alias.value: _describe(model) for alias, model in self._slots.all().items()},
            "refused": {
                alias.value: msgspec.to_builtins(note)
                for alias, note in self._slots.refusals.items()
            },
            "canary_percent": self._canary_percent,
        }

    def _model_for(self, request_id: str, fingerprint: str | None) -> ServedModel:
        """Taken once; a reload meanwhile changes nothing for this request."""
        model = None
        if is_canary(request_id, self._canary_percent):
            model = self._slots.get(Alias.CHALLENGER)
        model = model or self._slots.get(Alias.CHAMPION)
        if model is None:
            note = self._slots.refusals.get(Alias.CHAMPION)
            cause = f"version {note.version} was refused: {note.detail}" if note else NEXT_STEP
            raise problem(Reason.NO_MODEL, cause)
        if fingerprint is not None and fingerprint != model.fingerprint:
            raise problem(
                Reason.OTHER_FINGERPRINT,
                f"the request is for features of {fingerprint[:12]!r} and the model is of"
                f" {model.fingerprint[:12]!r}; GET /models tells the whole fingerprint",
                members={"fingerprint": model.fingerprint},
            )
        return model

    def _judged(
        self, model: ServedModel, served: Sequence[Served], at_us: int
    ) -> list[Fit | Unfit]:
        """What the online store has; as the policy wants, with gaps or not at all."""
        rows = [judge_row(each, model.columns, at_us, self._freshness) for each in served]
        unfit = [row for row in rows if isinstance(row, Unfit)]
        for row in unfit:
            self._telemetry.count(metrics.ROWS_UNFIT, reason=row.fault)
        unknown = any(row.fault is RowFault.UNKNOWN_TICKER for row in unfit)
        if unfit and (unknown or not self._freshness.takes_stale):
            raise rows_problem([each.ticker for each in served], unfit)
        return rows

    def _record(
        self,
        model: ServedModel,
        rows: Sequence[Fit],
        found: Sequence[Sequence[float]],
        request_id: str,
        at_us: int,
    ) -> None:
        for index, (row, probabilities) in enumerate(zip(rows, found, strict=True)):
            made = requested(model, row, probabilities, request_id, at_us, index)
            if not self._sink.offer(*made):
                self._telemetry.count(metrics.UNRECORDED)
                raise problem(
                    Reason.LOG_UNAVAILABLE,
                    f"{self._sink.waiting:,} predictions wait for Kafka, and an answer that is not"
                    " on record is not given; send it again shortly",
                )
            self._telemetry.observe(metrics.FEATURE_AGE, row.age_ms / 1_000)
        if rows:
            mode = MODE_NAMES[REQUESTED]
            self._telemetry.count(metrics.PREDICTIONS, len(rows), mode=mode, alias=model.alias)


def _read(model: ServedModel, tickers: Sequence[str]) -> list[Served]:
    try:
        return model.features.read(tickers)
    except OnlineStoreAwayError as error:
        raise problem(Reason.ONLINE_STORE_AWAY, str(error)) from error
    except ForeignFingerprintError as error:
        raise problem(Reason.FOREIGN_FEATURES, str(error)) from error
    except OnlineStoreError as error:
        raise problem(Reason.ONLINE_STORE_BROKEN, str(error)) from error


def _describe(model: ServedModel) -> dict[str, Any]:
    manifest = model.loaded.manifest
    return {
        "name": model.name,
        "version": model.version,
        "kind": manifest.kind,
        "sha256": model.sha256,
        "feature_set": model.feature_set,
        "fingerprint": model.fingerprint,
        "columns": list(model.columns),
        "classes": list(manifest.classes),
        "horizon_s": manifest.label.horizon_s,
        "dataset_sha256": manifest.data.sha256,
        "macro_f1": manifest.metrics.macro_f1.value,
        "beats_baseline": manifest.beats_baseline,
        "in_service_since_us": model.loaded_us,
        "row_ms": model.row_ms,
    }
