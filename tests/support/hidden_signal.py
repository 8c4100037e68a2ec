"""Signals that no baseline knows how to look for, made of a planted one."""

from typing import Final

import numpy as np
import pyarrow as pa

from tests.support.markets import planted_signal_market

STRENGTH: Final = 0.9


def bent_market(
    rows: int, seed: int = 1, tickers: tuple[str, ...] = ("AAPL", "MSFT")
) -> "pa.Table":
    """The imbalance tells the direction, but with the other sign where it is weak.

    So neither its sign nor any weight tells much, and a tree sees it at once.
    """
    table = planted_signal_market(rows, STRENGTH, seed, tickers)
    true = table.column("queue_imbalance").to_numpy()
    bent = np.where(np.abs(true) < 0.5, -true, true)
    return _with(table, "queue_imbalance", bent)


def moved_market(
    rows: int, seed: int = 1, tickers: tuple[str, ...] = ("AAPL", "MSFT")
) -> "pa.Table":
    """What the imbalance tells stands in another column, where no rule looks."""
    table = planted_signal_market(rows, STRENGTH, seed, tickers)
    told = table.column("queue_imbalance")
    noise = table.column("signed_volume_5s").to_numpy() / 10_000
    moved = _with(table, "order_flow_imbalance_at_trades_5s", told.to_numpy() * 500)
    return _with(moved, "queue_imbalance", noise)


def _with(table: "pa.Table", name: str, values: "np.typing.NDArray[np.float64]") -> "pa.Table":
    column = pa.array(values, mask=np.isnan(values))
    return table.set_column(table.column_names.index(name), table.field(name), column)
