"""What stands between the guard and the routes: how often one may ask, and who asks."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.door.answering import answer_of
from services.door.bodies import read_bytes
from services.door.problems import ProblemError
from services.gateway import metrics
from services.gateway.access import (
    SIGNED_HEADERS,
    Access,
    Caller,
    Signature,
    key_of,
    signature_of,
)
from services.gateway.core.keys import SignedRequest
from services.gateway.documents import IDEMPOTENCY_HEADER
from services.gateway.problems import HttpReason, problem
from services.gateway.rates import Standing
from services.gateway.settings import GatewaySettings
from services.runtime.telemetry import Telemetry

CALLER: Final = "outcry.caller"
"""In a request's scope: who proved to ask; None if nobody did."""
UNCOUNTED_PATHS: Final = ("/healthz", "/readyz")
"""Whoever watches over the process must not find it dead because others ask too often."""
METHODS: Final = ("GET", "HEAD", "POST")
"""Those that any path has. To others credentials are not even looked at: there is only 405, and a
path that took one would find nobody to be the caller."""
_CREDENTIALS: Final = frozenset(
    name.lower().encode() for name in ("Authorization", *SIGNED_HEADERS)
)
_LOOKS_LIKE_A_KEY: Final = re.compile(rb"outcry_[0-9a-f]{16}_")


class AccessLayer:
    """ASGI middleware; its problems are answered by the guard around it."""

    def __init__(
        self, app: ASGIApp, access: Access, settings: GatewaySettings, telemetry: Telemetry
    ) -> None:
        self._app = app
        self._access = access
        self._settings = settings
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNCOUNTED_PATHS:
            await self._app(scope, receive, send)
            return
        standing: Standing | None = None
        try:
            standing = self._access.rates.count_address(address_of(scope))
            caller, receive = await self._caller(scope, receive)
            if caller is not None:
                standing = _tighter(standing, self._access.rates.count_key(caller.key_id))
        except ProblemError as refusal:
            self._telemetry.count(metrics.ACCESS_REFUSED, reason=refusal.reason)
            raise
        finally:
            if standing is not None:
                answer_of(scope).headers += standing.raw_headers()
        scope[CALLER] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, receive: Receive) -> tuple[Caller | None, Receive]:
        """Who asks, and where the rest of the request comes from then."""
        refuse_key_in_url(scope)
        if scope["method"] not in METHODS:
            return None, receive
        if _CREDENTIALS.isdisjoint(name for name, _ in scope["headers"]):
            return None, receive
        headers = Headers(scope=scope)
        key, signature = key_of(headers), signature_of(headers)
        if key is not None and signature is not None:
            raise problem(HttpReason.INVALID_PARAMETER, "send a key or a signature, not both")
        if signature is not None:
            settings = self._settings
            body = await read_bytes(
                Request(scope, receive),
                max(settings.gateway_body_bytes_max, settings.gateway_batch_bytes_max),
                settings.gateway_body_timeout_ms,
            )
            caller = self._access.by_signature(signature, signed_request(scope, signature, body))
            return caller, _again(body, receive)
        return (None if key is None else self._access.by_key(key)), receive


def address_of(scope: Scope) -> str:
    """Where a request comes from; the proxy's word where the settings name proxies."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def refuse_key_in_url(scope: Scope) -> None:
    """Refuse a key where proxies and histories keep it; the answer does not repeat it.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    path = scope.get("raw_path") or scope["path"].encode()
    if _LOOKS_LIKE_A_KEY.search(path) or _LOOKS_LIKE_A_KEY.search(scope["query_string"]):
        raise problem(
            HttpReason.INVALID_PARAMETER,
            "a key stands in the address, where others may have kept it: revoke it, and send the"
            " next one as Authorization: Bearer",
        )


def signed_request(scope: Scope, signature: Signature, body: bytes) -> SignedRequest:
    """What the signature of this request must cover."""
    path = scope.get("raw_path") or scope["path"].encode()
    return SignedRequest(
        timestamp_ms=signature.timestamp_ms,
        method=scope.get("method", "GET"),
        path=path.decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        idempotency_key=Headers(scope=scope).get(IDEMPOTENCY_HEADER, ""),
        body=body,
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already, and then what comes after it."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give


def _tighter(one: Standing | None, other: Standing | None) -> Standing | None:
    """The limit of which the smaller part is left."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda standing: standing.remaining / standing.quota)
