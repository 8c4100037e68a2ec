"""Which column of a file is which: the spellings that are understood.

A header is compared without case, blanks and signs: `Adj Close` and `adj_close` are one.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from services.tools.history.errors import HistoryError

SPELLINGS: Final = MappingProxyType(
    {
        "trades": MappingProxyType(
            {
                "ticker": ("ticker", "symbol", "sym", "instrument"),
                "time": ("time", "timestamp", "datetime", "ts", "eventtime", "tradetime", "t"),
                "date": ("date", "day"),
                "price": ("price", "tradeprice", "px", "p"),
                "quantity": ("size", "quantity", "qty", "shares", "volume", "tradesize"),
                "side": ("side", "aggressorside", "aggressor", "takerside", "direction"),
                "bid": ("bid", "bidprice", "bestbid", "bidpx"),
                "bid_quantity": ("bidsize", "bidquantity", "bidqty", "bestbidsize"),
                "ask": ("ask", "askprice", "bestask", "askpx", "offer"),
                "ask_quantity": ("asksize", "askquantity", "askqty", "bestasksize"),
                "sequence": ("sequence", "seq", "seqnum", "sequencenumber"),
                "trade_id": ("tradeid", "id", "execid", "matchid"),
            }
        ),
        "bars": MappingProxyType(
            {
                "ticker": ("ticker", "symbol", "sym", "instrument"),
                "time": ("time", "timestamp", "datetime", "ts", "t"),
                "date": ("date", "day"),
                "open": ("open", "o", "openprice"),
                "high": ("high", "h", "highprice"),
                "low": ("low", "l", "lowprice"),
                "close": ("close", "c", "closeprice", "last"),
                "volume": ("volume", "vol", "v"),
                "adjusted_close": ("adjclose", "adjustedclose", "closeadj"),
                "dividend": ("dividend", "dividends", "divcash", "dividendamount"),
                "split": ("split", "splits", "stocksplits", "splitfactor", "splitcoefficient"),
            }
        ),
    }
)
"""By kind of file, the columns it may have, each with its spellings."""

NEEDED: Final = MappingProxyType(
    {"trades": ("price", "quantity"), "bars": ("open", "high", "low", "close", "volume")}
)
"""Beside a ticker, which may be given apart, and a time."""


def find_columns(
    header: Sequence[str], kind: str, named: Mapping[str, str], *, has_ticker: bool
) -> dict[str, str]:
    """The header of each column that a file of this kind has.

    `named` are headers that were told apart, by column; they come first. With `has_ticker` the
    ticker is given apart, so that no column need tell it.

    Raises:
        HistoryError: one is missing, or two headers mean the same.
    """
    known = SPELLINGS[kind]
    for column, title in named.items():
        if column not in known:
            raise HistoryError(f"--column {column}=...: no column of {kind}: {', '.join(known)}")
        if title not in header:
            raise HistoryError(f"--column {column}={title}: no such header: {', '.join(header)}")
    found = dict(named)
    for title in header:
        meant = _column_of(title, known)
        if meant is None or meant in named or title in found.values():
            continue
        if meant in found:
            raise HistoryError(
                f"{found[meant]!r} and {title!r} both mean {meant}; choose with --column"
                f" {meant}=HEADER"
            )
        found[meant] = title
    missing = [column for column in NEEDED[kind] if column not in found]
    if "time" not in found and "date" not in found:
        missing.append("time")
    if "ticker" not in found and not has_ticker:
        missing.append("ticker (or give --ticker)")
    if missing:
        raise HistoryError(
            f"no column for {', '.join(missing)} among {', '.join(header)[:300]};"
            " name it with --column NAME=HEADER"
        )
    return found


def _column_of(title: str, known: Mapping[str, Sequence[str]]) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", title.lower())
    return next((column for column, spellings in known.items() if plain in spellings), None)
