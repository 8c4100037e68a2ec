"""The ASGI application: what can be asked over HTTP, and how it is answered."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import orjson
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from services.door.bodies import read_object
from services.door.guard import DoorPlan, Guard, RequestMetrics, TelemetryWatch
from services.door.problems import DOOR_KINDS, MEDIA_TYPE, problem_of
from services.inference import metrics
from services.inference.bodies import (
    REQUEST_ID_HEADER,
    PredictRequest,
    VectorRequest,
    asked_ticker,
    empty_request,
    predict_request,
    request_id_of,
    vector_request,
)
from services.inference.core import Alias, Answer, ModelView
from services.inference.desk import NEXT_STEP, Desk, Explanation, VectorAnswer
from services.inference.predictions import PredictionSink
from services.inference.problems import KINDS, Reason, problem
from services.inference.reload import Outcome, Reloader
from services.inference.settings import InferenceSettings
from services.inference.slots import Slots
from services.inference.threads import Permit, Reloads, Threads
from services.runtime.telemetry import Telemetry

TITLE: Final = "Outcry inference"
VERSION: Final = "1"
DESCRIPTION: Final = """Which way a ticker's mid goes next, by a registered model, from the features
that are online.

Each answer names the model, the fingerprint of the feature definitions and the age of the features.
Nothing is ever filled in: what is missing, undefined or too old is a problem document (RFC 9457)
whose `reason` is one of a closed list, or by policy an answer that says `degraded`.
"""
MODEL_HEADER: Final = "X-Model"
FINGERPRINT_HEADER: Final = "X-Feature-Fingerprint"
_OF_ANSWERS: Final = tuple(reason for reason in KINDS if reason != Reason.RELOAD_TIMEOUT)
_UNAVAILABLE: Final = 503
_SHAPES: Final = (PredictRequest, VectorRequest, Answer, VectorAnswer, Explanation, Outcome)
_REF: Final = "#/components/schemas/{name}"


class Inference:
    """What requests work with; stands in `app.state.inference`."""

    def __init__(
        self,
        settings: InferenceSettings,
        desk: Desk,
        slots: Slots,
        reloader: Reloader,
        sink: PredictionSink,
        telemetry: Telemetry,
    ) -> None:
        self.settings = settings
        self.desk = desk
        self.slots = slots
        self.reloader = reloader
        self.sink = sink
        self.telemetry = telemetry
        self.stopping = False
        places_max = settings.inference_requests_max
        self._reading = Threads("predict", settings.inference_threads, places_max)
        self._given = Threads("given", settings.inference_vector_threads, places_max)
        self.reloads = Reloads(lambda: reloader.check(again=True))

    def at_once(self, asked: PredictRequest, request_id: str) -> Answer | None:
        """An answer for which nothing has to be waited for; None: this one needs `reading`."""
        self._refuse_if_stopping()
        return self.desk.predict_at_once(asked.tickers, request_id, asked.fingerprint)

    async def reading[T](self, work: Callable[[Permit], T]) -> T:
        """Do what reads features, on the threads for that; not longer than the limit."""
        self._refuse_if_stopping()
        return await self._reading.do(work, self.settings.inference_answer_timeout_ms)

    async def given[T](self, work: Callable[[], T]) -> T:
        """Do what needs no online store, which may hang; not longer than the limit."""
        self._refuse_if_stopping()
        return await self._given.do(lambda _: work(), self.settings.inference_answer_timeout_ms)

    def _refuse_if_stopping(self) -> None:
        if self.stopping:
            raise problem(Reason.STOPPING, "ask again shortly")

    async def reload(self) -> list[Outcome]:
        """Look at the registry now, what was refused before included."""
        self._refuse_if_stopping()
        return await self.reloads.ask(self.settings.inference_reload_timeout_ms)

    def close(self) -> None:
        """Blocks until what is under way has ended."""
        self._reading.close()
        self._given.close()
        self.reloads.close()


def _here(request: Request) -> Inference:
    found: Inference = request.app.state.inference
    return found


async def _body(
    request: Request, here: Inference, step: str = "send a smaller one"
) -> dict[str, Any]:
    """The body; `step` is what somebody can do who sent too large a one."""
    settings = here.settings
    bytes_max, timeout_ms = settings.inference_body_bytes_max, settings.inference_body_timeout_ms
    return await read_object(request, bytes_max, timeout_ms, step=step)


def _problems(*reasons: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI of the problems that a path gives."""
    by_status: dict[int | str, list[str]] = {}
    for reason in reasons:
        by_status.setdefault(KINDS[reason].status, []).append(str(reason))
    return {
        status: {"description": " or ".join(names), "content": {MEDIA_TYPE: {}}}
        for status, names in by_status.items()
    }


def _document(request: type | None, answer: type | None) -> dict[str, Any]:
    """OpenAPI of a path's bodies."""
    described: dict[str, Any] = {"responses": {}}
    if request is not None:
        schema = {"$ref": _REF.format(name=request.__name__)}
        content = {"application/json": {"schema": schema}}
        described["requestBody"] = {"required": True, "content": content}
    if answer is not None:
        schema = {"$ref": _REF.format(name=answer.__name__)}
        content = {"application/json": {"schema": schema}}
        described["responses"]["200"] = {"description": "The answer", "content": content}
    return described


router = APIRouter()


@router.post(
    "/predict",
    tags=["predictions"],
    summary="Predict for tickers",
    responses=_problems(*_OF_ANSWERS),
    openapi_extra=_document(PredictRequest, Answer),
)
async def predict(request: Request) -> Response:
    """By the champion, or for the canary's share of request ids by the challenger.

    The features are the newest of each ticker in Feast's online store. Each prediction is recorded
    in the topic `predictions` with the vector that was served.
    """
    here = _here(request)
    request_id = request_id_of(request)
    tickers_max = here.settings.inference_tickers_max
    document = await _body(request, here, f"ask in parts of at most {tickers_max} tickers")
    asked = predict_request(document, tickers_max)
    answer = here.at_once(asked, request_id)
    if answer is None:
        answer = await here.reading(
            lambda permit: here.desk.predict(asked.tickers, request_id, asked.fingerprint, permit)
        )
    return _reply(answer, answer.request_id, answer.model, answer.fingerprint)


@router.post(
    "/predict/vector",
    tags=["predictions"],
    summary="Predict for given features",
    responses=_problems(*_OF_ANSWERS),
    openapi_extra=_document(VectorRequest, VectorAnswer),
)
async def predict_vector(request: Request) -> Response:
    """For tests and for asking what if. Exactly the model's features, in any order.

    It is of no ticker, so it is not recorded.
    """
    here = _here(request)
    request_id = request_id_of(request)
    asked = vector_request(await _body(request, here))
    answer = await here.given(
        lambda: here.desk.predict_vector(asked.features, request_id, asked.fingerprint)
    )
    return _reply(answer, answer.request_id, answer.model, answer.fingerprint)


@router.get(
    "/explain",
    tags=["predictions"],
    summary="What each feature adds",
    responses=_problems(*_OF_ANSWERS),
    openapi_extra=_document(None, Explanation)
    | {
        "parameters": [
            {"name": "ticker", "in": "query", "required": True, "schema": {"type": "string"}}
        ]
    },
)
async def explain(request: Request) -> Response:
    """Of the prediction that POST /predict would give now: SHAP values, which XGBoost computes.

    For each class they and `base` add up to the score before the softmax. Not recorded.
    """
    here = _here(request)
    request_id = request_id_of(request)
    ticker = asked_ticker(request.query_params)
    answer = await here.reading(lambda _: here.desk.explain(ticker, request_id))
    return _reply(answer, answer.request_id, answer.model, answer.fingerprint)


@router.get("/models", tags=["models"], summary="What is in service")
async def show_models(request: Request) -> Response:
    """The model of each alias, and the last that was refused under it, with the reason."""
    return _json(_here(request).desk.models())


@router.post(
    "/admin/reload",
    tags=["models"],
    summary="Look at the registry now",
    responses=_problems(*DOOR_KINDS, Reason.RELOAD_TIMEOUT, Reason.STOPPING),
    openapi_extra=_document(None, None)
    | {"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
)
async def reload(request: Request) -> Response:
    """Answers once each alias was looked at; what was refused before is tried again. Body: {}."""
    here = _here(request)
    empty_request(await _body(request, here))
    outcomes = await here.reload()
    return _json({"outcomes": [msgspec.to_builtins(outcome) for outcome in outcomes]})


@router.get("/health", tags=["health"], summary="Is it alive?")
async def show_health() -> Response:
    """200 as long as the process answers."""
    return _json({"status": "alive"})


@router.get("/ready", tags=["health"], summary="Does it predict?")
async def show_readiness(request: Request) -> Response:
    """503 while no model is in service.

    Whether the process serves at all is said on the metrics' port; a supervisor asks there.
    """
    here = _here(request)
    champion = here.slots.get(Alias.CHAMPION)
    note = here.slots.refusals.get(Alias.CHAMPION)
    status: Literal["ready", "no_model", "stopping"] = "ready" if champion else "no_model"
    status = "stopping" if here.stopping else status
    view: dict[str, Any] = {
        "status": status,
        "model": msgspec.to_builtins(champion.view) if champion else None,
        "refused": msgspec.to_builtins(note) if note else None,
        "registry_answers": not here.reloader.is_registry_away,
        "predictions_unsent": here.sink.waiting,
    }
    if champion is None:
        view["next_step"] = NEXT_STEP
    return _json(view, 200 if status == "ready" else _UNAVAILABLE)


def _reply(answer: msgspec.Struct, request_id: str, model: ModelView, fingerprint: str) -> Response:
    headers = {
        REQUEST_ID_HEADER: request_id,
        MODEL_HEADER: f"{model.name}/{model.version}",
        FINGERPRINT_HEADER: fingerprint,
    }
    return Response(msgspec.json.encode(answer), 200, headers, media_type="application/json")


def _json(view: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(view), status, media_type="application/json")


_METRICS: Final = RequestMetrics(
    metrics.REQUESTS_UNDER_WAY, metrics.REQUESTS, metrics.REQUEST_SECONDS
)


class _BareRoute(Route):
    """Starlette's route, which says that it is the one, as FastAPI's do: metrics name it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, child if match is Match.NONE else {**child, "route": self}


def make_app(here: Inference) -> FastAPI:
    """The application around these parts."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # its pages would load scripts from another site
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.inference = here
    # The router's own route of it is behind, and describes it: FastAPI's way to a handler that
    # takes the request as it comes is a fifth of what such a request costs without the server.
    app.router.routes.append(_BareRoute("/predict", predict, methods=["POST"]))
    app.include_router(router)
    app.add_exception_handler(HTTPException, _answer_problem)
    settings = here.settings
    plan = DoorPlan(
        host=settings.inference_host,
        port=settings.inference_port,
        requests_max=settings.inference_requests_max,
        health_paths=("/health", "/ready"),
        when_failed="the cause is in the room's log; asking again is safe",
        kinds=KINDS,
    )
    app.add_middleware(Guard, plan=plan, watch=TelemetryWatch(here.telemetry, _METRICS))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _, shapes = msgspec.json.schema_components(_SHAPES, ref_template=_REF)
        schema.setdefault("components", {})["schemas"] = shapes
        app.openapi_schema = schema
    return app.openapi_schema


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_of(error).response()
