"""POST /orders without the framework, which costs several times what the order itself does.

order_routes.py describes the path, and serves it where the request has a query to be refused; what
is done with an order stands there alone, so that both do the same.
"""

from typing import Final

import msgspec
import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.door.answering import answer_of, raw_headers
from services.gateway.bodies import check, read_document
from services.gateway.caller import account_of
from services.gateway.order_routes import PLACE_PATH, place_one
from services.gateway.parts import Gateway
from services.gateway.quick_orders import quick_order
from services.gateway.request_models import PlaceOrderRequest


class _Route(msgspec.Struct, frozen=True):
    path: str


_ROUTE: Final = _Route(PLACE_PATH)
"""By which the guard's metrics name the request, as they do the framework's routes."""


class OrderDoor:
    """ASGI middleware; its problems are answered by the guard around it."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_order = (
            scope["type"] == "http"
            and scope["path"] == PLACE_PATH
            and scope["method"] == "POST"
            and not scope["query_string"]
        )
        if not is_order:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE
        here, request = self._gateway, Request(scope, receive)
        account = account_of(request, here.access)
        document = await read_document(request, here.settings)
        body = quick_order(document) or check(PlaceOrderRequest, document)
        outcome = await place_one(here, request, account, body)
        await answer_of(scope).send_json(
            outcome.status, orjson.dumps(outcome.view), *raw_headers(outcome.headers)
        )
