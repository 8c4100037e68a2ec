"""Single features of a row, as functions of the tiles it stands on. Every set picks from these.

`last` is the newest tile before the grid time; `before` is the last tile before a window, or None
where no trade is known before it: then whatever the window should say is not defined.
"""

from typing import Final

from services.featuresets.integers import divide, square_root
from services.featuresets.tiles import RETURN_SCALE, Tile

RATIO_SCALE: Final = 1_000_000
MICROPRICE_SCALE: Final = 10_000
"""Parts of a price unit (1/10000 dollar) in which the microprice is stated: 1e-8 dollar."""


def price_return(last: Tile, before: Tile | None) -> int | None:
    """Last trade price against that at the window's start, 1e-9."""
    if before is None:
        return None
    return divide((last.price - before.price) * RETURN_SCALE, before.price)


def realised_volatility(last: Tile, before: Tile | None) -> int | None:
    """Root of the sum of squared returns from second to second, by last trade price, 1e-9."""
    if before is None:
        return None
    return square_root(last.squared_returns - before.squared_returns)


def trade_count(last: Tile, before: Tile | None) -> int | None:
    """Trades in the window."""
    return None if before is None else last.trades - before.trades


def signed_volume(last: Tile, before: Tile | None) -> int | None:
    """Shares bought less shares sold by aggressors in the window."""
    return None if before is None else last.signed_volume - before.signed_volume


def order_flow_imbalance(last: Tile, before: Tile | None) -> int | None:
    """Order flow at the top of the book up to the window's trades, bid less ask, shares.

    None where a book that it compares has neither side: a history without quotes shows no flow,
    which is not a flow of nothing.
    """
    if before is None or last.bookless > before.bookless or not (before.bid or before.ask):
        return None
    return last.order_flow - before.order_flow


def vwap_distance(last: Tile, before: Tile | None) -> int | None:
    """Last trade price against the window's volume-weighted average price, 1e-9."""
    if before is None:
        return None
    notional = last.notional - before.notional
    if notional == 0:
        return None
    volume = last.volume - before.volume
    return divide((last.price * volume - notional) * RETURN_SCALE, notional)


def mid(last: Tile) -> int | None:
    """Bid plus ask, which is the mid in 1/20000 dollar; None where a side is empty."""
    return last.bid + last.ask if last.bid and last.ask else None


def spread(last: Tile) -> int | None:
    """Ask less bid, 1/10000 dollar; None where a side is empty."""
    return last.ask - last.bid if last.bid and last.ask else None


def queue_imbalance(last: Tile) -> int | None:
    """Bid less ask quantity over their sum, 1e-6; None where both are empty."""
    both = last.bid_quantity + last.ask_quantity
    if both == 0:
        return None
    return divide((last.bid_quantity - last.ask_quantity) * RATIO_SCALE, both)


def microprice_minus_mid(last: Tile) -> int | None:
    """Half the spread times the queue imbalance, in 1e-8 dollar; None where a side is empty.

    The microprice weighs each side's price with the other side's quantity; less the mid that is
    (ask - bid) / 2 * (bid quantity - ask quantity) / (bid quantity + ask quantity).
    """
    if not (last.bid and last.ask):
        return None
    pull = (last.ask - last.bid) * (last.bid_quantity - last.ask_quantity)
    return divide(pull * MICROPRICE_SCALE, 2 * (last.bid_quantity + last.ask_quantity))
