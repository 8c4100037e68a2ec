import time

import pytest

from services.wire.topics import TRADES
from tests.support.gateway_memory import (
    book,
    feed,
    feed_model,
    make_client,
    make_gateway,
    origin,
    trade,
)

T_US = 1_790_000_000_000_000


async def test_candles_are_shown_with_exact_prices_and_what_they_count_in() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    for number, at_us in enumerate([0, 400_000, 1_000_000, 3_000_000]):
        feed_model(gateway.model, trade(number), origin(sequence=number + 1, time_us=T_US + at_us))
    async with make_client(gateway, account=None) as client:
        shown = (await client.get("/candles/AAPL?interval=1s&limit=2")).json()
        minute = (await client.get("/candles/AAPL")).json()
    flat = {"open": "187.25", "high": "187.25", "low": "187.25", "close": "187.25", "trades": 1}
    assert shown == {
        "ticker": "AAPL",
        "interval": "1s",
        "trade_sequence": 4,
        "candles": [
            flat | {"open_time_us": T_US + 1_000_000, "volume": 12, "is_partial": False},
            flat | {"open_time_us": T_US + 3_000_000, "volume": 13, "is_partial": False},
        ],
    }
    assert [(c["trades"], c["volume"]) for c in minute["candles"]] == [(4, 46)]


async def test_a_ticker_without_trades_has_no_candles() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    async with make_client(gateway, account=None) as client:
        shown = (await client.get("/candles/AAPL")).json()
    assert (shown["candles"], shown["trade_sequence"]) == ([], None)


@pytest.mark.parametrize(
    "query,pointer",
    [
        ("interval=5m", "query:interval"),
        ("interval=", "query:interval"),
        ("interval=1s&interval=1m", "query:interval"),
        ("limit=0", "query:limit"),
        ("limit=1001", "query:limit"),
        ("limit=-1", "query:limit"),
        ("limit=1e2", "query:limit"),
        ("limit=" + "9" * 5_000, "query:limit"),
        ("limit=%D9%A1", "query:limit"),
        ("from=0", "query:from"),
    ],
)
async def test_a_bad_query_is_refused_by_the_name_of_its_parameter(
    query: str, pointer: str
) -> None:
    gateway = make_gateway()
    feed(gateway, book())
    async with make_client(gateway, account=None) as client:
        response = await client.get(f"/candles/AAPL?{query}")
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (400, "INVALID_PARAMETER")
    assert problem["pointer"] == pointer


async def test_candles_of_a_ticker_that_is_not_traded_are_not_found() -> None:
    async with make_client(make_gateway(), account=None) as client:
        response = await client.get("/candles/NOPE")
    assert (response.status_code, response.json()["reason"]) == (404, "UNKNOWN_TICKER")


async def test_no_candle_is_shown_before_the_trades_are_read() -> None:
    gateway = make_gateway()
    feed(gateway, book())
    gateway.model._behind.add(TRADES.name)
    async with make_client(gateway, account=None) as client:
        response = await client.get("/candles/AAPL")
    assert (response.status_code, response.json()["reason"]) == (503, "STARTING")


async def test_the_time_is_the_gateways() -> None:
    before_us = time.time_ns() // 1_000
    async with make_client(make_gateway(), account=None) as client:
        told_us = (await client.get("/time")).json()["time_us"]
    assert before_us <= told_us <= time.time_ns() // 1_000
