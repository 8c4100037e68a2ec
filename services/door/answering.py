"""An answer on its way out: every door's headers, and those that layers within want in it."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Scope, Send

from services.door.exchange import Exchange, RawHeader, exchange_of

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def raw_headers(headers: Mapping[str, str]) -> list[RawHeader]:
    """As ASGI has them: names in lower case."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_JSON: Final = (b"content-type", b"application/json")
_RAW_HEADERS: Final = tuple(raw_headers(SECURITY_HEADERS))
_PREPARED: Final = b"".join(b"%s: %s\r\n" % (name, value) for name, value in (_JSON, *_RAW_HEADERS))
_ANSWER: Final = "outcry.answer"


class Answer:
    """Passes an answer on with the headers added; remembers its status, 0 before it began."""

    __slots__ = ("_exchange", "_send", "headers", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._exchange: Exchange | None = exchange_of(scope)
        self.status = 0
        self.headers: list[RawHeader] = []
        """To be in it too, unless it says them itself; for whatever stands before the routes."""
        scope[_ANSWER] = self

    async def send(self, message: Message) -> None:
        """As ASGI's."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            given = {name for name, _ in headers}
            headers.extend(
                header for header in (*self.headers, *_RAW_HEADERS) if header[0] not in given
            )
        await self._send(message)

    async def send_json(self, status: int, body: bytes, *headers: RawHeader) -> None:
        """All of an answer in JSON at once; its headers are none that every answer has."""
        if self._exchange is not None and self._exchange.write(
            status, _PREPARED, (*headers, *self.headers), body
        ):
            self.status = status
            return
        length = (b"content-length", b"%d" % len(body))
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, length, _JSON],
        }
        await self.send(start)
        await self._send({"type": "http.response.body", "body": body})


def answer_of(scope: Scope) -> Answer:
    """That of this request, within the guard."""
    found: Answer = scope[_ANSWER]
    return found
