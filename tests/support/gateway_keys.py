"""Keys without a database: a source in memory, keys of made-up owners, how they sign."""

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from services.gateway.access import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from services.gateway.core.keys import (
    ApiKey,
    SignedRequest,
    hash_secret,
    sign,
    signing_secret,
    spell_key,
)
from services.gateway.key_ring import KeyRing, RingLimits
from services.gateway.key_source import Mark
from services.gateway.metrics import METRICS
from services.runtime.errors import RetriableError
from services.runtime.telemetry import Telemetry

SERVER_SECRET: Final = bytes(range(32))


class Owner(msgspec.Struct, frozen=True):
    """Who has a key, with all that was shown when it was made."""

    kept: ApiKey
    key: str
    signing: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        idempotency_key: str = "",
        timestamp_ms: int | None = None,
    ) -> dict[str, str]:
        """Headers that sign this request."""
        now = str(time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms)
        request = SignedRequest(now, method, path, query, idempotency_key, body)
        return {
            KEY_HEADER: self.kept.key_id,
            TIMESTAMP_HEADER: now,
            SIGNATURE_HEADER: sign(self.signing, request),
        }


def make_owner(
    number: int,
    account: str,
    *scopes: str,
    signed_only: bool = False,
    expires_at_us: int | None = None,
) -> Owner:
    """The same for the same arguments."""
    key_id, secret = f"{number:016x}", f"{number:0>43}"
    hashed = hash_secret(SERVER_SECRET, secret)
    kept = ApiKey(key_id, hashed, account, scopes, signed_only, expires_at_us)
    return Owner(kept, spell_key(key_id, secret), signing_secret(SERVER_SECRET, hashed))


ALICE: Final = make_owner(1, "alice", "read", "trade")
BOB: Final = make_owner(2, "bob", "read", "trade")
ALICE_READS: Final = make_owner(3, "alice", "read")
ALICE_TRADES: Final = make_owner(4, "alice", "trade")
ALICE_SIGNS: Final = make_owner(5, "alice", "read", "trade", signed_only=True)
OPERATOR: Final = make_owner(6, "", "admin")
REVOKED: Final = make_owner(7, "alice", "read", "trade", "admin")
EXPIRED: Final = make_owner(8, "alice", "read", "trade", "admin", expires_at_us=1)
OWNERS: Final = (ALICE, BOB, ALICE_READS, ALICE_TRADES, ALICE_SIGNS, OPERATOR, EXPIRED)
"""Those whose keys are kept. REVOKED's was, and is not any more."""


class MemoryKeys:
    """`KeySource` in memory; can be away."""

    def __init__(self, owners: Sequence[Owner] = OWNERS) -> None:
        self.keys = [owner.kept for owner in owners]
        self.revocations = 0
        self.loads = 0
        self.is_away = False

    def revoke(self, owner: Owner) -> None:
        self.keys.remove(owner.kept)
        self.revocations += 1

    def mark(self) -> Mark:
        if self.is_away:
            raise RetriableError("planted: the database is away")
        return len(self.keys) + self.revocations, self.revocations

    def load(self, keys_max: int) -> Sequence[ApiKey]:
        self.mark()
        self.loads += 1
        return self.keys[:keys_max]

    def close(self) -> None:
        """Nothing is held."""


class Clock:
    """Seconds that pass when a test says so; its wall begins in 2026."""

    def __init__(self) -> None:
        self.seconds = 1_790_000_000.0

    def now_s(self) -> float:
        return self.seconds

    def wall_us(self) -> int:
        return int(self.seconds * 1_000_000)


async def make_ring(
    source: MemoryKeys | None = None, clock: Clock | None = None, *, keys_max: int = 100
) -> KeyRing:
    """A ring that has asked once; without a clock it goes by this machine's."""
    telemetry = Telemetry("gateway", metrics=METRICS)
    limits = RingLimits(refresh_ms=10, stale_ms_max=60_000, keys_max=keys_max)
    keys = source or MemoryKeys()
    if clock is None:
        ring = KeyRing(keys, SERVER_SECRET, limits, telemetry)
    else:
        ring = KeyRing(
            keys, SERVER_SECRET, limits, telemetry, now_s=clock.now_s, wall_us=clock.wall_us
        )
    await ring.refresh()
    return ring
