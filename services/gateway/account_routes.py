"""Paths of what is the caller's own: orders, fills, positions, limits."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.domain.ids import is_order_id, is_valid_id
from services.domain.reasons import Reason
from services.gateway.answers import (
    json_answer,
    starting,
    unknown_account,
    unknown_order,
    unknown_order_here,
)
from services.gateway.caller import AccountName
from services.gateway.documents import AUTHORISED, READ_ORDER, problem_responses
from services.gateway.models import Fills, Limits, Order, Orders, Positions
from services.gateway.pages import fills_page, orders_page
from services.gateway.parts import Gateway, Here
from services.gateway.problems import HttpReason
from services.gateway.queries import FILLS, ORDERS, page_query, parameters
from services.gateway.standing import limits_view, positions_view
from services.gateway.strict_route import StrictRoute
from services.gateway.views import View
from services.wire.topics import BOOK, EXECUTIONS

_MS_PER_S: Final = 1_000
_STANDING = problem_responses(*AUTHORISED, Reason.UNKNOWN_ACCOUNT.name, HttpReason.STARTING)

router = APIRouter(tags=["account"], route_class=StrictRoute)


@router.get(
    "/orders",
    summary="List orders",
    responses={200: {"model": Orders}, **problem_responses(*AUTHORISED, HttpReason.STARTING)},
    openapi_extra=parameters(*ORDERS),
)
async def list_orders(request: Request, here: Here, account: AccountName) -> Response:
    """The caller's own, newest first: all live ones, and for a while those that ended.

    `since_us` and `until_us` are about `updated_at_us`. An order sent just now, of which risk has
    not spoken, is at its own path and not here yet.

    A page with a `next_cursor` may be short, or empty, where few orders pass the filters.
    """
    query = page_query(request.query_params, ORDERS)
    _require_caught_up(here)
    return json_answer(orders_page(here.viewer, account, query))


@router.get(
    "/orders/{order_id}",
    summary="Show an order",
    responses={200: {"model": Order}, **problem_responses(*AUTHORISED, *READ_ORDER)},
)
async def show_order(here: Here, account: AccountName, order_id: str) -> Response:
    """The caller's own orders only: live ones, and for a while those that ended.

    Several gateways answer here where the operator runs several. One of them knows of an order
    that another took once risk has spoken of it: it is waited for, for a second as shipped. A 404
    after that has Retry-After.
    """
    found = here.viewer.order(account, order_id)
    if found is not None or not _may_be_elsewhere(here, order_id):
        return _show(here, found, order_id)
    _require_caught_up(here)
    with here.verdicts.expect_order(account, order_id) as sight:
        await sight.wait(
            here.settings.gateway_elsewhere_wait_ms / _MS_PER_S, here.verdicts.stopping
        )
    found = here.viewer.order(account, order_id)
    if found is None:
        raise unknown_order_here(order_id)
    return json_answer(found)


@router.get(
    "/orders/by-client-order-id/{client_order_id}",
    summary="Show an order by the client's own id",
    responses={200: {"model": Order}, **problem_responses(*AUTHORISED, *READ_ORDER)},
)
async def show_order_by_client_id(
    here: Here, account: AccountName, client_order_id: str
) -> Response:
    """What became of an order whose placing was answered with OUTCOME_UNKNOWN, or not at all.

    A 404 says that it is not known yet. Certainty comes from placing it again under the same id,
    which is safe: it is one order.
    """
    found = None
    if is_valid_id(client_order_id):
        found = here.viewer.order_by_client_id(account, client_order_id)
    if found is None and not here.model.is_caught_up(BOOK.name):
        raise starting()
    return _show(here, found, client_order_id)


@router.get(
    "/fills",
    summary="List fills",
    responses={200: {"model": Fills}, **problem_responses(*AUTHORISED, HttpReason.STARTING)},
    openapi_extra=parameters(*FILLS),
)
async def list_fills(request: Request, here: Here, account: AccountName) -> Response:
    """The caller's own, the newest first. `since_us` and `until_us` are about `filled_at_us`."""
    query = page_query(request.query_params, FILLS)
    _require_caught_up(here)
    return json_answer(fills_page(here.viewer, account, query))


@router.get(
    "/positions",
    summary="Show positions, and the limits used and left",
    responses={200: {"model": Positions}, **_STANDING},
)
async def show_positions(here: Here, account: AccountName) -> Response:
    """As risk's newest reports say them; what a limit leaves is what an order may still use."""
    return _show_standing(here, account, positions_view(here.viewer, account))


@router.get(
    "/account",
    summary="Show the account's limits",
    responses={200: {"model": Limits}, **_STANDING},
)
async def show_limits(here: Here, account: AccountName) -> Response:
    """The three limits, and those of tickers that have their own."""
    return _show_standing(here, account, limits_view(here.viewer, account))


def _may_be_elsewhere(here: Gateway, order_id: str) -> bool:
    return here.settings.gateway_processes > 1 and is_order_id(order_id)


def _show(here: Gateway, view: View | None, asked: str) -> Response:
    if view is None:
        _require_caught_up(here)
        raise unknown_order(asked)
    return json_answer(view)


def _show_standing(here: Gateway, account: str, view: View | None) -> Response:
    _require_caught_up(here)
    if view is None:
        raise unknown_account(account)
    return json_answer(view)


def _require_caught_up(here: Gateway) -> None:
    if not here.model.is_caught_up(EXECUTIONS.name):
        raise starting()
