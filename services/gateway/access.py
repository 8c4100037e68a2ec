"""Who asks: from a request's credentials to a caller, or to a problem that says what is missing.

A key comes as `Authorization: Bearer outcry_...`, or signs the request by the three headers below
and stays at home. Where access is open (a stack of one person, on loopback) a request may name its
account instead; whatever presents a key is held to it there too.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers

from services.door.problems import Fault, ProblemError
from services.gateway.core.keys import (
    KEY_ID_PATTERN,
    SIGNATURE_PATTERN,
    SignedRequest,
    is_secret_of,
    is_signed_by,
    split_key,
)
from services.gateway.key_ring import KeyRing
from services.gateway.problems import HttpReason, problem
from services.gateway.rates import RateLimits, Rates
from services.gateway.settings import GatewaySettings
from services.gateway.shared_signatures import SharedSignatures
from services.gateway.signatures import CHALLENGE, MemorySignatures, SignatureLog

KEY_HEADER: Final = "X-Outcry-Key"
TIMESTAMP_HEADER: Final = "X-Outcry-Timestamp"
SIGNATURE_HEADER: Final = "X-Outcry-Signature"
SIGNED_HEADERS: Final = (KEY_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
_TIMESTAMP_DIGITS_MAX: Final = 16
_NS_PER_MS: Final = 1_000_000


class Caller(msgspec.Struct, frozen=True):
    """Who proved to ask, and for what the key is."""

    key_id: str
    account: str
    """Empty: none; such a key can only operate."""
    scopes: tuple[str, ...]

    def require(self, scope: str) -> None:
        """Refuse what the key is not for.

        Raises:
            ProblemError: SCOPE_REQUIRED.
        """
        if scope not in self.scopes:
            raise problem(
                HttpReason.SCOPE_REQUIRED,
                f"this needs a key with the scope {scope}; key {self.key_id} has"
                f" {', '.join(self.scopes)}",
                members={"scope": scope},
            )


class Signature(msgspec.Struct, frozen=True):
    """A signature as a request brings it."""

    key_id: str
    timestamp_ms: str
    signature: str


class Access:
    """Decides who asks. Called on the event loop; waits for nothing.

    Args:
        ring: the keys; None: this gateway has no database of them.
        wall_ms: milliseconds since the Unix epoch.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        ring: KeyRing | None,
        *,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // _NS_PER_MS,
    ) -> None:
        self.is_open = settings.gateway_access == "open"
        self.ring = ring
        self.rates = Rates(
            RateLimits(
                settings.gateway_rate_window_s,
                settings.gateway_rate_of_address_max,
                settings.gateway_rate_of_key_max,
            ).shared_by(settings.gateway_processes)
        )
        self._wall_ms = wall_ms
        file = settings.gateway_signatures_file
        self._signatures = SignatureLog(
            settings.gateway_signature_window_ms,
            settings.gateway_signatures_max,
            MemorySignatures() if file is None else SharedSignatures(file),
        )

    def by_key(self, key: str) -> Caller:
        """Whose key this is.

        Raises:
            ProblemError: KEY_REFUSED, KEYS_UNAVAILABLE.
        """
        ring = self._fresh_ring()
        key_id, secret = split_key(key) or ("", "")
        found = ring.find(key_id)
        # The comparison runs for a key that does not exist too: how long it takes tells nothing.
        if not is_secret_of(found, ring.server_secret, secret) or found is None:
            raise refused()
        if found.signed_only:
            raise problem(
                HttpReason.KEY_REFUSED,
                f"key {key_id} is only for signed requests; and since it was sent, revoke it",
                headers=CHALLENGE,
            )
        return Caller(found.key_id, found.account, found.scopes)

    def by_signature(self, signature: Signature, request: SignedRequest) -> Caller:
        """Who signed this request; it is not taken a second time.

        Raises:
            ProblemError: KEY_REFUSED, SIGNATURE_STALE, SIGNATURE_REUSED, KEYS_UNAVAILABLE.
        """
        ring = self._fresh_ring()
        now_ms = self._wall_ms()
        self._signatures.require_timely(int(signature.timestamp_ms), now_ms)
        found = ring.find(signature.key_id)
        is_right = is_signed_by(found, ring.server_secret, request, signature.signature)
        if not is_right or found is None:
            raise refused()
        self._signatures.take(signature.signature, now_ms)
        return Caller(found.key_id, found.account, found.scopes)

    def still_counts(self, key_id: str) -> bool:
        """Whether a key that was accepted before counts still. Raises as `by_key`."""
        return self._fresh_ring().find(key_id) is not None

    def _fresh_ring(self) -> KeyRing:
        if self.ring is None:
            # Not "come back later": no key ever counts here.
            raise problem(
                HttpReason.KEY_REFUSED,
                "this gateway has no database of keys (OUTCRY_PG_DSN); name an account instead",
                headers=CHALLENGE,
            )
        if not self.ring.is_fresh:
            raise problem(
                HttpReason.KEYS_UNAVAILABLE,
                "the database of keys has not answered for too long; nothing was done",
            )
        return self.ring


def refused() -> ProblemError:
    """One answer for all: it does not say whether a key ever existed."""
    return problem(
        HttpReason.KEY_REFUSED,
        "unknown, revoked or expired, or the signature is not that of this request;"
        " `outcry keys list` shows what counts",
        headers=CHALLENGE,
    )


def key_of(headers: Headers) -> str | None:
    """The key that a request sends; None: it sends none.

    Raises:
        ProblemError: INVALID_PARAMETER; it does not repeat what was sent.
    """
    sent = headers.getlist("Authorization")
    if not sent:
        return None
    scheme, _, key = sent[0].partition(" ")
    if len(sent) > 1 or scheme.lower() != "bearer":
        raise _malformed("Authorization", "send it once, as Bearer and the key")
    return key.strip()


def signature_of(headers: Headers) -> Signature | None:
    """The signature that a request carries; None: it has none. Raises as `key_of`."""
    # An empty header is what some clients send for one that they have no value for.
    sent = [[value for value in headers.getlist(name) if value] for name in SIGNED_HEADERS]
    if not any(sent):
        return None
    for name, values in zip(SIGNED_HEADERS, sent, strict=True):
        if len(values) != 1:
            raise _malformed(name, f"a signed request has each of {', '.join(SIGNED_HEADERS)} once")
    (key_id,), (timestamp_ms,), (signature,) = sent
    return check_signature(key_id, timestamp_ms, signature, SIGNED_HEADERS)


def check_signature(
    key_id: Any,  # noqa: ANN401 - JSON of a stranger
    timestamp_ms: Any,  # noqa: ANN401
    signature: Any,  # noqa: ANN401
    names: tuple[str, str, str],
) -> Signature:
    """The three parts of a signature, each of its shape. Raises as `key_of`."""
    if not isinstance(key_id, str) or not KEY_ID_PATTERN.fullmatch(key_id):
        raise _malformed(names[0], "the key's id: 16 hexadecimal digits")
    is_number = isinstance(timestamp_ms, str) and timestamp_ms.isascii() and timestamp_ms.isdigit()
    if not is_number or len(timestamp_ms) > _TIMESTAMP_DIGITS_MAX:
        raise _malformed(names[1], "milliseconds since the Unix epoch")
    if not isinstance(signature, str) or not SIGNATURE_PATTERN.fullmatch(signature):
        raise _malformed(names[2], "64 hexadecimal digits, in lower case")
    return Signature(key_id, timestamp_ms, signature)


def _malformed(name: str, detail: str) -> ProblemError:
    fault = Fault(f"header:{name}", HttpReason.INVALID_PARAMETER, detail)
    return problem(HttpReason.INVALID_PARAMETER, f"{name}: {detail}", faults=[fault])
