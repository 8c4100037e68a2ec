"""What reports of before some offsets come to, beside what is read of the topic from there on."""

from collections.abc import Mapping
from typing import Literal

import msgspec


class Beginning(msgspec.Struct, frozen=True):
    """Where the read model's orders, positions and limits come from."""

    source: Literal["database", "topic"]
    """What was asked for the time before the first report that was folded; topic: nobody was."""
    is_whole: bool
    """Whether nothing that is older is missing."""
    reason: str | None
    """Why something is missing, or the database could not say what came before."""


class RecordedOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An order that was live."""

    account: str
    order_id: str
    status: int
    first_sequence: int
    """Of the first report of the order, in its account."""
    value: bytes
    """The last report that says its status; a record of `executions`, as all of these."""


class RecordedTicker(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an account held of a ticker."""

    account: str
    ticker: str
    accepted: bytes | None
    other: bytes | None


class Recorded(msgspec.Struct, frozen=True):
    """The state before the first offset that is yet to be folded, of each partition."""

    starts: Mapping[int, int]
    """Partition of `executions` to that offset."""
    orders: tuple[RecordedOrder, ...] = ()
    """The oldest first, within each account."""
    tickers: tuple[RecordedTicker, ...] = ()
    states: tuple[tuple[str, bytes], ...] = ()
    """The last ACCOUNT_STATE of each account."""
    sequences: Mapping[str, int] = msgspec.field(default_factory=dict)
    """The last number of each account."""
    lacks: str = ""
    """Why something of that time may be missing; empty: nothing is."""
