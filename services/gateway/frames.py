"""A WebSocket whose messages can be written at once, past the framework and without a task.

What hundreds of clients hear at the same time would otherwise wake a task for each of them, and be
turned into text, an event and bytes again each time.
"""

from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

EXTENSION: Final = "outcry.frames"
"""Where an ASGI scope has its socket."""
_TEXT: Final = b"\x81"
"""The last and only frame of a text message (RFC 6455, 5.2); a server masks nothing."""
_LENGTH_MAX: Final = 125
_LENGTH_16: Final = b"\x7e"
_LENGTH_16_MAX: Final = 65_535
_LENGTH_64: Final = b"\x7f"


class FramedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, for its setting `ws`; stands in the scope's extensions, too."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # else the handshake was refused, and there is no scope
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[EXTENSION] = self

    @property
    def has_room(self) -> bool:
        """Whether `write` may be called: it is open, and the client's buffers are not full."""
        return (
            self.writable.is_set()
            and self.handshake_complete
            and not (self.close_sent or self.disconnected or self.transport.is_closing())
        )

    def write(self, text: bytes) -> None:
        """Send a text message, UTF-8, without waiting. Only while there is room."""
        self.transport.write(text_frame(text))

    async def send_when_room(self, text: bytes) -> bool:
        """Send a text message once the client's buffers have room; False: it is closed."""
        await self.writable.wait()
        if not self.has_room:
            return False
        self.write(text)
        return True


def text_frame(text: bytes) -> bytes:
    """The frame of a text message from a server."""
    length = len(text)
    if length <= _LENGTH_MAX:
        return _TEXT + bytes((length,)) + text
    if length <= _LENGTH_16_MAX:
        return _TEXT + _LENGTH_16 + length.to_bytes(2) + text
    return _TEXT + _LENGTH_64 + length.to_bytes(8) + text
