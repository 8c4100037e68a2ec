"""Who asks, and the order ticket, in a real browser before a gateway on a log in memory.

What becomes of orders is shown on the real stack, in tests/integration/gateway.
"""

from typing import Final

import pytest

from services.domain.genesis import TICKERS, default_genesis
from services.gateway.parts import Gateway
from services.gateway.ports import LogUnavailableError, OutcomeUnknownError
from tests.support.chromium import Tab, browsing
from tests.support.gateway_keys import ALICE, ALICE_READS, MemoryKeys, make_ring
from tests.support.gateway_memory import (
    MemoryCommandLog,
    book,
    feed,
    feed_genesis,
    make_gateway,
    report,
    serving,
)
from tests.support.web_page import build_page

pytestmark = pytest.mark.timeout(180)

WRONG: Final = ALICE.key[:-1] + "x"


def fill(gateway: Gateway) -> None:
    feed_genesis(gateway.model, default_genesis())
    feed(gateway, *[book(ticker) for ticker in TICKERS], report())


async def sign_in(tab: Tab, secret: str) -> None:
    await tab.page.fill("#who-secret", secret)
    await tab.press("Enter")


async def test_a_key_says_who_one_is_and_stays_in_the_tab_until_it_counts_no_more() -> None:
    build_page()
    source = MemoryKeys()
    ring = await make_ring(source)
    gateway = make_gateway(ring=ring, gateway_access="keys")
    fill(gateway)
    async with serving(gateway) as service, browsing() as tab:
        await tab.open(f"http://127.0.0.1:{service.port}/")
        await tab.until_text("#status", "Live")
        assert await tab.text("#orders-hint") == "Nobody's, until you say who you are, at the top."
        await sign_in(tab, "two words")
        await tab.until_text("#who-problem", "Neither a key")
        await sign_in(tab, "alice")
        await tab.until_text("#who-problem", "KEY_REQUIRED", "`outcry keys create` makes one")
        await sign_in(tab, WRONG)
        await tab.until_text("#who-problem", "KEY_REFUSED", "unknown, revoked or expired")
        assert await tab.ask("document.querySelector('#who-secret').type") == "password"
        assert await tab.ask("sessionStorage.length") == 0
        await sign_in(tab, ALICE_READS.key)
        await tab.until_text("#who-told", "alice (read)")
        await tab.until_text("#ticket-hint", "lacks the scope trade")
        await tab.until_text("#open-orders", "▲ buy", "187.25", "0 / 100", "new")
        assert await tab.ask("document.querySelector('#orders button:not([hidden])')") is None
        await tab.page.reload()
        await tab.until_text("#who-told", "alice (read)")
        await _kept_nowhere_else(tab, ALICE_READS.key)
        source.revoke(ALICE_READS)
        await ring.refresh()
        gateway.entry.close_ended()
        await tab.until_text("#who-problem", "the key was revoked or has expired")
        await tab.until_text("#orders-hint", "until you say who you are")
        await tab.until_text("#status", "Live")
        assert await tab.ask("sessionStorage.length") == 0
        await sign_in(tab, ALICE.key)
        await tab.until_text("#who-told", "alice (read, trade)")
        await tab.page.click("#who-leave")
        await tab.until_text("#orders-hint", "until you say who you are")
        assert await tab.ask("sessionStorage.length") == 0
        others = [said for said in tab.complaints if " 401 " not in said]
        assert others == []


async def _kept_nowhere_else(tab: Tab, key: str) -> None:
    for place in ("location.href", "document.documentElement.outerHTML", "document.cookie"):
        assert key not in await tab.ask(place)
    assert await tab.ask("document.querySelector('#who-secret').value") == ""
    assert await tab.ask("localStorage.length") == 0
    entries = "performance.getEntries().map(entry => entry.name).join()"
    assert key not in await tab.ask(entries)


async def test_a_ticket_checks_what_it_sends_and_sends_what_is_unknown_again_under_its_id() -> None:
    build_page()
    log = MemoryCommandLog()
    gateway = make_gateway(log)
    fill(gateway)
    async with serving(gateway) as service, browsing() as tab:
        await tab.open(f"http://127.0.0.1:{service.port}/")
        await tab.until_text("#status", "Live")
        await sign_in(tab, "alice")
        await tab.until_text("#ticket-send", "Buy AAPL")
        await _check_first(tab, log)
        log.failure = OutcomeUnknownError("planted")
        await tab.page.fill("#ticket-price", "187.25")
        await tab.press("Enter")
        said = await tab.until_text("#ticket-told", "not known whether", "OUTCOME_UNKNOWN")
        assert "Sending it again is safe" in said
        await tab.page.reload()
        await tab.until_text("#ticket-told", "not known whether", "loaded again")
        assert await tab.ask("document.querySelector('#ticket-send').hidden")
        log.failure = LogUnavailableError("planted")
        await tab.page.click("#ticket-again")
        await tab.until_text("#ticket-told", "not known whether", "LOG_UNAVAILABLE")
        log.failure = None
        await tab.page.click("#ticket-again")
        await tab.until_text("#ticket-told", "It is durable")
        (command,) = log.commands()
        assert command.client_order_id.startswith("page-")
        assert (command.account, command.price, command.quantity) == ("alice", 1_872_500, 100)
        assert not await tab.ask("document.querySelector('#ticket-send').hidden")
        assert await tab.ask("Object.keys(sessionStorage).join()") == "outcry.credential"
        others = [said for said in tab.complaints if " 50" not in said]
        assert others == []


async def _check_first(tab: Tab, log: MemoryCommandLog) -> None:
    """What can't be taken is told beside its field, by keys alone, and not sent."""
    await tab.ask("document.querySelector('#ticket-quantity').focus()")
    await tab.page.keyboard.type("100")
    await tab.press("Tab")
    await tab.page.keyboard.type("187.255")
    await tab.press("Enter")
    await tab.until_text("#ticket-price-fault", "OFF_TICK: The price is between two ticks")
    assert await tab.ask("document.activeElement.id") == "ticket-price"
    assert await tab.ask("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert await tab.text("#ticket-quantity-fault") == ""
    assert log.records == []
    await tab.page.select_option("#ticket-type", "MARKET")
    assert await tab.ask("document.querySelector('#ticket-force').value") == "IOC"
    assert await tab.ask("document.querySelector('#ticket-price').disabled")
    await tab.page.select_option("#ticket-type", "LIMIT")
    await tab.page.select_option("#ticket-force", "GTC")
