"""What requests work with, and how a route gets at it."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import Depends
from starlette.requests import Request
from starlette.types import ASGIApp

from services.gateway.access import Access
from services.gateway.control_desk import ControlDesk
from services.gateway.core.read_model import ReadModel
from services.gateway.desk import Desk
from services.gateway.drift_ledger import DriftLedger
from services.gateway.hub import Hub
from services.gateway.page import Page
from services.gateway.ports import CommandLog
from services.gateway.settings import GatewaySettings
from services.gateway.socket_entry import SocketEntry
from services.gateway.sockets import SocketDoor
from services.gateway.system_status import SystemStatus
from services.gateway.verdicts import Verdicts
from services.gateway.viewer import Viewer
from services.runtime.telemetry import Telemetry


class Gateway(msgspec.Struct, frozen=True):
    """What requests work with; stands in `app.state.gateway`."""

    settings: GatewaySettings
    model: ReadModel
    viewer: Viewer
    log: CommandLog
    desk: Desk
    verdicts: Verdicts
    controls: ControlDesk
    access: Access
    hub: Hub
    sockets: SocketDoor
    entry: SocketEntry
    page: Page
    drift: DriftLedger
    status: SystemStatus
    telemetry: Telemetry
    trace_layer: Callable[[ASGIApp], ASGIApp] | None = None
    """Middleware around the routes, where traces are wanted."""


async def _gateway_of(request: Request) -> Gateway:
    # Async, as every dependency here: the framework has a thread call one that is not.
    found: Gateway = request.app.state.gateway
    return found


Here = Annotated[Gateway, Depends(_gateway_of)]
