"""microstructure_v1: what a ticker's trades of the last minute say, each second of event time."""

from collections.abc import Sequence
from typing import Final

from services.featuresets import measures
from services.featuresets.definitions import Feature, FeatureSet
from services.featuresets.ticks import Tick
from services.featuresets.tiles import Tile, TileFold

_WINDOWS_S: Final = (1, 5, 30, 60)
_RETURN: Final = "Change of the last trade price over the window, as a fraction of the older price."
_FLOW: Final = (
    "Order-flow imbalance at the top of the book as seen at trades: shares that joined less shares"
    " that left, bid less ask, each trade's book against the one of the trade before."
    " What came and went between two trades does not show; undefined where a book has no side."
)

FEATURES: Final = (
    Feature("return_1s", _RETURN, "fraction", 1_000_000_000, "trades", 1),
    Feature("return_5s", _RETURN, "fraction", 1_000_000_000, "trades", 5),
    Feature("return_30s", _RETURN, "fraction", 1_000_000_000, "trades", 30),
    Feature("return_60s", _RETURN, "fraction", 1_000_000_000, "trades", 60),
    Feature(
        "realised_volatility_60s",
        "Root of the sum of squared second-to-second returns of the last trade price;"
        " per minute, not annualised.",
        "fraction", 1_000_000_000, "trades", 60,
    ),
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
        "Ask less bid after the last trade; undefined while a side is empty.",
        "dollar", 10_000, "trades",
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
    Feature(
        "vwap_distance_60s",
        "Last trade price less the volume-weighted average price of the window, as a fraction of"
        " the latter; undefined in a window without a trade.",
        "fraction", 1_000_000_000, "trades", 60,
    ),
    Feature(
        "time_since_last_trade",
        "From the last trade to the grid time.",
        "s", 1_000_000, "trades",
    ),
    Feature(
        "mid",
        "Half of bid plus ask after the last trade: the level that labels and displays need; as"
        " an input of a model it only says which day it is.",
        "dollar", 20_000, "trades",
    ),
)  # fmt: skip


class MicrostructureV1Fold(TileFold):
    """The fold of one ticker."""

    def __init__(self) -> None:
        super().__init__(_WINDOWS_S, _row_values)


def _row_values(
    grid_time_us: int, last: Tile, before: Sequence[Tile | None]
) -> tuple[int | None, ...]:
    of_1s, of_5s, of_30s, of_60s = before
    return (
        measures.price_return(last, of_1s),
        measures.price_return(last, of_5s),
        measures.price_return(last, of_30s),
        measures.price_return(last, of_60s),
        measures.realised_volatility(last, of_60s),
        measures.trade_count(last, of_5s),
        measures.trade_count(last, of_60s),
        measures.signed_volume(last, of_5s),
        measures.signed_volume(last, of_60s),
        measures.order_flow_imbalance(last, of_5s),
        measures.order_flow_imbalance(last, of_60s),
        measures.spread(last),
        measures.queue_imbalance(last),
        measures.microprice_minus_mid(last),
        measures.vwap_distance(last, of_60s),
        grid_time_us - last.time_us,
        measures.mid(last),
    )


MICROSTRUCTURE_V1: Final = FeatureSet[Tick](
    "microstructure_v1", "trades", FEATURES, __name__, MicrostructureV1Fold
)
