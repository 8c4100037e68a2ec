"""The paths of the REST interface: each turns a request into a command or a view of the feeds."""

import time
from typing import Annotated, Final

import msgspec
import orjson
from fastapi import APIRouter, Depends
from fastapi.security import APIKeyHeader
from starlette.requests import Request
from starlette.responses import Response

from services.domain.commands import ClientCommand, PlaceOrder
from services.domain.ids import is_valid_id
from services.domain.reasons import Reason
from services.door.problems import Fault, ProblemError
from services.gateway.bodies import body_of
from services.gateway.core.read_model import ReadModel
from services.gateway.desk import Desk, order_id_of
from services.gateway.documents import (
    AUTHORISED,
    BODY,
    READ_ORDER,
    TAKEN,
    problem_responses,
    request_body,
)
from services.gateway.hub import Hub
from services.gateway.models import (
    Book,
    CancelAllRequest,
    CancelOrderRequest,
    Candles,
    CommandTaken,
    FollowUpRequest,
    Health,
    Order,
    OrderPlaced,
    PlaceOrderRequest,
    ReduceOrderRequest,
    ReplaceOrderRequest,
    ServerTime,
    Tickers,
)
from services.gateway.page import ASSETS, Page
from services.gateway.ports import CommandLog
from services.gateway.problems import HttpReason, field_problem, problem
from services.gateway.queries import CANDLES_PARAMETERS, candles_query
from services.gateway.settings import GatewaySettings
from services.gateway.sockets import ACCOUNT_HEADER, SocketDoor
from services.gateway.viewer import Viewer
from services.gateway.views import View
from services.runtime.telemetry import Telemetry
from services.wire.topics import BOOK, EXECUTIONS, TRADES

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
_ACCEPTED: Final = 202
_UNAVAILABLE: Final = 503
_NS_PER_US: Final = 1_000


class Gateway(msgspec.Struct, frozen=True):
    """What requests work with; stands in `app.state.gateway`."""

    settings: GatewaySettings
    model: ReadModel
    viewer: Viewer
    log: CommandLog
    desk: Desk
    hub: Hub
    sockets: SocketDoor
    page: Page
    telemetry: Telemetry


def gateway_of(request: Request) -> Gateway:
    found: Gateway = request.app.state.gateway
    return found


_header = APIKeyHeader(
    name=ACCOUNT_HEADER,
    auto_error=False,
    description="The account, by name. Keys take its place once there are any.",
)


def account_of(request: Request, _: Annotated[str | None, Depends(_header)]) -> str:
    """The account that the request names."""
    named = request.headers.getlist(ACCOUNT_HEADER)
    if not named:
        raise problem(
            HttpReason.ACCOUNT_REQUIRED,
            f"send the header {ACCOUNT_HEADER}",
            headers={"WWW-Authenticate": f'{ACCOUNT_HEADER} realm="outcry"'},
        )
    if len(named) > 1 or not is_valid_id(named[0]):
        detail = "one account of 1 to 64 printable ASCII characters without spaces"
        fault = Fault(f"header:{ACCOUNT_HEADER}", HttpReason.INVALID_PARAMETER, detail)
        raise problem(HttpReason.INVALID_PARAMETER, f"name {detail}", faults=[fault])
    return named[0]


AccountName = Annotated[str, Depends(account_of)]
Here = Annotated[Gateway, Depends(gateway_of)]

router = APIRouter()


# --- commands


@router.post(
    "/orders",
    status_code=_ACCEPTED,
    tags=["orders"],
    summary="Place an order",
    responses={_ACCEPTED: {"model": OrderPlaced}, **problem_responses(*AUTHORISED, *BODY, *TAKEN)},
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
    return _json(
        {
            "order_id": order_id,
            "client_order_id": client_order_id,
            # NO_ORDER is the word about an earlier try under this id: this one is not decided.
            "status": "PENDING_NEW"
            if view is None or view["status"] == "NO_ORDER"
            else view["status"],
        },
        _ACCEPTED,
        {"Location": f"/orders/{order_id}"},
    )


@router.post(
    "/orders/cancel-all",
    status_code=_ACCEPTED,
    tags=["orders"],
    summary="Cancel every live order",
    responses={_ACCEPTED: {"model": CommandTaken}, **problem_responses(*AUTHORISED, *BODY, *TAKEN)},
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
    status_code=_ACCEPTED,
    tags=["orders"],
    summary="Cancel an order",
    responses={
        _ACCEPTED: {"model": CommandTaken},
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
    status_code=_ACCEPTED,
    tags=["orders"],
    summary="Lower an order's quantity",
    responses={
        _ACCEPTED: {"model": CommandTaken},
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
    status_code=_ACCEPTED,
    tags=["orders"],
    summary="Change an order's price and quantity",
    responses={
        _ACCEPTED: {"model": CommandTaken},
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
    return _json(view, _ACCEPTED, headers)


def _follow_up(request: Request, order_id: str, body: FollowUpRequest) -> str:
    if not is_valid_id(order_id):
        raise _unknown_order(order_id)
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


# --- views


@router.get(
    "/orders/{order_id}",
    tags=["orders"],
    summary="Show an order",
    responses={200: {"model": Order}, **problem_responses(*AUTHORISED, *READ_ORDER)},
)
async def show_order(here: Here, account: AccountName, order_id: str) -> Response:
    """The caller's own orders only: live ones, and for a while those that ended."""
    view = here.viewer.order(account, order_id)
    if view is None:
        if not here.model.is_caught_up(EXECUTIONS.name):
            raise _starting()
        raise _unknown_order(order_id)
    return _json(view)


@router.get(
    "/book/{ticker}",
    tags=["market"],
    summary="Show a ticker's depth",
    responses={
        200: {"model": Book},
        **problem_responses(Reason.UNKNOWN_TICKER.name, HttpReason.STARTING),
    },
)
async def show_book(here: Here, ticker: str) -> Response:
    """The ten best prices of each side, as they were after the `matching` offset stated."""
    view = here.viewer.book(ticker)
    if view is None:
        if not here.model.is_caught_up(BOOK.name):
            raise _starting()
        raise _unknown_ticker(ticker)
    return _json(view)


@router.get(
    "/candles/{ticker}",
    tags=["market"],
    summary="Show a ticker's candles",
    responses={
        200: {"model": Candles},
        **problem_responses(
            HttpReason.INVALID_PARAMETER, Reason.UNKNOWN_TICKER.name, HttpReason.STARTING
        ),
    },
    openapi_extra=CANDLES_PARAMETERS,
)
async def show_candles(request: Request, here: Here, ticker: str) -> Response:
    """Folded from the trades, by their log time; the newest candle may still be growing."""
    query = candles_query(request.query_params)
    if not all(here.model.is_caught_up(feed.name) for feed in (BOOK, TRADES)):
        raise _starting()
    if here.model.market.book_of(ticker) is None:
        raise _unknown_ticker(ticker)
    return _json(here.viewer.candles(ticker, query.interval, query.limit))


@router.get(
    "/tickers",
    tags=["market"],
    summary="List the tickers",
    responses={200: {"model": Tickers}, **problem_responses(HttpReason.STARTING)},
)
async def list_tickers(here: Here) -> Response:
    """Empty before the genesis."""
    if not here.model.is_caught_up(BOOK.name):
        raise _starting()
    return _json(here.viewer.tickers())


@router.get("/time", tags=["market"], summary="Tell the time", response_model=ServerTime)
async def tell_time() -> Response:
    """The gateway's clock; clients with another one can tell how far theirs is off."""
    return _json({"time_us": time.time_ns() // _NS_PER_US})


@router.get("/healthz", tags=["health"], summary="Is it alive?", response_model=Health)
async def show_health(here: Here) -> Response:
    """200 as long as the process answers."""
    return _json(_health(here, "alive"))


@router.get(
    "/readyz",
    tags=["health"],
    summary="Does it take orders?",
    responses={200: {"model": Health}, _UNAVAILABLE: {"model": Health}},
)
async def show_readiness(here: Here) -> Response:
    """503 until the feeds are read up to the present, and while the log is away."""
    is_ready = here.log.available and not here.model.behind and not here.desk.stopping
    view = _health(here, "ready" if is_ready else "not ready")
    return _json(view, 200 if is_ready else _UNAVAILABLE)


# --- the page. Not async: the framework calls these on a thread, and reading files may block.


@router.get("/", include_in_schema=False)
def show_page(here: Here) -> Response:
    return here.page.show()


@router.get(f"/{ASSETS}/{{name}}", include_in_schema=False)
def show_asset(here: Here, name: str) -> Response:
    return here.page.asset(name)


def _health(here: Gateway, status: str) -> View:
    return {
        "status": status,
        "log_available": here.log.available,
        "behind": here.model.behind,
    }


def _unknown_ticker(ticker: str) -> ProblemError:
    return problem(
        Reason.UNKNOWN_TICKER.name, f"{ticker[:40]!r} is not traded here; see GET /tickers"
    )


def _unknown_order(order_id: str) -> ProblemError:
    return problem(
        Reason.UNKNOWN_ORDER.name,
        f"no order {order_id[:64]!r} of this account is live or ended recently",
    )


def _starting() -> ProblemError:
    return problem(HttpReason.STARTING, "ask again shortly; GET /readyz says when")


def _json(view: View, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(view), status, headers, media_type="application/json")
