"""microstructure_v2: the first version's features, with what running it taught.

Against microstructure_v1: returns are of the mid, since trade prices bounce between bid and ask;
five minutes are looked at, too; the spread is a fraction of the mid, so that tickers compare; and
the time since the last trade is in milliseconds. It has rows of its own beside the first's.
"""

from collections.abc import Sequence
from typing import Final

from services.featuresets import measures
from services.featuresets.definitions import Feature, FeatureSet
from services.featuresets.grid import SECOND_US
from services.featuresets.integers import divide
from services.featuresets.ticks import Tick
from services.featuresets.tiles import RETURN_SCALE, Tile, TileFold

_WINDOWS_S: Final = (1, 5, 30, 60, 300)
_MILLISECOND_US: Final = SECOND_US // 1_000
_RETURN: Final = (
    "Change of the mid after the last trade over the window, as a fraction of the older mid;"
    " undefined while either book lacks a side."
)
_VOLATILITY: Final = (
    "Root of the sum of squared second-to-second returns of the last trade price over the window;"
    " not annualised."
)
_FLOW: Final = (
    "Order-flow imbalance at the top of the book as seen at trades: shares that joined less shares"
    " that left, bid less ask, each trade's book against the one of the trade before."
    " What came and went between two trades does not show; undefined where a book has no side."
)
_VWAP: Final = (
    "Last trade price less the volume-weighted average price of the window, as a fraction of the"
    " latter; undefined in a window without a trade."
)

FEATURES: Final = (
    Feature("return_1s", _RETURN, "fraction", 1_000_000_000, "trades", 1),
    Feature("return_5s", _RETURN, "fraction", 1_000_000_000, "trades", 5),
    Feature("return_30s", _RETURN, "fraction", 1_000_000_000, "trades", 30),
    Feature("return_60s", _RETURN, "fraction", 1_000_000_000, "trades", 60),
    Feature("return_300s", _RETURN, "fraction", 1_000_000_000, "trades", 300),
    Feature("realised_volatility_60s", _VOLATILITY, "fraction", 1_000_000_000, "trades", 60),
    Feature("realised_volatility_300s", _VOLATILITY, "fraction", 1_000_000_000, "trades", 300),
    Feature("trade_intensity_5s", "Trades per second.", "1/s", 5, "trades", 5),
    Feature("trade_intensity_60s", "Trades per second.", "1/s", 60, "trades", 60),
    Feature(
        "signed_volume_5s", "Shares bought less sold by aggressors.", "shares", 1, "trades", 5
    ),
    Feature(
        "signed_volume_60s", "Shares bought less sold by aggressors.", "shares", 1, "trades", 60
    ),
    Feature("order_flow_imbalance_at_trades_5s", _FLOW, "shares", 1, "trades", 5),
    Feature("order_flow_imbalance_at_trades_60s", _FLOW, "shares", 1, "trades", 60),
    Feature(
        "spread",
        "Ask less bid as a fraction of the mid after the last trade; undefined while a side is"
        " empty.",
        "fraction", 1_000_000, "trades",
    ),
    Feature(
        "queue_imbalance",
        "Bid less ask quantity at the top, over their sum, after the last trade: -1 to 1.",
        "fraction", 1_000_000, "trades",
    ),
    Feature(
        "microprice_minus_mid",
        "Each side's price weighed with the other side's quantity, less the mid, after the last"
        " trade.",
        "dollar", 100_000_000, "trades",
    ),
    Feature("vwap_distance_60s", _VWAP, "fraction", 1_000_000_000, "trades", 60),
    Feature("vwap_distance_300s", _VWAP, "fraction", 1_000_000_000, "trades", 300),
    Feature(
        "time_since_last_trade",
        "From the last trade to the grid time, to the millisecond.",
        "s", 1_000, "trades",
    ),
    Feature(
        "mid",
        "Half of bid plus ask after the last trade: the level that labels and displays need; as"
        " an input of a model it only says which day it is.",
        "dollar", 20_000, "trades",
    ),
)  # fmt: skip


class MicrostructureV2Fold(TileFold):
    """The fold of one ticker."""

    def __init__(self) -> None:
        super().__init__(_WINDOWS_S, _row_values)


def _row_values(
    grid_time_us: int, last: Tile, before: Sequence[Tile | None]
) -> tuple[int | None, ...]:
    of_1s, of_5s, of_30s, of_60s, of_300s = before
    return (
        _mid_return(last, of_1s),
        _mid_return(last, of_5s),
        _mid_return(last, of_30s),
        _mid_return(last, of_60s),
        _mid_return(last, of_300s),
        measures.realised_volatility(last, of_60s),
        measures.realised_volatility(last, of_300s),
        measures.trade_count(last, of_5s),
        measures.trade_count(last, of_60s),
        measures.signed_volume(last, of_5s),
        measures.signed_volume(last, of_60s),
        measures.order_flow_imbalance(last, of_5s),
        measures.order_flow_imbalance(last, of_60s),
        _relative_spread(last),
        measures.queue_imbalance(last),
        measures.microprice_minus_mid(last),
        measures.vwap_distance(last, of_60s),
        measures.vwap_distance(last, of_300s),
        divide(grid_time_us - last.time_us, _MILLISECOND_US),
        measures.mid(last),
    )


def _mid_return(last: Tile, before: Tile | None) -> int | None:
    """Mid against that at the window's start, 1e-9; None where either book lacked a side."""
    if before is None:
        return None
    now, then = measures.mid(last), measures.mid(before)
    if now is None or then is None:
        return None
    return divide((now - then) * RETURN_SCALE, then)


def _relative_spread(last: Tile) -> int | None:
    """Spread over mid, 1e-6; None where a side is empty."""
    if not (last.bid and last.ask):
        return None
    return divide((last.ask - last.bid) * 2 * measures.RATIO_SCALE, last.bid + last.ask)


MICROSTRUCTURE_V2: Final = FeatureSet[Tick](
    "microstructure_v2", "trades", FEATURES, __name__, MicrostructureV2Fold
)
