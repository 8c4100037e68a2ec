"""Paths of what everybody may see: tickers, books, candles, the time."""

import time
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.domain.reasons import Reason
from services.gateway.answers import json_answer, starting, unknown_ticker
from services.gateway.documents import problem_responses
from services.gateway.models import Book, Candles, PublicTrades, ServerTime, Tickers
from services.gateway.parts import Gateway, Here
from services.gateway.problems import HttpReason
from services.gateway.queries import (
    BOOK_DEPTH,
    CANDLES,
    RECENT_TRADES,
    candles_query,
    parameters,
    read_query,
)
from services.gateway.strict_route import StrictRoute
from services.wire.topics import BOOK, CONTROLS, TRADES

_NS_PER_US: Final = 1_000
_OF_A_TICKER: Final = (Reason.UNKNOWN_TICKER.name, HttpReason.STARTING)

router = APIRouter(tags=["market"], route_class=StrictRoute)


@router.get(
    "/book/{ticker}",
    summary="Show a ticker's depth",
    responses={
        200: {"model": Book},
        **problem_responses(*_OF_A_TICKER),
    },
    openapi_extra=parameters(*BOOK_DEPTH),
)
async def show_book(request: Request, here: Here, ticker: str) -> Response:
    """The best prices of each side, as they were after the `matching` offset stated."""
    depth = read_query(request.query_params, BOOK_DEPTH)["depth"]
    view = here.viewer.book(ticker, depth)
    if view is None:
        if not here.model.is_caught_up(BOOK.name):
            raise starting()
        raise unknown_ticker(ticker)
    return json_answer(view)


@router.get(
    "/trades/{ticker}",
    summary="Show a ticker's latest trades",
    responses={200: {"model": PublicTrades}, **problem_responses(*_OF_A_TICKER)},
    openapi_extra=parameters(*RECENT_TRADES),
)
async def show_trades(request: Request, here: Here, ticker: str) -> Response:
    """Oldest first, without accounts and orders; as many as the gateway keeps, at most."""
    limit = read_query(request.query_params, RECENT_TRADES)["limit"]
    _require_traded(here, ticker)
    return json_answer(here.viewer.trades(ticker, limit))


@router.get(
    "/candles/{ticker}",
    summary="Show a ticker's candles",
    responses={
        200: {"model": Candles},
        **problem_responses(*_OF_A_TICKER),
    },
    openapi_extra=parameters(*CANDLES),
)
async def show_candles(request: Request, here: Here, ticker: str) -> Response:
    """Folded from the trades, by their log time; the newest candle may still be growing."""
    query = candles_query(request.query_params)
    _require_traded(here, ticker)
    return json_answer(here.viewer.candles(ticker, query.interval, query.limit))


@router.get(
    "/tickers",
    summary="List the tickers",
    responses={200: {"model": Tickers}, **problem_responses(HttpReason.STARTING)},
)
async def list_tickers(here: Here) -> Response:
    """Empty before the genesis."""
    if not all(here.model.is_caught_up(feed.name) for feed in (BOOK, CONTROLS)):
        raise starting()
    return json_answer(here.viewer.tickers())


@router.get(
    "/time",
    summary="Tell the time",
    responses={200: {"model": ServerTime}, **problem_responses()},
)
async def tell_time() -> Response:
    """The gateway's clock; clients with another one can tell how far theirs is off."""
    return json_answer({"time_us": time.time_ns() // _NS_PER_US})


def _require_traded(here: Gateway, ticker: str) -> None:
    if not all(here.model.is_caught_up(feed.name) for feed in (BOOK, TRADES)):
        raise starting()
    if not here.model.market.has_book(ticker):
        raise unknown_ticker(ticker)
