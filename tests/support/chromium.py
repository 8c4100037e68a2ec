"""A real browser, the machine's own, driven by Playwright."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import ConsoleMessage, Page, async_playwright

from tests.support.optional import require_program

WAIT_S: Final = 60
_FLAGS: Final = (
    "--no-sandbox",  # the tests may run as root, and load nothing but our own page
    "--disable-gpu",
    "--disable-dev-shm-usage",
)


class Tab:
    """One page of the browser, and what a person does with it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        """What the browser's console would show in red or yellow, and exceptions."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def open(self, address: str) -> None:
        await self.page.goto(address)

    async def ask(self, expression: str) -> Any:  # noqa: ANN401 - any value of JavaScript
        """The value of an expression in the page."""
        return await self.page.evaluate(expression)

    async def text(self, selector: str) -> str:
        """What a person reads there; empty where there is nothing."""
        found = await self.page.query_selector(selector)
        return "" if found is None else await found.inner_text()

    async def until_text(self, selector: str, *parts: str) -> str:
        """Wait until a person can read all of this there; returns the text."""
        found = ""
        try:
            async with asyncio.timeout(WAIT_S):
                while not all(part in found for part in parts):
                    await asyncio.sleep(0.05)
                    found = await self.text(selector)
        except TimeoutError:
            msg = f"{selector} shows {found!r}, without all of {parts}; {self.complaints}"
            raise AssertionError(msg) from None
        return found

    async def until(self, expression: str) -> None:
        """Wait until an expression holds; the browser's own way needs what our policy refuses."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not await self.ask(expression):  # noqa: ASYNC110 - a page sets no event here
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{expression} does not hold; {self.complaints}") from None

    async def press(self, key: str) -> None:
        """Press a key, where the focus is."""
        await self.page.keyboard.press(key)

    async def look(self, width: int, height: int, scheme: Literal["light", "dark"]) -> None:
        """Have a screen of this size, in pixels, and a colour scheme."""
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.page.emulate_media(color_scheme=scheme)

    async def picture(self, file: Path, *, is_whole_page: bool = False) -> None:
        """Write what is seen as PNG."""
        await self.page.screenshot(path=file, full_page=is_whole_page)


@asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """A browser with one empty tab; nothing of it is kept."""
    program = require_program("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            page = await browser.new_page()
            page.set_default_timeout(WAIT_S * 1_000)
            yield Tab(page)
        finally:
            await browser.close()
