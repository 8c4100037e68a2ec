"""What holds for every HTTP request, whatever it asks for.

It must be for this host, there must be room for it, its answer carries the headers that keep
browsers from guessing, and whatever fails in between becomes a problem document and a log line.
"""

import time
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import metrics
from services.gateway.problems import HttpReason, ProblemError
from services.gateway.settings import GatewaySettings
from services.runtime.telemetry import Telemetry

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")
HEALTH_PATHS: Final = ("/healthz", "/readyz")

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


def require_own_host(host_header: str, settings: GatewaySettings) -> None:
    """Refuse requests whose Host is a name that merely resolves to this machine.

    A page of another site can point its own name at 127.0.0.1 and then counts as this site for
    the browser.
    """
    try:
        host = urlsplit(f"//{host_header}").hostname
    except ValueError:
        host = None
    if host not in (*LOOPBACK_HOSTS, settings.gateway_host):
        raise ProblemError(
            HttpReason.WRONG_HOST, f"ask for http://{settings.gateway_host}:{settings.gateway_port}"
        )


class Guard:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings, telemetry: Telemetry) -> None:
        self._app = app
        self._settings = settings
        self._telemetry = telemetry
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        self._under_way += 1
        self._telemetry.set(metrics.REQUESTS_UNDER_WAY, self._under_way)
        try:
            self._admit(scope)
            await self._app(scope, receive, answer.send)
        except ProblemError as refusal:
            await refusal.response()(scope, receive, answer.send)
        except Exception:
            self._telemetry.log.exception("request_failed", path=scope["path"][:200])
            if answer.status:
                raise  # half an answer is out; only closing the connection tells the client
            problem = ProblemError(
                HttpReason.INTERNAL_ERROR,
                "what became of the request is in the gateway's log; a command may have been"
                " written, and sending it again under the same id is safe",
            )
            await problem.response()(scope, receive, answer.send)
        finally:
            self._under_way -= 1
            self._note(scope, answer.status, time.perf_counter() - begun)

    def _admit(self, scope: Scope) -> None:
        require_own_host(Headers(scope=scope).get("host", ""), self._settings)
        if self._under_way > self._settings.gateway_requests_max and (
            scope["path"] not in HEALTH_PATHS
        ):
            raise ProblemError(HttpReason.OVERLOADED, "nothing was written; send it again shortly")

    def _note(self, scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNROUTED)
        method = scope["method"] if scope["method"] in _METHODS else _UNROUTED
        self._telemetry.set(metrics.REQUESTS_UNDER_WAY, self._under_way)
        self._telemetry.count(metrics.REQUESTS, method=method, route=route, status=str(status))
        self._telemetry.observe(metrics.REQUEST_SECONDS, seconds, route=route)


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
