"""One request at the server itself, for who has all of its answer at once.

ASGI hands a body over in messages and takes an answer in two, of which the server checks each
header by two regular expressions: a quarter of what an order costs. Where there is an exchange in
the scope, a body that is wholly there is taken, and an answer written, in one step each.
"""

import re
from collections.abc import Iterable
from typing import Final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

type RawHeader = tuple[bytes, bytes]
"""A header as ASGI has it: its name in lower case."""

EXCHANGE: Final = "outcry.exchange"
"""In a request's scope; missing where another server, or a test, asks."""
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


class Exchange:
    """Beside `receive` and `send`; whatever it declines is for these. Called on the event loop."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def take_body(self, length: int) -> bytes | None:
        """The body of the length that was announced; None: ask `receive`.

        Also None once anybody took it or a part of it, for then so many bytes are not there.
        """
        cycle = self._cycle
        is_there = not cycle.more_body and len(cycle.body) == length
        if not is_there or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        # As `receive` does: the next one to ask waits for the client to hang up.
        cycle.message_event.clear()
        return body

    def write(
        self, status: int, prepared: bytes, headers: Iterable[RawHeader], body: bytes
    ) -> bool:
        """Answer; False: nothing was written, use `send`.

        `prepared` are headers as they go over the line, each with its end; none of either may say
        how long the body is or what becomes of the connection.
        """
        cycle = self._cycle
        if cycle.response_started or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        if cycle.disconnected:
            return True  # nobody listens any more, as with `send`
        parts = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            if _CONTROL.search(value):
                raise ValueError("a header's value has a control character")
            parts += (name, b": ", value, b"\r\n")
        ending = b"\r\n\r\n" if cycle.keep_alive else b"\r\nconnection: close\r\n\r\n"
        parts += (prepared, b"content-length: %d" % len(body), ending, body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True


def exchange_of(scope: Scope) -> Exchange | None:
    """That of this request, if its server has one."""
    found: Exchange | None = scope.get(EXCHANGE)
    return found
