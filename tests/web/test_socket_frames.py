"""Frames that the protocol forbids, and bytes that are none: each ends with a code, and alone.

`make fuzz-junk` sends more of them.
"""

import asyncio
import base64
import json
import os
import random
import struct
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from services.gateway.service import Service
from tests.support.gateway_memory import book, eventually, feed, make_gateway, serving

ROUNDS: Final = int(os.environ.get("OUTCRY_JUNK_REQUESTS", "4000")) // 100
WAIT_S: Final = 60
MESSAGE_BYTES_MAX: Final = 256
PROTOCOL_ERROR, NOT_UTF_8, TOO_LONG = 1002, 1007, 1009
NOT_TEXT: Final = b"\xf0\x28\x8c\x28"
CODES: Final = frozenset({1000, 1001, 1005, PROTOCOL_ERROR, 1003, NOT_UTF_8, 1008, TOO_LONG, 1011})


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def raw(first: int, data: bytes = b"") -> bytes:
    """A frame whose first byte is this, masked with zeros."""
    return bytes([first, 0x80 | len(data)]) + bytes(4) + data


MALFORMED: Final[dict[str, tuple[bytes, int]]] = {
    "not masked": (b"\x81\x02{}", PROTOCOL_ERROR),
    "a reserved bit": (raw(0xC1, b"{}"), PROTOCOL_ERROR),
    "an opcode that is none": (raw(0x83, b"{}"), PROTOCOL_ERROR),
    "a control opcode that is none": (raw(0x8B), PROTOCOL_ERROR),
    "a continuation of nothing": (raw(0x80, b"{}"), PROTOCOL_ERROR),
    "a text within a text": (raw(0x01, b"{") + raw(0x81, b"}"), PROTOCOL_ERROR),
    "a ping in parts": (raw(0x09, b"a"), PROTOCOL_ERROR),
    "a ping that is too long": (b"\x89\xfe\x00\x80" + bytes(4 + 128), PROTOCOL_ERROR),
    "no UTF-8": (masked(Opcode.TEXT, NOT_TEXT), NOT_UTF_8),
    "no UTF-8 in parts": (
        masked(Opcode.TEXT, NOT_TEXT[:1], fin=False) + masked(Opcode.CONT, NOT_TEXT[1:]),
        NOT_UTF_8,
    ),
    "a close with half a code": (raw(0x88, b"\x03"), PROTOCOL_ERROR),
    "a close with a code that is none": (raw(0x88, struct.pack("!H", 999)), PROTOCOL_ERROR),
    "a close whose reason is no UTF-8": (raw(0x88, b"\x03\xe8" + NOT_TEXT), NOT_UTF_8),
    "too long": (masked(Opcode.TEXT, b"x" * (MESSAGE_BYTES_MAX + 1)), TOO_LONG),
    "too long in parts": (
        masked(Opcode.TEXT, b"x" * 200, fin=False) + masked(Opcode.CONT, b"x" * 200),
        TOO_LONG,
    ),
    "announced longer than anything": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), TOO_LONG),
}


MEANINGLESS: Final = (
    '{"op": "subscribe"}', '{"op": NaN}', "[]", "{", "\0", "\U0001f600", '{"a": ' * 40,
    '{"op": "place", "body": 1}', '{"op": "authenticate", "key": {}}',
)  # fmt: skip


class Stranger:
    """A client that sends what it likes, and reads what comes."""

    def __init__(self, service: Service) -> None:
        self._port = service.port

    async def tell(self, data: bytes, *texts: str) -> tuple[list[dict[str, Any]], int]:
        """What a new connection is answered, and the code with which it is closed; 0: with none.

        Each of the texts is sent once the one before is answered, and the data after them.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        key = base64.b64encode(bytes(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        said: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(WAIT_S):
                await reader.readuntil(b"\r\n\r\n")
                wanted = [*(masked(Opcode.TEXT, text.encode()) for text in texts), data]
                writer.write(wanted.pop(0))
                while True:
                    first, length = await reader.readexactly(2)
                    if length == 126:
                        (length,) = struct.unpack("!H", await reader.readexactly(2))
                    payload = await reader.readexactly(length)
                    if first & 0x0F == Opcode.CLOSE:
                        return said, struct.unpack("!H", payload[:2])[0] if payload else 1005
                    if first & 0x0F == Opcode.TEXT:
                        said.append(json.loads(payload))
                        writer.write(wanted.pop(0))
        except (asyncio.IncompleteReadError, ConnectionError):
            return said, 0
        finally:
            writer.close()


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_frame_is_closed_with_its_code(name: str) -> None:
    data, code = MALFORMED[name]
    gateway = make_gateway(gateway_socket_message_bytes_max=MESSAGE_BYTES_MAX)
    async with serving(gateway) as service:
        said, closed_with = await Stranger(service).tell(data)
        await eventually(lambda: len(gateway.hub) == 0)
    assert (said, closed_with) == ([], code)


def junk(draw: random.Random) -> bytes:
    """Broken frames and noise; what follows ends whatever is left open."""
    parts = []
    for _ in range(draw.randrange(1, 5)):
        match draw.randrange(3):
            case 0:
                parts.append(draw.choice(list(MALFORMED.values()))[0])
            case 1:
                parts.append(draw.randbytes(draw.randrange(1, 60)))
            case _:
                good = bytearray(masked(Opcode.TEXT, b'{"op": "subscribe", "channel": "book"}'))
                good[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
                parts.append(bytes(good))
    # An open frame of a length that is let by takes some of these; the next one is not masked.
    return b"".join(parts) + bytes(2 * MESSAGE_BYTES_MAX)


async def test_noise_is_answered_with_reasons_and_closed_with_codes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = make_gateway(gateway_socket_message_bytes_max=MESSAGE_BYTES_MAX)
    feed(gateway, book())
    draw = random.Random(20_261_126)
    codes: set[int] = set()
    reasons: set[str] = set()
    async with serving(gateway) as service:
        for _ in range(ROUNDS):
            data, texts = junk(draw), draw.choices(MEANINGLESS, k=draw.randrange(3))
            said, code = await Stranger(service).tell(data, *texts)
            assert code in CODES, (data, said, code)
            assert [message["type"] for message in said] == ["error"] * len(texts), (data, said)
            codes.add(code)
            reasons |= {message["reason"] for message in said}
        await eventually(lambda: len(gateway.hub) == 0)
        async with connect(f"ws://127.0.0.1:{service.port}/ws") as client:
            await client.send('{"op": "subscribe", "channel": "book", "ticker": "AAPL"}')
            assert json.loads(await asyncio.wait_for(client.recv(), WAIT_S))["type"] == "snapshot"
    assert {PROTOCOL_ERROR, NOT_UTF_8, TOO_LONG} <= codes
    assert {"INVALID_JSON", "INVALID_FIELD"} <= reasons
    assert "Exception in ASGI application" not in caplog.text
