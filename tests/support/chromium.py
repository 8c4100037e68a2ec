"""A real browser, over its DevTools protocol: enough of it to look at the page and use it."""

import asyncio
import base64
import json
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.optional import require_program

WAIT_S: Final = 60
_MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024
_CLOSE_S: Final = 10
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root, and load nothing but our own page
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._calls = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """What the browser's console would show in red or yellow, and exceptions."""

    async def read(self) -> None:
        """Take what the browser says, until it is gone."""
        async for text in self._socket:
            said = json.loads(text)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
                continue
            match said["method"]:
                case "Log.entryAdded" if said["params"]["entry"]["level"] in ("error", "warning"):
                    self.complaints.append(said["params"]["entry"]["text"])
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(said["params"]["exceptionDetails"]))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Have the browser do something; returns what it answers."""
        self._calls += 1
        answer = self._answers[self._calls] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        said = await asyncio.wait_for(answer, WAIT_S)
        assert "error" not in said, (method, said)
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, address: str) -> None:
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=address)

    async def ask(self, expression: str) -> Any:  # noqa: ANN401 - any value of JavaScript
        """The value of an expression in the page."""
        said = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def text(self, selector: str) -> str:
        """What a person reads there; empty where there is nothing."""
        found = await self.ask(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return str(found)

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

    async def press(self, key: str) -> None:
        """Press a key, where the focus is."""
        code = {"ArrowRight": 39, "Tab": 9}[key]
        for kind in ("rawKeyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=code,
            )  # fmt: skip

    async def look(self, width: int, height: int, scheme: str, *, is_phone: bool = False) -> None:
        """Have a screen of this size, in pixels, and a colour scheme, light or dark."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=is_phone,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[feature])

    async def picture(self, file: Path, *, is_whole_page: bool = False) -> None:
        """Write what is seen as PNG."""
        said = await self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=is_whole_page
        )
        await asyncio.to_thread(file.write_bytes, base64.b64decode(said["data"]))


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Tab]:
    """A browser with one empty tab; its profile is thrown away with `profile`."""
    program = require_program("chromium")
    process = await asyncio.create_subprocess_exec(
        program, *_FLAGS, f"--user-data-dir={profile}", "about:blank",
        stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip
    try:
        address = await _address_of_tab(process, profile)
        async with connect(address, max_size=_MESSAGE_BYTES_MAX, proxy=None) as socket:
            tab = Tab(socket)
            reading = asyncio.create_task(tab.read())
            try:
                yield tab
                await tab.call("Browser.close")
            finally:
                reading.cancel()
    finally:
        await _end(process)


async def _address_of_tab(process: Process, profile: Path) -> str:
    said = profile / "DevToolsActivePort"
    async with asyncio.timeout(WAIT_S), httpx.AsyncClient(trust_env=False) as client:
        while not (said.exists() and said.read_text().count("\n")):
            assert process.returncode is None, "the browser ended at once"
            await asyncio.sleep(0.05)
        port = said.read_text().split()[0]
        while True:
            tabs = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
            for tab in tabs:
                if tab["type"] == "page":
                    return str(tab["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


async def _end(process: Process) -> None:
    try:
        async with asyncio.timeout(_CLOSE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
