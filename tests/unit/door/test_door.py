"""What holds at every HTTP door, tried on the smallest application."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.door.answering import SECURITY_HEADERS
from services.door.bodies import pointer_to, read_object
from services.door.guard import DoorPlan, Guard
from services.door.problems import DOOR_KINDS, DoorReason, problem_of, type_of
from services.door.serving import listen, only_loopback
from services.runtime.errors import ConfigurationError

JSON = {"Content-Type": "application/json"}


class Noted:
    """`guard.Watch` that remembers."""

    def __init__(self) -> None:
        self.under_way: Callable[[], int] = lambda: -1
        self.counts: list[int] = []
        """Requests under way as each was answered."""
        self.answers: list[tuple[str, str, int]] = []
        self.failures: list[str] = []

    def ask(self, under_way: Callable[[], int]) -> None:
        self.under_way = under_way

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.counts.append(self.under_way())
        self.answers.append((method, route, status))

    def failed(self, path: str, error: Exception) -> None:
        self.failures.append(f"{path}: {error}")


async def echo(request: Request) -> Response:
    return JSONResponse(await read_object(request, 64, 50))


async def fail(_: Request) -> Response:
    raise RuntimeError("planted")


async def wait(_: Request) -> Response:
    await asyncio.sleep(0.2)
    return JSONResponse({})


async def answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_of(error).response()


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def client(noted: Noted) -> AsyncIterator[httpx.AsyncClient]:
    plan = DoorPlan("127.0.0.1", 80, 1, ("/health",), "asking again is safe", DOOR_KINDS)
    app = Starlette(
        middleware=[Middleware(Guard, plan=plan, watch=noted)],
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/fail", fail),
            Route("/wait", wait),
            Route("/health", wait),
        ],
        exception_handlers={HTTPException: answer_problem},
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as made:
        yield made


async def test_an_object_comes_through_and_the_answer_carries_the_headers(
    client: httpx.AsyncClient, noted: Noted
) -> None:
    response = await client.post("/echo", json={"a": 1})
    assert response.json() == {"a": 1}
    assert (
        SECURITY_HEADERS.items()
        <= {name.title(): value for name, value in response.headers.items()}.items()
    )
    assert noted.counts == [0]


@pytest.mark.parametrize(
    "content,headers,reason",
    [
        (b"{}", {}, DoorReason.UNSUPPORTED_MEDIA_TYPE),
        (b"{}", {"Content-Type": "text/plain"}, DoorReason.UNSUPPORTED_MEDIA_TYPE),
        (b"{", JSON, DoorReason.INVALID_JSON),
        (b"3", JSON, DoorReason.INVALID_JSON),
        (b'{"a": 1, "a": 2}', JSON, DoorReason.INVALID_JSON),
        (b'{"a": ' + b"1" * 50 + b"}", JSON, None),
        (b'{"a": ' + b"1" * 90 + b"}", JSON, DoorReason.BODY_TOO_LARGE),
        (b"{}", JSON | {"Host": "evil.example"}, DoorReason.WRONG_HOST),
        (b"{}", JSON | {"Host": "[::"}, DoorReason.WRONG_HOST),
    ],
)
async def test_what_is_no_object_for_here_is_its_problem(
    client: httpx.AsyncClient, content: bytes, headers: dict[str, str], reason: DoorReason | None
) -> None:
    response = await client.post("/echo", content=content, headers=headers)
    if reason is None:
        assert response.status_code == 200
        return
    document = response.json()
    assert document["reason"] == reason
    assert document["type"] == type_of(reason)
    assert (response.status_code, document["title"]) == (
        DOOR_KINDS[reason].status, DOOR_KINDS[reason].title,
    )  # fmt: skip


async def test_a_body_that_does_not_come_is_waited_for_only_so_long(
    client: httpx.AsyncClient,
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)
        yield b"}"

    response = await client.post("/echo", content=slowly(), headers=JSON)
    assert (response.status_code, response.json()["reason"]) == (408, "REQUEST_TIMEOUT")


async def test_who_finds_it_crowded_is_told_to_come_back_but_health_is_answered(
    client: httpx.AsyncClient,
) -> None:
    first = asyncio.create_task(client.get("/wait"))
    await asyncio.sleep(0.05)
    crowded, health = await asyncio.gather(client.get("/wait"), client.get("/health"))
    assert (crowded.status_code, crowded.json()["reason"]) == (503, "OVERLOADED")
    assert crowded.headers["retry-after"] == "1"
    assert (health.status_code, (await first).status_code) == (200, 200)


async def test_what_nobody_expected_is_a_problem_and_noted(
    client: httpx.AsyncClient, noted: Noted
) -> None:
    response = await client.get("/fail")
    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL_ERROR")
    assert response.json()["detail"] == "asking again is safe"
    assert noted.failures == ["/fail: planted"]
    assert [(method, status) for method, _, status in noted.answers] == [("GET", 500)]


@pytest.mark.parametrize(
    "method,path,reason",
    [("GET", "/nothing", "NOT_FOUND"), ("DELETE", "/echo", "METHOD_NOT_ALLOWED")],
)
async def test_a_path_or_method_that_is_not_there_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, reason: str
) -> None:
    response = await client.request(method, path)
    assert response.json()["reason"] == reason


def test_a_pointer_is_ascii_whatever_stood_in_the_request() -> None:
    assert pointer_to("a/b~c", 3) == "#/a~1b~0c/3"
    assert pointer_to("é" * 100) == "#/" + "\\xe9" * 64
    assert pointer_to() == "#"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org", ""])  # noqa: S104 - refused
def test_only_this_machine_may_be_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        only_loopback(host)
    assert [only_loopback(each) for each in ("127.0.0.1", "::1", "localhost")]


def test_a_port_that_is_taken_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="set OUTCRY_DOOR_PORT"):
            listen("127.0.0.1", port, "OUTCRY_DOOR_PORT", 1_000)
    listen("127.0.0.1", 0, "OUTCRY_DOOR_PORT", 1_000).close()


def test_a_port_is_shared_only_by_those_who_all_say_so() -> None:
    first = listen("127.0.0.1", 0, "OUTCRY_DOOR_PORT", 1_000, is_shared=True)
    port = first.getsockname()[1]
    second = listen("127.0.0.1", port, "OUTCRY_DOOR_PORT", 1_000, is_shared=True)
    with first, second:
        assert second.getsockname() == first.getsockname()
        with pytest.raises(ConfigurationError, match="OUTCRY_DOOR_PORT"):
            listen("127.0.0.1", port, "OUTCRY_DOOR_PORT", 1_000)
