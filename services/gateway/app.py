"""The ASGI application: routes, problems for whatever goes wrong, and its own description."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.websockets import WebSocket

from services.door.guard import DoorPlan, Guard, RequestMetrics, TelemetryWatch
from services.door.problems import problem_of
from services.gateway import metrics, sockets
from services.gateway.access import Access
from services.gateway.access_layer import AccessLayer
from services.gateway.answer_examples import add_examples
from services.gateway.control_desk import ControlDesk
from services.gateway.core.read_model import ReadModel
from services.gateway.desk import Desk
from services.gateway.documents import EXAMPLES, REFERENCE
from services.gateway.drift_ledger import DriftLedger
from services.gateway.hub import Hub
from services.gateway.key_ring import KeyRing
from services.gateway.models import (
    Account,
    BookChange,
    Execution,
    Predictions,
    ProblemDocument,
    PublicTrade,
)
from services.gateway.order_door import OrderDoor
from services.gateway.page import Page
from services.gateway.parts import Gateway
from services.gateway.ports import CommandLog
from services.gateway.problems import KINDS
from services.gateway.routes import router
from services.gateway.settings import GatewaySettings
from services.gateway.socket_entry import SocketEntry
from services.gateway.socket_orders import SocketOrders
from services.gateway.sockets import SocketDoor
from services.gateway.stage_lag import KafkaStages
from services.gateway.system_status import SystemStatus
from services.gateway.verdicts import Verdicts
from services.gateway.viewer import Viewer
from services.runtime.telemetry import Telemetry

if TYPE_CHECKING:
    from services.gateway.command_traces import CommandTraces

TITLE: Final = "Outcry"
VERSION: Final = "1"
DESCRIPTION: Final = f"""Orders in, books and trades out.

Prices are decimal strings of dollars, quantities whole shares, times microseconds since the Unix
epoch. A command that is answered with 202 is durable; what becomes of it is said by the executions
channel of the WebSocket, and by GET /orders/{{order_id}}. Every error is a problem document
(RFC 9457) whose `reason` is one of a closed list.

## WebSocket /ws

{sockets.__doc__}
"""
SOCKET_MODELS: Final = (BookChange, Execution, Account, PublicTrade, Predictions)
"""What only the WebSocket sends; described beside the rest."""
_MS_PER_S: Final = 1_000
_METRICS: Final = RequestMetrics(
    metrics.REQUESTS_UNDER_WAY, metrics.REQUESTS, metrics.REQUEST_SECONDS
)


def build_gateway(
    settings: GatewaySettings,
    model: ReadModel,
    log: CommandLog,
    telemetry: Telemetry,
    *,
    controls: CommandLog,
    ring: KeyRing | None,
    traces: "CommandTraces | None" = None,
) -> Gateway:
    """Wire the parts that requests work with; `log` is of `orders`, no ring: no keys."""
    viewer = Viewer(model, telemetry)
    hub = Hub(viewer, telemetry, settings.gateway_newest_interval_ms / _MS_PER_S)
    access = Access(settings, ring)
    entry = SocketEntry(settings, access, hub)
    desk = Desk(model.codec, log, model, telemetry, settings.gateway_commands_max, traces)
    orders = SocketOrders(desk, entry, settings.gateway_socket_commands_max, telemetry)
    return Gateway(
        settings=settings,
        model=model,
        viewer=viewer,
        log=log,
        desk=desk,
        verdicts=Verdicts(model),
        controls=ControlDesk(model.codec, controls, telemetry),
        access=access,
        hub=hub,
        sockets=SocketDoor(settings, model, hub, entry, orders, telemetry),
        entry=entry,
        page=Page(settings.gateway_page_dir),
        drift=_drift_ledger(settings, telemetry),
        status=_system_status(settings, model, telemetry),
        telemetry=telemetry,
        trace_layer=None if traces is None else traces.layer,
    )


def _drift_ledger(settings: GatewaySettings, telemetry: Telemetry) -> DriftLedger:
    reads_max = settings.gateway_drift_reads_max
    return DriftLedger(_dsn_of(settings), settings.deployment, reads_max, telemetry)


def _system_status(
    settings: GatewaySettings, model: ReadModel, telemetry: Telemetry
) -> SystemStatus:
    stages = KafkaStages(
        settings.kafka_bootstrap, settings.topic_prefix, settings.gateway_status_wait_ms
    )
    age_s_max = settings.gateway_status_age_ms / _MS_PER_S
    return SystemStatus(
        stages,
        _dsn_of(settings),
        settings.deployment,
        age_s_max,
        telemetry,
        lambda: model.beginning,
    )


def _dsn_of(settings: GatewaySettings) -> str | None:
    return settings.pg_dsn.get_secret_value() if settings.pg_dsn else None


def make_app(gateway: Gateway) -> FastAPI:
    """The application around these parts."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # its pages would load scripts from another site
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the guard's are ours
    )
    app.state.gateway = gateway
    app.include_router(router)
    app.add_api_websocket_route("/ws", _serve_socket)
    app.add_exception_handler(HTTPException, _answer_problem)
    settings = gateway.settings
    plan = DoorPlan(
        host=settings.gateway_host,
        port=settings.gateway_port,
        requests_max=settings.gateway_requests_max,
        health_paths=("/healthz", "/readyz"),
        when_failed="what became of the request is in the gateway's log; a command may have been"
        " written, and sending it again under the same id is safe",
        when_crowded="nothing was written; send it again shortly",
        kinds=KINDS,
        names=settings.host_names,
    )
    # The last one added stands outermost: the guard answers for what those within refuse.
    app.add_middleware(OrderDoor, gateway=gateway)
    app.add_middleware(
        AccessLayer, access=gateway.access, settings=settings, telemetry=gateway.telemetry
    )
    if gateway.trace_layer is not None:
        app.add_middleware(gateway.trace_layer)
    app.add_middleware(Guard, plan=plan, watch=TelemetryWatch(gateway.telemetry, _METRICS))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = schema.setdefault("components", {}).setdefault("schemas", {})
        # FastAPI's own errors, which nothing here ever answers.
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        for path in schema["paths"].values():
            for operation in path.values():
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    del operation["responses"]["422"]
                add_examples(operation)
        _, more = models_json_schema(
            [
                *((model, "serialization") for model in (ProblemDocument, *SOCKET_MODELS)),
                *((model, "validation") for model in EXAMPLES),
            ],
            ref_template=REFERENCE,
        )
        components |= more["$defs"]
        app.openapi_schema = schema
    return app.openapi_schema


async def _serve_socket(socket: WebSocket) -> None:
    gateway: Gateway = socket.app.state.gateway
    await gateway.sockets.serve(socket)


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error.headers = {"Allow": ", ".join(_methods_of(request))}
    return problem_of(error, KINDS).response()


def _methods_of(request: Request) -> list[str]:
    """The methods of the request's path: the framework names those of its first route alone.

    /orders/batch could be an order's path too; the first path that fits is meant.
    """
    path = None
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            path = path or route.path
            found |= (route.methods or set()) if route.path == path else set()
    return sorted(found)
