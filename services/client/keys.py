"""How a client proves itself: a key as it stands, or a signature of each request."""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Final, override

import httpx
import msgspec

type Key = str | SigningKey
"""`outcry_...`, which every request carries; or what signs each request, and stays at home."""

_VERSION: Final = "OUTCRY1"
_NS_PER_MS: Final = 1_000_000


class SigningKey(msgspec.Struct, frozen=True):
    """What `outcry keys create` shows beside a key: its id, and the secret to sign with."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id!r})"  # the secret belongs in no log


class Signer(httpx.Auth):
    """Signs requests; any thread may call it.

    A gateway takes a signature once, so no two have the same time: in a burst they run ahead of the
    clock by a millisecond each, which a gateway takes as far as its window (30 s).
    """

    requires_request_body = True

    def __init__(
        self, key: SigningKey, wall_ms: Callable[[], int] = lambda: time.time_ns() // _NS_PER_MS
    ) -> None:
        self._key = key
        self._wall_ms = wall_ms
        self._last_ms = 0
        self._lock = threading.Lock()

    def headers(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        idempotency_key: str = "",
    ) -> dict[str, str]:
        """What to send beside this request; path and query are as sent, percent signs included."""
        with self._lock:
            self._last_ms = now_ms = max(self._wall_ms(), self._last_ms + 1)
        digest = hashlib.sha256(body).hexdigest()
        lines = (_VERSION, str(now_ms), method, path, query, idempotency_key, digest)
        text = "\n".join(lines).encode()
        return {
            "X-Outcry-Key": self._key.key_id,
            "X-Outcry-Timestamp": str(now_ms),
            "X-Outcry-Signature": hmac.new(
                self._key.secret.encode(), text, hashlib.sha256
            ).hexdigest(),
        }

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        request.headers.update(
            self.headers(
                request.method,
                path,
                query,
                request.content,
                request.headers.get("Idempotency-Key", ""),
            )
        )
        yield request


class Proof:
    """Who one client says it is, on every request and on every handshake of a WebSocket."""

    def __init__(
        self, account: str | None, key: Key | None, headers: Mapping[str, str] | None
    ) -> None:
        self.headers: dict[str, str] = {}
        """The same on each request."""
        if account is not None:
            self.headers["X-Outcry-Account"] = account
        if isinstance(key, str):
            self.headers["Authorization"] = f"Bearer {key}"
        self.headers |= dict(headers or {})
        self.signer = Signer(key) if isinstance(key, SigningKey) else None

    def of_handshake(self) -> dict[str, str]:
        """The headers of one handshake; each is signed anew."""
        signed = {} if self.signer is None else self.signer.headers("GET", "/ws")
        return self.headers | signed
