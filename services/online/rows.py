"""Rows as they go into the online store and come out of it. Light: Feast is not needed for them."""

import msgspec


class OnlineRow(msgspec.Struct, frozen=True):
    """One row for the online store; the reals stand in the order of the set's features."""

    ticker: str
    grid_time_us: int
    created_us: int
    reals: tuple[float | None, ...]


class Served(msgspec.Struct, frozen=True):
    """What the online store knows of a ticker."""

    ticker: str
    grid_time_us: int | None
    """Event time of the row; None: the ticker was never seen, and there are no values.

    When it was processed is not told here but in the lake: Feast's stores have no place for it,
    and a row's age is that of its event time.
    """
    fingerprint: str
    values: dict[str, float | None]
    """By feature, in the set's order; None: not defined at that time."""
