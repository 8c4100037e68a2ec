"""Who trades in the simulated crowd, with what limits, and the controls that let them in.

Each seed has accounts of its own, so that crowds of several seeds may trade side by side.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import count, islice
from typing import Final

import msgspec

from services.domain.amounts import PRICE_SCALE
from services.domain.controls import Control, Deposit, OpenAccount, SetMark
from services.domain.genesis import TICKERS
from services.wire.partition import account_partition
from services.wire.topics import ACCOUNT_PARTITIONS


class Role(StrEnum):
    """What an account is after."""

    MAKER = "maker"
    """Quotes both sides around the mid and cancels what is old."""
    INFORMED = "informed"
    """Takes in the direction in which the mid is about to drift."""
    NOISE = "noise"
    """Takes and rests without a view; may not sell short, and holds shares to sell."""
    SMALL = "small"
    """Noise with limits so tight that risk often refuses."""


OPENING_CENTS: Final[Mapping[str, int]] = {
    "AAPL": 18_725,
    "MSFT": 41_510,
    "GOOGL": 17_240,
    "TSLA": 24_880,
    "NVDA": 12_035,
}
"""The first mark of each ticker, and what its mid returns to, in cents."""

_COUNTS: Final = ((Role.MAKER, 8), (Role.INFORMED, 4), (Role.NOISE, 12), (Role.SMALL, 2))

_WIDE: Final = (10_000_000, 10**10 * PRICE_SCALE, 5 * 10**10 * PRICE_SCALE)
_TIGHT: Final = (2_000, 300_000 * PRICE_SCALE, 600_000 * PRICE_SCALE)
_INVENTORY: Final = 1_000_000
"""What a noise account holds of each ticker at the opening, in shares."""


class Participant(msgspec.Struct, frozen=True):
    """One account of the crowd."""

    account: str
    role: Role


def participants(seed: int, shard: int | None = None) -> tuple[Participant, ...]:
    """The accounts of one seed, always the same.

    Args:
        seed: whose.
        shard: all of them of this partition of `accounts`. Whoever sends hours of event time within
            minutes needs it: the shards of risk race for the books, and would mix the hours.
    """
    return tuple(
        Participant(name, role)
        for role, accounts in _COUNTS
        for name in islice(_names(role, seed, shard), accounts)
    )


def _names(role: Role, seed: int, shard: int | None) -> Iterator[str]:
    names = (f"{role}-{seed}-{number:02}" for number in count(1))
    if shard is None:
        return names
    return (name for name in names if account_partition(name, ACCOUNT_PARTITIONS) == shard)


def crowd_controls(seed: int, shard: int | None = None) -> list[Control]:
    """What operators say before the crowd may trade: marks, accounts, opening positions.

    Sent again, they are the same commands and do nothing twice.
    """
    controls: list[Control] = [
        SetMark(f"mark-{seed}-{ticker}", ticker, OPENING_CENTS[ticker] * 100) for ticker in TICKERS
    ]
    for participant in participants(seed, shard):
        account = participant.account
        position, notional, exposure = _TIGHT if participant.role is Role.SMALL else _WIDE
        controls.append(
            OpenAccount(
                f"open-{account}",
                account,
                position,
                notional,
                exposure,
                short_allowed=participant.role in (Role.MAKER, Role.INFORMED),
            )
        )
        if participant.role is Role.NOISE:
            controls += [
                Deposit(f"deposit-{account}-{ticker}", account, ticker, _INVENTORY)
                for ticker in TICKERS
            ]
    return controls
