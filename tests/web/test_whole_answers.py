"""An order taken and answered in one step each meets what others meet."""

import asyncio
from email.parser import BytesParser

import orjson

from services.gateway.parts import Gateway
from tests.support.gateway_memory import HOST, ORDER, make_client, make_gateway, serving

WAIT_S = 20
HEAD = "POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Outcry-Account: alice\r\n"
JSON = "Content-Type: application/json\r\n"


def request(number: int, *more: str) -> bytes:
    body = orjson.dumps(ORDER | {"client_order_id": f"a-{number}"})
    lines = "".join(f"{line}\r\n" for line in more)
    return f"{HEAD}{JSON}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def hear(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    async with asyncio.timeout(WAIT_S):
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        headers = {k.lower(): v for k, v in BytesParser().parsebytes(rest).items()}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return line.decode(), headers, body


async def ask(gateway: Gateway, *pieces: bytes, answers: int) -> list[tuple[str, dict[str, str]]]:
    """Say these pieces on one connection, a moment apart."""
    async with serving(gateway) as service:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        found = [await hear(reader) for _ in range(answers)]
        writer.close()
    return [(line, headers | {"body": body.decode()}) for line, headers, body in found]


async def test_it_says_what_an_answer_in_two_messages_says() -> None:
    ((line, headers),) = await ask(make_gateway(), request(1), answers=1)
    async with make_client(make_gateway()) as client:  # another server: no exchange
        answer = await client.post(
            "/orders",
            json=ORDER | {"client_order_id": "a-1"},
            headers={"X-Outcry-Account": "alice"},
        )
    body = headers.pop("body")
    assert headers.pop("date")
    assert line == "HTTP/1.1 202 Accepted"
    assert body == answer.text
    volatile = "ratelimit"  # counts down to its window's end
    assert headers.pop(volatile).split(";")[:2] == answer.headers.pop(volatile).split(";")[:2]
    assert headers == dict(answer.headers)


async def test_orders_behind_one_another_are_answered_in_their_turn() -> None:
    gateway = make_gateway()
    found = await ask(gateway, b"".join(map(request, range(5))), answers=5)
    bodies = [orjson.loads(headers["body"]) for _, headers in found]
    assert [body["client_order_id"] for body in bodies] == [f"a-{number}" for number in range(5)]


async def test_a_body_that_comes_in_pieces_is_read_whole() -> None:
    whole = request(1)
    pieces = whole[:-90], whole[-90:-20], whole[-20:]
    ((line, _),) = await ask(make_gateway(), *pieces, answers=1)
    assert line == "HTTP/1.1 202 Accepted"


async def test_a_body_in_chunks_is_read_whole() -> None:
    body = orjson.dumps(ORDER)
    chunked = f"{HEAD}{JSON}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode()
    ((line, _),) = await ask(make_gateway(), chunked + body + b"\r\n0\r\n\r\n", answers=1)
    assert line == "HTTP/1.1 202 Accepted"


async def test_who_asks_first_whether_to_send_the_body_is_told() -> None:
    whole = request(1, "Expect: 100-continue")
    end = whole.index(b"\r\n\r\n") + 4
    found = await ask(make_gateway(), whole[:end], whole[end:], answers=2)
    assert [line for line, _ in found] == ["HTTP/1.1 100 Continue", "HTTP/1.1 202 Accepted"]


async def test_a_connection_that_is_to_end_ends() -> None:
    gateway = make_gateway()
    async with serving(gateway) as service:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        writer.write(request(1, "Connection: close"))
        line, headers, _ = await hear(reader)
        assert (line, headers["connection"]) == ("HTTP/1.1 202 Accepted", "close")
        assert await reader.read() == b""
        writer.close()


async def test_what_is_refused_has_every_header_too() -> None:
    gateway = make_gateway()
    bad = request(1).replace(b'"quantity":100', b'"quantity":000')
    found = await ask(gateway, bad, request(2), answers=2)
    (refused, its), (taken, others) = found
    assert (refused, taken) == ("HTTP/1.1 400 Bad Request", "HTTP/1.1 202 Accepted")
    assert its.keys() | {"location"} == others.keys()
