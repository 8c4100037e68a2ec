"""The page as a person sees it, in a real browser.

OUTCRY_PICTURES=docs/images writes the pictures of the pages anew.
"""

from typing import Final

import pytest

from services.domain import codes
from services.domain.events import AccountState
from services.domain.genesis import TICKERS, default_genesis
from services.domain.reasons import Reason
from services.gateway.parts import Gateway
from tests.support.chromium import Tab, browsing
from tests.support.gateway_memory import (
    book,
    feed,
    feed_genesis,
    make_gateway,
    prediction,
    report,
    serving,
)
from tests.support.web_page import Bustle, build_page, now_us, predict, take_picture

pytestmark = pytest.mark.timeout(180)

TRADED_S: Final = 200


def make_market() -> tuple[Gateway, Bustle]:
    """AAPL in full swing, and the others with a book alone; alice has orders in two of them."""
    gateway, bustle = make_gateway(), Bustle("AAPL", 1_872_500)
    feed_genesis(gateway.model, default_genesis())
    bustle.trade_until_now(TRADED_S)
    bustle.feed(gateway.model)
    feed(gateway, *[book(ticker) for ticker in TICKERS[1:]])
    feed_orders(gateway)
    predict(gateway.model, "AAPL")
    return gateway, bustle


def feed_orders(gateway: Gateway) -> None:
    """Limits, an order that rests, one filled in part, one refused, and what they come to."""
    limits = AccountState(
        "alice", 1, "open-alice", killed=False, short_allowed=True, exposure_max=50_000_000_000,
        position_max=5_000, notional_max=10_000_000_000, tickers=(),
    )  # fmt: skip
    part = {"exec_type": codes.EXEC_TRADE, "order_status": codes.PARTIALLY_FILLED}
    msft = {"ticker": "MSFT", "order_id": "MSFT-3", "client_order_id": "a-3"}
    feed(
        gateway,
        limits,
        report(account_sequence=2, position_worst=300, notional_worst=561_750_000, quantity=300),
        report(
            account_sequence=3, **msft, **part, side=codes.SELL, price=4_101_000, quantity=2_400,
            cumulative_quantity=900, remaining_quantity=1_500, cumulative_notional=900 * 4_101_000,
            last_quantity=900, last_price=4_101_000, position=-900, mark=4_101_000,
            position_worst=2_400, notional_worst=9_842_400_000, exposure_worst=10_404_150_000,
        ),
        report(
            account_sequence=4, order_id="AAPL-9", client_order_id="a-9", price=1_400_000,
            exec_type=codes.EXEC_REJECTED, order_status=codes.REJECTED,
            reason=Reason.PRICE_OUTSIDE_COLLAR,
        ),
    )  # fmt: skip


async def test_the_page_shows_candles_and_beside_them_who_predicts_what() -> None:
    build_page()
    gateway, bustle = make_market()
    async with serving(gateway) as service, browsing() as tab:
        await tab.look(1280, 800, "light")
        await tab.open(f"http://127.0.0.1:{service.port}/")
        await tab.until_text("#status", "Live")
        said = await tab.until_text("#models", "version 3", "version 4", "Features")
        assert "direction_10s, version 3" in said
        assert said.index("version 3") < said.index("version 4 shadow")
        assert [share for share in ("12.5 %", "25.0 %", "62.5 %") if share not in said] == []
        candle = await tab.until_text("#candle", "C ")
        assert f"C {bustle.price / 10_000:.2f}" in candle
        assert await tab.ask("document.querySelectorAll('#bids tbody tr').length") == 10
        await _sign_in(tab)
        predict(gateway.model, "AAPL")
        await take_picture(tab, "page.png", is_whole_page=True)
        await _follow(tab, gateway, bustle)
        await _choose_by_keys(tab, gateway)
        await _on_a_phone(tab, gateway)
        assert tab.complaints == []
        await tab.ask("document.body.append(Object.assign(document.createElement('script'),"
                      " {textContent: 'document.title = 1'}))")  # fmt: skip
        assert await tab.ask("document.title") != "1"
        (complaint,) = tab.complaints
        assert "Content Security Policy" in complaint


async def _sign_in(tab: Tab) -> None:
    """By the keyboard; then the account's own is there."""
    await tab.page.focus("#who-secret")
    await tab.page.keyboard.type("alice")
    await tab.press("Enter")
    await tab.until_text("#orders-count", "2 open")
    await tab.until_text("#open-orders", "▼ sell", "410.10", "900 / 2,400", "partially filled")
    await tab.until_text("#ended-orders", "140.00", "rejected", "PRICE_OUTSIDE_COLLAR")
    await tab.until_text("#portfolio", "$1,040,415 of $5,000,000 used, $3,959,585 left")
    await tab.until_text("#holdings", "MSFT", "-900 shares", "2,400 of 5,000 used, 2,600 left")
    await tab.page.fill("#ticket-quantity", "100")
    await tab.page.fill("#ticket-price", "187.25")
    await tab.ask("document.activeElement.blur()")


async def _follow(tab: Tab, gateway: Gateway, bustle: Bustle) -> None:
    """What happens now is seen now."""
    bustle.trade(now_us(), 4)
    bustle.feed(gateway.model, len(bustle.history) - 1)
    shown = f"{bustle.price / 10_000:.2f}"
    await tab.until_text("#candle", f"C {shown}")
    await tab.until_text("#trades tr:first-child", shown)
    await tab.until_text("#asks tbody tr:first-child", f"{bustle.price / 10_000 + 0.01:.2f}")
    feed(gateway, prediction(grid_time_us=now_us(), predicted_class=0))
    await tab.until_text(".model.down", "version 3")


async def _choose_by_keys(tab: Tab, gateway: Gateway) -> None:
    """Another ticker by the arrow keys; no model has spoken about it, then one of old features."""
    await tab.ask("document.querySelector('#tickers input').focus()")
    await tab.press("ArrowRight")
    await tab.until_text("#models", "No predictions yet", "GOOGL")
    await tab.until_text("#candle", "no trade yet")
    assert await tab.ask("document.title") == "GOOGL · Outcry"
    predict(gateway.model, "GOOGL", age_us=20_000_000)
    await tab.until_text("#models", "Features 20 s old")
    assert await tab.text(".age.stale") == ""
    predict(gateway.model, "GOOGL", age_us=10_000_000, is_degraded=True)
    await tab.until_text(".age.stale", "Features 10 s old")
    predict(gateway.model, "MSFT", age_us=90_000_000)
    await tab.press("ArrowRight")
    await tab.until_text("#models", "version 4")
    assert await tab.ask("document.querySelectorAll('.age.stale').length") == 2


async def _on_a_phone(tab: Tab, gateway: Gateway) -> None:
    """In one column, with nothing to push aside."""
    await tab.ask("document.activeElement.blur()")
    await tab.ask("document.querySelector('#tickers input').click()")
    predict(gateway.model, "AAPL")
    await tab.until_text(".model.up", "version 3")
    await tab.look(390, 844, "dark")
    assert await tab.ask("document.documentElement.scrollWidth") == 390
    places = await tab.ask(
        "[...document.querySelectorAll('#market section')].map(s => s.getBoundingClientRect())"
        ".map(box => [box.left, box.width].join())"
    )
    assert len(places) == 7
    assert len(set(places)) == 1
    await take_picture(tab, "page-phone.png", is_whole_page=True)


async def test_the_page_survives_the_gateway_and_goes_on_where_it_was() -> None:
    build_page()
    gateway, bustle = make_market()
    async with browsing() as tab:
        async with serving(gateway) as service:
            port = service.port
            await tab.open(f"http://127.0.0.1:{port}/")
            await tab.until_text("#status", "Live")
            await tab.until_text("#candle", "C ")
        await tab.until_text("#status", "Not connected", "Next try in")
        for ticks in (3, -200, 7):
            bustle.trade(now_us(), ticks)
        again = make_gateway(gateway_port=port)
        bustle.feed(again.model)
        predict(again.model, "AAPL")
        async with serving(again):
            await tab.until_text("#status", "Live")
            shown = f"{bustle.price / 10_000:.2f}"
            await tab.until_text("#candle", f"C {shown}")
            await tab.until_text("#trades tr:first-child", shown)
            await tab.until_text("#models", "version 3")
            assert await tab.ask("document.body.dataset.connection") == "live"
        others = [said for said in tab.complaints if "WebSocket" not in said]
        assert others == []
