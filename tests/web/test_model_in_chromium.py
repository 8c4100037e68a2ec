"""The page's view of the model, in a real browser and from a real PostgreSQL.

OUTCRY_PICTURES=docs/images writes its pictures anew.
"""

from pathlib import Path

import pytest

from services.domain.genesis import TICKERS
from services.gateway.parts import Gateway
from tests.support.chromium import Tab, browsing
from tests.support.drift_history import (
    CHANGED_AT,
    RETRAINED_AT,
    WINDOWS,
    data_job,
    drift_database,
    fill,
)
from tests.support.gateway_memory import book, feed, make_gateway, serving
from tests.support.web_page import build_page, take_picture

pytestmark = pytest.mark.timeout(180)


def gateway_of(dsn: str | None, home: Path) -> Gateway:
    gateway = make_gateway(pg_dsn=dsn, home=home)
    feed(gateway, *[book(ticker) for ticker in TICKERS])
    return gateway


@pytest.mark.kafka
async def test_the_model_view_shows_drift_performance_alarms_and_reports(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    build_page()
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    with drift_database(server) as dsn:
        fill(dsn, tmp_path)
        async with serving(gateway_of(dsn, tmp_path)) as service, browsing() as tab:
            await tab.look(1440, 1180, "light")
            await tab.open(f"http://127.0.0.1:{service.port}/")
            await _turn_by_keys(tab)
            await _verdicts_and_charts(tab)
            await take_picture(tab, "model.png")
            await _history(tab)
            await _on_a_phone(tab)
            assert tab.complaints == []
            await _report(tab, f"http://127.0.0.1:{service.port}")


async def _turn_by_keys(tab: Tab) -> None:
    await tab.until_text("#status", "Live")
    await tab.ask("document.querySelector('#views input').focus()")
    await tab.press("ArrowRight")
    await tab.until_text("#verdicts", "ok")
    assert await tab.ask("location.hash") == "#model"
    assert not await tab.page.is_visible("#market")


async def _verdicts_and_charts(tab: Tab) -> None:
    said = await tab.until_text("#verdicts", "Data", "Parity", "Performance")
    assert "? log cut" in said
    assert "✓ ok" in said
    colours = await tab.ask(
        "['good', 'unsure'].map(tone => getComputedStyle("
        "document.querySelector('.outcome.' + tone)).color)"
    )
    assert len(set(colours)) == 2
    ratio = data_job(WINDOWS - 1).job.ratio
    assert f"{ratio:.2f}" in await tab.until_text("#ratio", "above 1 is an alarm")
    await tab.until_text("#score", "v4: 0.4", "promised 0.408", "last_move 0.355")
    marks = await tab.ask("document.querySelector('#versions').textContent")
    assert [mark.split()[0] for mark in marks.split(", ")] == ["v3", "v4"]
    shown = await tab.until_text("#figures", "v4, champion", "last move", "v5, shadow", "AAPL")
    assert "[" in shown
    await tab.until_text("#figures-of", "of the window to")
    sizes = await tab.ask(
        "['ratio', 'score'].map(name => document.querySelector(`#${name}-canvas canvas`).width)"
    )
    assert min(sizes) > 300


async def _history(tab: Tab) -> None:
    """Alarms first; all of it by choice, page by page; of a ticker that nobody looked at, none."""
    lines = "document.querySelectorAll('#history tr').length"
    changed = RETRAINED_AT - CHANGED_AT
    assert await tab.ask(lines) == 2 * changed
    await tab.until_text("#history", "! fallen", "! drift")
    await tab.until_text("#actions", "retrain, version 3", "promoted", "cooling down")
    await tab.page.select_option("#of-job", "data")
    await tab.until(f"{lines} === {changed}")
    assert "AAPL spread, location" in await tab.text("#history")
    await tab.page.select_option("#of-ticker", "NVDA")
    await tab.until_text("#no-history", "No such window")
    await tab.page.select_option("#of-ticker", "")
    await tab.page.select_option("#of-job", "")
    await tab.page.uncheck("#only-alarms")
    await tab.until(f"{lines} === 50")
    await tab.page.click("#older")
    await tab.until(f"{lines} === {2 * WINDOWS + 3}")
    assert not await tab.page.is_visible("#older")


async def _on_a_phone(tab: Tab) -> None:
    await tab.page.check("#only-alarms")
    await tab.until("document.querySelectorAll('#history tr').length === 12")
    await tab.ask("document.activeElement.blur()")
    await tab.look(390, 844, "dark")
    assert await tab.ask("document.documentElement.scrollWidth") == 390
    lefts = await tab.ask(
        "[...document.querySelectorAll('#model section')].map(s => s.getBoundingClientRect().left)"
    )
    assert len(lefts) == 6
    assert len(set(lefts)) == 1
    await take_picture(tab, "model-phone.png", is_whole_page=True)


async def _report(tab: Tab, origin: str) -> None:
    """Its scripts run, and belong to nobody: no origin, and nothing to be reached."""
    link = await tab.page.get_attribute("#history a", "href")
    await tab.open(f"{origin}{link}")
    await tab.until_text("#said", "origin null")
    await tab.until("document.title === 'cut off'")


async def test_without_results_the_view_says_why_and_shows_no_green(tmp_path: Path) -> None:
    build_page()
    async with browsing() as tab, serving(gateway_of(None, tmp_path)) as service:
        await tab.open(f"http://127.0.0.1:{service.port}/#model")
        await tab.until_text("#model-told", "runs without PostgreSQL")
        assert await tab.ask("document.querySelectorAll('#model .outcome').length") == 0
        assert not await tab.page.is_visible("#market")
        # Before the gateway goes: what the page asks for then is refused by nobody.
        refused = [said for said in tab.complaints if "503" not in said]
        assert [said for said in refused if "WebSocket" not in said] == []


@pytest.mark.kafka
async def test_an_empty_ledger_is_told_as_one_and_what_comes_is_shown(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    build_page()
    server = request.getfixturevalue("stack_infra").addresses.pg_dsn
    with drift_database(server) as dsn:
        gateway = gateway_of(dsn, tmp_path)
        async with serving(gateway) as service, browsing() as tab:
            await tab.open(f"http://127.0.0.1:{service.port}/#model")
            await tab.until_text("#model-state", "Nothing has been judged yet", "outcry drift run")
            fill(dsn, tmp_path)
            await tab.ask("location.hash = ''")
            await tab.ask("location.hash = '#model'")
            await tab.until_text("#verdicts", "✓ ok")
            assert not await tab.page.is_visible("#model-state")
