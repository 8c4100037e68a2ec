"""API keys: what one looks like, what is kept of it, and what a signed request signs.

A key is `outcry_<id>_<secret>`: the id may be seen, the secret is 256 random bits. Kept is a hash
of the secret, keyed by the deployment's own secret, which lies outside the database. The signing
secret is a function of that hash and the deployment's secret, so that a gateway can make it anew
and nothing more needs to be kept; whoever has only the database, or only the deployment's secret,
can make neither.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final, Literal

import msgspec

type Scope = Literal["read", "trade", "admin"]

READ: Final = "read"
TRADE: Final = "trade"
ADMIN: Final = "admin"
SCOPES: Final[tuple[Scope, ...]] = (READ, TRADE, ADMIN)

KEY_ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
SERVER_SECRET_BYTES: Final = 32
KEY_PATTERN: Final = re.compile(r"outcry_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
KEY_ID_PATTERN: Final = re.compile(r"[0-9a-f]{16}")
SIGNATURE_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
SIGNING_VERSION: Final = "OUTCRY1"
"""First line of what is signed; another way to sign would have another."""

# A hash for one purpose must never be one for another.
_FOR_KEYS: Final = b"outcry-key"
_FOR_SIGNING: Final = b"outcry-signing"


class ApiKey(msgspec.Struct, frozen=True):
    """One key as a gateway knows it."""

    key_id: str
    secret_hash: bytes
    account: str
    """Empty: none; then it can only operate."""
    scopes: tuple[str, ...]
    signed_only: bool = False
    expires_at_us: int | None = None
    """Microseconds since the Unix epoch."""
    revoked: bool = False

    def counts_at(self, now_us: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return not self.revoked and (self.expires_at_us is None or now_us < self.expires_at_us)


def spell_key(key_id: str, secret: str) -> str:
    """The key as its owner has it."""
    return f"outcry_{key_id}_{secret}"


def split_key(key: str) -> tuple[str, str] | None:
    """Its id and its secret; None: that is no key."""
    found = KEY_PATTERN.fullmatch(key)
    return None if found is None else (found[1], found[2])


def hash_secret(server_secret: bytes, secret: str) -> bytes:
    """What is kept of a key's secret part."""
    return hashlib.blake2b(
        secret.encode(), digest_size=32, key=server_secret, person=_FOR_KEYS
    ).digest()


def signing_secret(server_secret: bytes, secret_hash: bytes) -> str:
    """What its owner signs with, as text, which is used as it stands."""
    derived = hashlib.blake2b(
        secret_hash, digest_size=32, key=server_secret, person=_FOR_SIGNING
    ).digest()
    return urlsafe_b64encode(derived).decode().rstrip("=")


def is_secret_of(key: ApiKey | None, server_secret: bytes, secret: str) -> bool:
    """Whether this is the key's secret; as long for a key that does not exist."""
    kept = bytes(32) if key is None else key.secret_hash
    is_same = hmac.compare_digest(kept, hash_secret(server_secret, secret))
    return is_same and key is not None


class SignedRequest(msgspec.Struct, frozen=True):
    """What a signature covers: all that decides what a request does."""

    timestamp_ms: str
    """Milliseconds since the Unix epoch, as the request states them."""
    method: str
    path: str
    """As sent, percent signs included."""
    query: str
    """What stands behind the question mark, as sent."""
    idempotency_key: str
    """The header of this name; empty without it."""
    body: bytes

    def text(self) -> str:
        """The text to sign, seven lines."""
        digest = hashlib.sha256(self.body).hexdigest()
        return (
            f"{SIGNING_VERSION}\n{self.timestamp_ms}\n{self.method}\n{self.path}\n{self.query}\n"
            f"{self.idempotency_key}\n{digest}"
        )


def sign(secret: str, request: SignedRequest) -> str:
    """HMAC-SHA256, hexadecimal."""
    return hmac.new(secret.encode(), request.text().encode(), hashlib.sha256).hexdigest()


def is_signed_by(
    key: ApiKey | None, server_secret: bytes, request: SignedRequest, signature: str
) -> bool:
    """Whether the key's owner signed this; as long for a key that does not exist."""
    kept = bytes(32) if key is None else key.secret_hash
    wanted = sign(signing_secret(server_secret, kept), request)
    is_same = hmac.compare_digest(wanted.encode(), signature.encode())
    return is_same and key is not None
