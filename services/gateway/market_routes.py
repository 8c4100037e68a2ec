"""Paths of what everybody may see: tickers, books, candles, the time."""

import time
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.domain.reasons import Reason
from services.gateway.answers import json_answer, starting, unknown_ticker
from services.gateway.documents import problem_responses
from services.gateway.models import Book, Candles, ServerTime, Tickers
from services.gateway.parts import Here
from services.gateway.problems import HttpReason
from services.gateway.queries import CANDLES_PARAMETERS, candles_query
from services.wire.topics import BOOK, TRADES

_NS_PER_US: Final = 1_000

router = APIRouter(tags=["market"])


@router.get(
    "/book/{ticker}",
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
            raise starting()
        raise unknown_ticker(ticker)
    return json_answer(view)


@router.get(
    "/candles/{ticker}",
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
        raise starting()
    if here.model.market.book_of(ticker) is None:
        raise unknown_ticker(ticker)
    return json_answer(here.viewer.candles(ticker, query.interval, query.limit))


@router.get(
    "/tickers",
    summary="List the tickers",
    responses={200: {"model": Tickers}, **problem_responses(HttpReason.STARTING)},
)
async def list_tickers(here: Here) -> Response:
    """Empty before the genesis."""
    if not here.model.is_caught_up(BOOK.name):
        raise starting()
    return json_answer(here.viewer.tickers())


@router.get("/time", summary="Tell the time", response_model=ServerTime)
async def tell_time() -> Response:
    """The gateway's clock; clients with another one can tell how far theirs is off."""
    return json_answer({"time_us": time.time_ns() // _NS_PER_US})
