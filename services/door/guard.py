"""What holds for every HTTP request, whatever it asks for.

It must be for this host, there must be room for it, its answer carries the headers that keep
browsers from guessing, and whatever fails in between becomes a problem document and a log line.
"""

import time
from collections.abc import MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.door.problems import DoorReason, ProblemError, door_problem

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_METHODS: Final = ("GET", "POST")
_UNROUTED: Final = "none"
"""Label of what no route asked for: clients must not be able to invent time series."""


class DoorPlan(msgspec.Struct, frozen=True):
    """Where the door is, and how many may stand in it."""

    host: str
    port: int
    requests_max: int
    """Most requests under way; more are told to come back."""
    health_paths: tuple[str, ...]
    """Answered also when it is crowded."""
    when_failed: str
    """For who gets INTERNAL_ERROR: what became of the request, and whether to send it again."""


class Watch(Protocol):
    """Who is told of requests. Called on the event loop; must not block."""

    def under_way(self, count: int) -> None:
        """A request came or went."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; status 0: the client hung up before."""

    def failed(self, path: str, error: Exception) -> None:
        """Something failed that nobody expected: log it."""


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, plan: DoorPlan, watch: Watch) -> None:
        self._app = app
        self._plan = plan
        self._watch = watch
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        self._under_way += 1
        self._watch.under_way(self._under_way)
        try:
            self._admit(scope)
            await self._app(scope, receive, answer.send)
        except ProblemError as refusal:
            await refusal.response()(scope, receive, answer.send)
        except Exception as error:
            self._watch.failed(scope["path"][:200], error)
            if answer.status:
                raise  # half an answer is out; only closing the connection tells the client
            problem = door_problem(DoorReason.INTERNAL_ERROR, self._plan.when_failed)
            await problem.response()(scope, receive, answer.send)
        finally:
            self._under_way -= 1
            self._note(scope, answer.status, time.perf_counter() - begun)

    def _admit(self, scope: Scope) -> None:
        require_own_host(Headers(scope=scope).get("host", ""), self._plan)
        if self._under_way > self._plan.requests_max and (
            scope["path"] not in self._plan.health_paths
        ):
            raise door_problem(DoorReason.OVERLOADED, "nothing was done; send it again shortly")

    def _note(self, scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNROUTED)
        method = scope["method"] if scope["method"] in _METHODS else _UNROUTED
        self._watch.under_way(self._under_way)
        self._watch.answered(method, route, status, seconds)


def require_own_host(host_header: str, plan: DoorPlan) -> None:
    """Refuse requests whose Host is a name that merely resolves to this machine.

    A page of another site can point its own name at 127.0.0.1 and then counts as this site for
    the browser.
    """
    try:
        host = urlsplit(f"//{host_header}").hostname
    except ValueError:
        host = None
    if host not in (*LOOPBACK_HOSTS, plan.host):
        raise door_problem(DoorReason.WRONG_HOST, f"ask for http://{plan.host}:{plan.port}")


class _Answer:
    """Passes an answer on with the headers added; remembers its status, 0 before it began."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
