"""Paths of commands: each becomes durable in `orders` before it is answered."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from services.domain.ids import is_valid_id
from services.domain.reasons import Reason
from services.domain.rejections import REJECTIONS
from services.door.bodies import pointer_to, read_object
from services.door.problems import Fault, ProblemError
from services.gateway.answers import ACCEPTED, CREATED, OK, json_answer, unknown_order
from services.gateway.bodies import batch_items, body_of, check
from services.gateway.caller import AccountName
from services.gateway.command_ids import command_id_of as _command_id
from services.gateway.documents import (
    AUTHORISED,
    BODY,
    IDEMPOTENCY_HEADER,
    TAKEN,
    command_path,
    problem_responses,
    request_body,
)
from services.gateway.models import Batch, CommandTaken, Order, OrderPlaced
from services.gateway.parts import Gateway, Here
from services.gateway.placing import Outcome, follow_up, place
from services.gateway.preferences import PREFER_PARAMETER, applied, wait_s
from services.gateway.problems import HttpReason, field_problem, problem
from services.gateway.quick_orders import OrderBody
from services.gateway.request_models import (
    BatchRequest,
    CancelAllRequest,
    CancelOrderRequest,
    PlaceOrderRequest,
    ReduceOrderRequest,
    ReplaceOrderRequest,
)
from services.gateway.strict_route import StrictRoute
from services.gateway.views import View

type OneOrderRequest = CancelOrderRequest | ReduceOrderRequest | ReplaceOrderRequest

FOLLOWED_UP: Final[dict[int | str, dict[str, Any]]] = {
    OK: {"model": Order, "description": "The order, after the exchange has spoken"},
    ACCEPTED: {"model": CommandTaken, "description": "The command is durable"},
    **problem_responses(
        *AUTHORISED, *BODY, *TAKEN, Reason.UNKNOWN_ORDER.name, rejections=REJECTIONS
    ),
}
"""OpenAPI of what a command to one order is answered."""

PLACE_PATH: Final = "/orders"

router = APIRouter(tags=["orders"], route_class=StrictRoute)


@router.post(
    PLACE_PATH,
    status_code=ACCEPTED,
    summary="Place an order",
    responses={
        CREATED: {"model": Order, "description": "The order, after the exchange has spoken"},
        ACCEPTED: {"model": OrderPlaced, "description": "It is durable"},
        **problem_responses(*AUTHORISED, *BODY, *TAKEN, rejections=REJECTIONS),
    },
    openapi_extra=command_path(PlaceOrderRequest, can_wait=True),
)
async def place_order(
    request: Request,
    here: Here,
    account: AccountName,
    body: Annotated[PlaceOrderRequest, Depends(body_of(PlaceOrderRequest))],
) -> Response:
    """Answered once the order is durable in `orders`, before risk and the book have seen it.

    With `Prefer: wait=2` it is answered once they have: 201 with the order, or 422 with the reason
    of its rejection. Until risk has, of several gateways only the one that answered knows of it.
    Sending it again under the same `client_order_id` is safe: it is the same order while it lives,
    and after its end for as long as the deployment remembers it (10 minutes unless its genesis says
    otherwise). Later the id is free, and would be a new order.
    Only its shape is checked here. What the market's rules refuse (an unknown ticker, a price off
    its tick, a limit exceeded) becomes an order with the status REJECTED and a reason.
    """
    return _answer(await place_one(here, request, account, body))


async def place_one(here: Gateway, request: Request, account: str, body: OrderBody) -> Outcome:
    """What a request for one order does, whoever read it."""
    client_order_id = _command_id(request, "client_order_id", body.client_order_id)
    command = body.command(account, client_order_id)
    return await place(here, command, body.event_time_us, _wait_s(request, here))


@router.post(
    "/orders/batch",
    summary="Place up to 100 orders",
    responses={OK: {"model": Batch}, **problem_responses(*AUTHORISED, *BODY)},
    openapi_extra=request_body(BatchRequest) | {"parameters": [PREFER_PARAMETER]},
)
async def place_batch(request: Request, here: Here, account: AccountName) -> Response:
    """Each order is placed as if it came alone, in the order of the list, with its own result.

    One that fails spoils none of the others. Sent again, each is the same order.
    Every order states its `client_order_id`; the header Idempotency-Key is refused here.
    """
    if IDEMPOTENCY_HEADER in request.headers:
        raise problem(
            HttpReason.INVALID_PARAMETER,
            f"{IDEMPOTENCY_HEADER} names one command: give each order a client_order_id instead",
        )
    seconds = _wait_s(request, here)
    settings = here.settings
    document = await read_object(
        request, settings.gateway_batch_bytes_max, settings.gateway_body_timeout_ms
    )
    # Tasks begin in the order they were made, so the orders are written in that of the list.
    results = await asyncio.gather(
        *(
            _place_item(here, account, at, item, seconds)
            for at, item in enumerate(batch_items(document))
        )
    )
    return json_answer({"results": results}, OK, applied(seconds))


async def _place_item(
    here: Gateway, account: str, at: int, item: object, seconds: int | None
) -> View:
    client_order_id = None
    try:
        body = check(PlaceOrderRequest, item, "orders", at)
        client_order_id = body.client_order_id
        if client_order_id is None:
            fault = Fault(
                pointer_to("orders", at, "client_order_id"), HttpReason.MISSING_FIELD, "is missing"
            )
            raise field_problem([fault])
        command = body.command(account, client_order_id)
        outcome = await place(here, command, body.event_time_us, seconds)
    except ProblemError as refusal:
        return {
            "client_order_id": client_order_id,
            "status": refusal.status_code,
            "order": None,
            "problem": refusal.document(),
        }
    return {
        "client_order_id": client_order_id,
        "status": outcome.status,
        "order": outcome.view,
        "problem": None,
    }


@router.post(
    "/orders/cancel-all",
    status_code=ACCEPTED,
    summary="Cancel every live order",
    responses={ACCEPTED: {"model": CommandTaken}, **problem_responses(*AUTHORISED, *BODY, *TAKEN)},
    openapi_extra=command_path(CancelAllRequest, can_wait=False),
)
async def cancel_all(
    request: Request,
    here: Here,
    account: AccountName,
    body: Annotated[CancelAllRequest, Depends(body_of(CancelAllRequest))],
) -> Response:
    """Of one ticker, or of all.

    Orders sent just before may still be on their way to risk, and then stay.
    """
    command_id = _command_id(request, "client_command_id", body.client_command_id)
    command = body.command(account, command_id)
    return _answer(await follow_up(here, command, body.event_time_us, None))


@router.post(
    "/orders/{order_id}/cancel",
    status_code=ACCEPTED,
    summary="Cancel an order",
    responses=FOLLOWED_UP,
    openapi_extra=command_path(CancelOrderRequest, can_wait=True),
)
async def cancel_order(
    request: Request,
    here: Here,
    account: AccountName,
    order_id: str,
    body: Annotated[CancelOrderRequest, Depends(body_of(CancelOrderRequest))],
) -> Response:
    """A cancel that comes too late, or names another account's order, is refused by risk."""
    return await _follow_up(request, here, account, order_id, body)


@router.post(
    "/orders/{order_id}/reduce",
    status_code=ACCEPTED,
    summary="Lower an order's quantity",
    responses=FOLLOWED_UP,
    openapi_extra=command_path(ReduceOrderRequest, can_wait=True),
)
async def reduce_order(
    request: Request,
    here: Here,
    account: AccountName,
    order_id: str,
    body: Annotated[ReduceOrderRequest, Depends(body_of(ReduceOrderRequest))],
) -> Response:
    """The order keeps its place in the queue."""
    return await _follow_up(request, here, account, order_id, body)


@router.post(
    "/orders/{order_id}/replace",
    status_code=ACCEPTED,
    summary="Change an order's price and quantity",
    responses=FOLLOWED_UP,
    openapi_extra=command_path(ReplaceOrderRequest, can_wait=True),
)
async def replace_order(
    request: Request,
    here: Here,
    account: AccountName,
    order_id: str,
    body: Annotated[ReplaceOrderRequest, Depends(body_of(ReplaceOrderRequest))],
) -> Response:
    """The order keeps its place in the queue only if it merely gets smaller."""
    return await _follow_up(request, here, account, order_id, body)


def _wait_s(request: Request, here: Gateway) -> int | None:
    return wait_s(request, here.settings.gateway_wait_max_ms)


def _answer(outcome: Outcome) -> Response:
    return json_answer(outcome.view, outcome.status, outcome.headers)


async def _follow_up(
    request: Request, here: Gateway, account: str, order_id: str, body: OneOrderRequest
) -> Response:
    if not is_valid_id(order_id):
        raise unknown_order(order_id)
    command_id = _command_id(request, "client_command_id", body.client_command_id)
    command = body.command(account, command_id, order_id)
    return _answer(await follow_up(here, command, body.event_time_us, _wait_s(request, here)))
