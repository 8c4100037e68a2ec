"""How often one address, or one key, may ask.

Fixed windows, counted by the library `limits` in this process: of several gateways each counts for
itself, up to its part of the limit. The answer's headers are those of the IETF's draft on rate
limit fields (draft-ietf-httpapi-ratelimit-headers).
"""

import time
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final, override

import msgspec
from limits import RateLimitItemPerSecond
from limits.strategies import FixedWindowRateLimiter

from services.door.exchange import RawHeader
from services.door.problems import ProblemError
from services.gateway.problems import HttpReason, problem
from services.gateway.windows import WindowStorage

ADDRESS: Final = "address"
KEY: Final = "key"
_CLIENTS_REMEMBERED: Final = 4_096
_V6_HOST_BITS: Final = 64
"""A customer has at least as many addresses of IPv6, so they count as one."""


class RateLimits(msgspec.Struct, frozen=True):
    """Most requests in one window; 0: as many as they like."""

    window_s: int
    of_address_max: int
    of_key_max: int

    def shared_by(self, processes: int) -> "RateLimits":
        """One process's part, rounded down, and never none."""
        return RateLimits(
            self.window_s,
            self.of_address_max and max(1, self.of_address_max // processes),
            self.of_key_max and max(1, self.of_key_max // processes),
        )


class Standing(msgspec.Struct, frozen=True):
    """What one more request left of a limit."""

    policy: str
    quota: int
    window_s: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        return {"RateLimit-Policy": self._policy(), "RateLimit": self._rest()}

    def raw_headers(self) -> list[RawHeader]:
        return [
            (b"ratelimit-policy", self._policy().encode()),
            (b"ratelimit", self._rest().encode()),
        ]

    def _policy(self) -> str:
        return f'"{self.policy}";q={self.quota};w={self.window_s}'

    def _rest(self) -> str:
        return f'"{self.policy}";r={self.remaining};t={self.reset_s}'


class _Limit(RateLimitItemPerSecond):
    """Its key for a client is put together once, not for each of its requests and twice."""

    __slots__ = ("_remembered",)

    def __init__(self, amount: int, window_s: int, policy: str) -> None:
        super().__init__(amount, window_s, namespace=policy)
        self._remembered = lru_cache(_CLIENTS_REMEMBERED)(super().key_for)

    @override
    def key_for(self, *identifiers: bytes | str | float) -> str:
        return self._remembered(*identifiers)


class Rates:
    """Counts requests. Called on the event loop."""

    def __init__(self, limits: RateLimits) -> None:
        self._window_s = limits.window_s
        self._items: Mapping[str, _Limit] = {
            policy: _Limit(quota, limits.window_s, policy)
            for policy, quota in ((ADDRESS, limits.of_address_max), (KEY, limits.of_key_max))
            if quota
        }
        self._windows = WindowStorage()
        self._limiter = FixedWindowRateLimiter(self._windows)

    def count_address(self, address: str) -> Standing | None:
        """Count a request from this address; None: there is no limit.

        Raises:
            ProblemError: RATE_LIMITED.
        """
        return self._count(ADDRESS, network_of(address))

    def count_key(self, key_id: str) -> Standing | None:
        """Count a request with this key; as `count_address`."""
        return self._count(KEY, key_id)

    def _count(self, policy: str, name: str) -> Standing | None:
        item = self._items.get(policy)
        if item is None:
            return None
        is_within = self._limiter.hit(item, name)
        count, ends_at_s = self._windows.window_of(item.key_for(name))
        reset_s = min(self._window_s, max(1, ceil(ends_at_s - time.time())))
        remaining = max(0, item.amount - count)
        standing = Standing(policy, item.amount, self._window_s, remaining, reset_s)
        if not is_within:
            raise _too_many(standing)
        return standing


@lru_cache(_CLIENTS_REMEMBERED)
def network_of(address: str) -> str:
    """What counts as one client: an address of IPv4, a /64 of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return f"{IPv6Address(int(found) >> _V6_HOST_BITS << _V6_HOST_BITS)}/{_V6_HOST_BITS}"
    return str(found)


def _too_many(standing: Standing) -> ProblemError:
    return problem(
        HttpReason.RATE_LIMITED,
        f"at most {standing.quota} requests in {standing.window_s} s of one {standing.policy};"
        f" nothing was done, ask again in {standing.reset_s} s",
        headers=standing.headers() | {"Retry-After": str(standing.reset_s)},
    )
