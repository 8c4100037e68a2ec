"""Paths of orders: each command becomes durable in `orders`, each view is the caller's own."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from services.domain.commands import ClientCommand, PlaceOrder
from services.domain.ids import is_valid_id
from services.domain.reasons import Reason
from services.door.problems import Fault
from services.gateway.answers import ACCEPTED, json_answer, starting, unknown_order
from services.gateway.bodies import body_of
from services.gateway.caller import AccountName
from services.gateway.desk import order_id_of
from services.gateway.documents import (
    AUTHORISED,
    BODY,
    READ_ORDER,
    TAKEN,
    problem_responses,
    request_body,
)
from services.gateway.models import (
    CancelAllRequest,
    CancelOrderRequest,
    CommandTaken,
    FollowUpRequest,
    Order,
    OrderPlaced,
    PlaceOrderRequest,
    ReduceOrderRequest,
    ReplaceOrderRequest,
)
from services.gateway.parts import Gateway, Here
from services.gateway.problems import HttpReason, field_problem, problem
from services.wire.topics import EXECUTIONS

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"

router = APIRouter(tags=["orders"])


@router.post(
    "/orders",
    status_code=ACCEPTED,
    summary="Place an order",
    responses={ACCEPTED: {"model": OrderPlaced}, **problem_responses(*AUTHORISED, *BODY, *TAKEN)},
    openapi_extra=request_body(PlaceOrderRequest),
)
async def place_order(
    request: Request,
    here: Here,
    account: AccountName,
    body: Annotated[PlaceOrderRequest, Depends(body_of(PlaceOrderRequest))],
) -> Response:
    """Answered once the order is durable in `orders`, before risk and the book have seen it.

    Sending it again under the same `client_order_id` is safe: it is the same order while it lives,
    and after its end for as long as the deployment remembers it (10 minutes unless its genesis says
    otherwise). Later the id is free, and would be a new order.
    Only its shape is checked here. What the market's rules refuse (an unknown ticker, a price off
    its tick, a limit exceeded) becomes an order with the status REJECTED and a reason.
    """
    client_order_id = _command_id(request, "client_order_id", body.client_order_id)
    command = body.command(account, client_order_id)
    await here.desk.take(command, body.event_time_us)
    order_id = order_id_of(command)
    view = here.viewer.order(account, order_id)
    return json_answer(
        {
            "order_id": order_id,
            "client_order_id": client_order_id,
            # NO_ORDER is the word about an earlier try under this id: this one is not decided.
            "status": "PENDING_NEW"
            if view is None or view["status"] == "NO_ORDER"
            else view["status"],
        },
        ACCEPTED,
        {"Location": f"/orders/{order_id}"},
    )


@router.post(
    "/orders/cancel-all",
    status_code=ACCEPTED,
    summary="Cancel every live order",
    responses={ACCEPTED: {"model": CommandTaken}, **problem_responses(*AUTHORISED, *BODY, *TAKEN)},
    openapi_extra=request_body(CancelAllRequest),
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
    return await _take(here, body.command(account, command_id), command_id, body)


@router.post(
    "/orders/{order_id}/cancel",
    status_code=ACCEPTED,
    summary="Cancel an order",
    responses={
        ACCEPTED: {"model": CommandTaken},
        **problem_responses(*AUTHORISED, *BODY, *TAKEN, Reason.UNKNOWN_ORDER.name),
    },
    openapi_extra=request_body(CancelOrderRequest),
)
async def cancel_order(
    request: Request,
    here: Here,
    account: AccountName,
    order_id: str,
    body: Annotated[CancelOrderRequest, Depends(body_of(CancelOrderRequest))],
) -> Response:
    """A cancel that comes too late, or names another account's order, is refused by risk."""
    command_id = _follow_up(request, order_id, body)
    return await _take(here, body.command(account, command_id, order_id), command_id, body)


@router.post(
    "/orders/{order_id}/reduce",
    status_code=ACCEPTED,
    summary="Lower an order's quantity",
    responses={
        ACCEPTED: {"model": CommandTaken},
        **problem_responses(*AUTHORISED, *BODY, *TAKEN, Reason.UNKNOWN_ORDER.name),
    },
    openapi_extra=request_body(ReduceOrderRequest),
)
async def reduce_order(
    request: Request,
    here: Here,
    account: AccountName,
    order_id: str,
    body: Annotated[ReduceOrderRequest, Depends(body_of(ReduceOrderRequest))],
) -> Response:
    """The order keeps its place in the queue."""
    command_id = _follow_up(request, order_id, body)
    return await _take(here, body.command(account, command_id, order_id), command_id, body)


@router.post(
    "/orders/{order_id}/replace",
    status_code=ACCEPTED,
    summary="Change an order's price and quantity",
    responses={
        ACCEPTED: {"model": CommandTaken},
        **problem_responses(*AUTHORISED, *BODY, *TAKEN, Reason.UNKNOWN_ORDER.name),
    },
    openapi_extra=request_body(ReplaceOrderRequest),
)
async def replace_order(
    request: Request,
    here: Here,
    account: AccountName,
    order_id: str,
    body: Annotated[ReplaceOrderRequest, Depends(body_of(ReplaceOrderRequest))],
) -> Response:
    """The order keeps its place in the queue only if it merely gets smaller."""
    command_id = _follow_up(request, order_id, body)
    return await _take(here, body.command(account, command_id, order_id), command_id, body)


async def _take(
    here: Gateway, command: ClientCommand, command_id: str, body: FollowUpRequest
) -> Response:
    assert not isinstance(command, PlaceOrder)
    await here.desk.take(command, body.event_time_us)
    order_id = order_id_of(command) or None
    headers = {"Location": f"/orders/{order_id}"} if order_id else {}
    view = {"client_command_id": command_id, "order_id": order_id}
    return json_answer(view, ACCEPTED, headers)


def _follow_up(request: Request, order_id: str, body: FollowUpRequest) -> str:
    if not is_valid_id(order_id):
        raise unknown_order(order_id)
    return _command_id(request, "client_command_id", body.client_command_id)


def _command_id(request: Request, field: str, in_body: str | None) -> str:
    """The id that makes the command the same one when it is sent again."""
    in_header = request.headers.get(IDEMPOTENCY_HEADER)
    if in_header is not None:
        in_header = in_header.removeprefix('"').removesuffix('"')
        if not is_valid_id(in_header):
            raise problem(
                HttpReason.INVALID_PARAMETER,
                f"{IDEMPOTENCY_HEADER}: 1 to 64 printable ASCII characters without spaces",
            )
    if in_body is not None and in_header is not None and in_body != in_header:
        detail = f"differs from the header {IDEMPOTENCY_HEADER}; send one of them"
        raise field_problem([Fault(f"#/{field}", HttpReason.INVALID_FIELD, detail)])
    found = in_body if in_body is not None else in_header
    if found is None:
        detail = f"is missing, and so is the header {IDEMPOTENCY_HEADER}"
        raise field_problem([Fault(f"#/{field}", HttpReason.MISSING_FIELD, detail)])
    return found


@router.get(
    "/orders/{order_id}",
    summary="Show an order",
    responses={200: {"model": Order}, **problem_responses(*AUTHORISED, *READ_ORDER)},
)
async def show_order(here: Here, account: AccountName, order_id: str) -> Response:
    """The caller's own orders only: live ones, and for a while those that ended."""
    view = here.viewer.order(account, order_id)
    if view is None:
        if not here.model.is_caught_up(EXECUTIONS.name):
            raise starting()
        raise unknown_order(order_id)
    return json_answer(view)
