"""Trades of `outcry bench features`, in one file for all its ways."""

from pathlib import Path
from typing import Final

import numpy as np

from services.tools.vectorfold.columns import TradeColumns

FIELDS: Final = TradeColumns._fields


def save_trades(path: Path, tickers: list[TradeColumns]) -> None:
    """All tickers' columns in one file, one under the other, with a number for the ticker."""
    columns = {
        field: np.concatenate([getattr(trades, field) for trades in tickers]) for field in FIELDS
    }
    ticker = np.repeat(np.arange(len(tickers)), [len(trades.price) for trades in tickers])
    np.savez(path, allow_pickle=False, ticker=ticker, **columns)


def load_trades(path: Path) -> tuple[np.ndarray, TradeColumns]:
    """Number of the ticker, and the columns."""
    with np.load(path) as file:
        return file["ticker"], TradeColumns(*(file[field] for field in FIELDS))
