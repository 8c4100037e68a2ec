"""What holds for every HTTP request, whatever it asks for.

It must be for this host, there must be room for it, its answer carries the headers that keep
browsers from guessing, and whatever fails in between becomes a problem document and a log line.
"""

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from services.door.answering import Answer
from services.door.exchange import RawHeader
from services.door.problems import DoorReason, Kind, ProblemError, door_problem
from services.runtime.telemetry import Telemetry

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")

_HOSTS_REMEMBERED: Final = 256
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
    kinds: Mapping[str, Kind]
    """The room's list of reasons."""
    names: tuple[str, ...] = ()
    """By which clients may call it too, beside its address and this machine's own names."""
    when_crowded: str = "nothing was done; send it again shortly"
    """For who gets OVERLOADED."""


class Watch(Protocol):
    """Who is told of requests. Called on the event loop; must not block."""

    def ask(self, under_way: Callable[[], int]) -> None:
        """Where to ask, on any thread, how many requests are under way. Called once."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; status 0: the client hung up before."""

    def failed(self, path: str, error: Exception) -> None:
        """Something failed that nobody expected: log it."""


class RequestMetrics(msgspec.Struct, frozen=True):
    """What a room calls its metrics of requests."""

    under_way: str
    answered: str
    seconds: str


class _Tally(msgspec.Struct, frozen=True):
    """Of requests that had the same end."""

    count: Callable[[], None]
    observe: Callable[[float], None]


class TelemetryWatch:
    """`Watch` that counts and logs."""

    def __init__(self, telemetry: Telemetry, names: RequestMetrics) -> None:
        self._telemetry = telemetry
        self._names = names
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        """Found once: finding them takes longer than counting. As many as there are series."""

    def ask(self, under_way: Callable[[], int]) -> None:
        self._telemetry.show(self._names.under_way, under_way)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        tally = self._tallies.get((method, route, status))
        if tally is None:
            tally = self._tallies[method, route, status] = _Tally(
                self._telemetry.counter(
                    self._names.answered, method=method, route=route, status=str(status)
                ),
                self._telemetry.observer(self._names.seconds, route=route),
            )
        tally.count()
        tally.observe(seconds)

    def failed(self, path: str, error: Exception) -> None:
        self._telemetry.log.error("request_failed", path=path, exc_info=error)


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, plan: DoorPlan, watch: Watch) -> None:
        self._app = app
        self._plan = plan
        self._watch = watch
        self._under_way = 0
        watch.ask(lambda: self._under_way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(scope, send)
        begun = time.perf_counter()
        self._under_way += 1
        try:
            self._admit(scope)
            await self._app(scope, receive, answer.send)
        except ProblemError as refusal:
            await refusal.response()(scope, receive, answer.send)
        except Exception as error:
            self._watch.failed(scope["path"][:200], error)
            if answer.status:
                raise  # half an answer is out; only closing the connection tells the client
            problem = door_problem(
                DoorReason.INTERNAL_ERROR, self._plan.when_failed, kinds=self._plan.kinds
            )
            await problem.response()(scope, receive, answer.send)
        finally:
            self._under_way -= 1
            self._note(scope, answer.status, time.perf_counter() - begun)

    def _admit(self, scope: Scope) -> None:
        plan = self._plan
        require_own_host(_host_header(scope["headers"]), plan.host, plan.port, plan.names)
        if self._under_way > plan.requests_max and scope["path"] not in plan.health_paths:
            raise door_problem(DoorReason.OVERLOADED, plan.when_crowded, kinds=plan.kinds)

    def _note(self, scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNROUTED)
        method = scope["method"] if scope["method"] in _METHODS else _UNROUTED
        self._watch.answered(method, route, status, seconds)


def require_own_host(
    host_header: str, own_host: str, port: int, names: tuple[str, ...] = ()
) -> None:
    """Refuse requests whose Host is a name that merely resolves to this machine.

    A page of another site can point its own name at 127.0.0.1 and then counts as this site for
    the browser.
    """
    if _host_of(host_header) not in _own_hosts(own_host, names):
        raise door_problem(DoorReason.WRONG_HOST, f"ask for http://{own_host}:{port}")


@lru_cache
def _own_hosts(own_host: str, names: tuple[str, ...]) -> frozenset[str]:
    """By which names a request may call this machine."""
    return frozenset((*LOOPBACK_HOSTS, own_host, *names))


def _host_header(headers: Iterable[RawHeader]) -> str:
    for name, value in headers:
        if name == b"host":
            return value.decode("latin-1")
    return ""


@lru_cache(_HOSTS_REMEMBERED)
def _host_of(host_header: str) -> str | None:
    try:
        return urlsplit(f"//{host_header}").hostname
    except ValueError:
        return None
