"""How values of the log look in JSON: prices and money as decimal strings, codes as their names.

models.py describes the same shapes for readers of the API; a test holds the two together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.domain.amounts import PRICE_SCALE, format_price
from services.domain.codes import (
    EXEC_TYPE_NAMES,
    LIQUIDITY_NAMES,
    MARKET,
    ORDER_STATUS_NAMES,
    ORDER_TYPE_NAMES,
    PENDING_NEW,
    SIDE_NAMES,
    TICKER_STATUS_NAMES,
)
from services.domain.commands import PlaceOrder
from services.domain.controls import Instrument
from services.domain.events import (
    AccountState,
    BookDepth,
    ExecutionReport,
    Level,
    TickerLimits,
    Trade,
)
from services.domain.origin import Origin
from services.domain.predictions import CLASS_NAMES, MODE_NAMES, Prediction
from services.domain.reasons import Reason
from services.gateway.core.book_changes import Changes
from services.gateway.core.candles import Candle
from services.wire.codec import Decoded

type View = dict[str, Any]

_NO_ORIGIN: Final = Origin(0, 0, 0, 0, 0, 0, 0)
_AVERAGE_PLACES: Final = 6
_AVERAGE_SCALE: Final = 10**_AVERAGE_PLACES


def order_view(decoded: Decoded[ExecutionReport]) -> View:
    """An order as its last report says it."""
    report = decoded.payload
    return {
        "order_id": report.order_id,
        "client_order_id": report.client_order_id,
        "ticker": report.ticker,
        "status": _name(ORDER_STATUS_NAMES, report.order_status),
        "side": _name(SIDE_NAMES, report.side),
        "order_type": _name(ORDER_TYPE_NAMES, report.order_type),
        "price": _price_of_order(report.order_type, report.price),
        "quantity": report.quantity,
        "cumulative_quantity": report.cumulative_quantity,
        "remaining_quantity": report.remaining_quantity,
        "average_price": average_price(report.cumulative_notional, report.cumulative_quantity),
        "last_exec_type": _name(EXEC_TYPE_NAMES, report.exec_type),
        "reason": reason_name(report.reason),
        "account_sequence": report.account_sequence,
        "updated_at_us": _origin(decoded).time_us,
    }


def submitted_view(command: PlaceOrder, order_id: str) -> View:
    """An order that is durable in `orders` and that risk has not spoken about."""
    return {
        "order_id": order_id,
        "client_order_id": command.client_order_id,
        "ticker": command.ticker,
        "status": ORDER_STATUS_NAMES[PENDING_NEW],
        "side": _name(SIDE_NAMES, command.side),
        "order_type": _name(ORDER_TYPE_NAMES, command.order_type),
        "price": _price_of_order(command.order_type, command.price),
        "quantity": command.quantity,
        "cumulative_quantity": 0,
        "remaining_quantity": command.quantity,
        "average_price": None,
        "last_exec_type": None,
        "reason": None,
        "account_sequence": None,
        "updated_at_us": None,
    }


def execution_view(decoded: Decoded[ExecutionReport]) -> View:
    """One report, as the executions channel sends it."""
    report = decoded.payload
    return order_view(decoded) | {
        "kind": "EXECUTION",
        "client_command_id": report.client_command_id or None,
        "last_quantity": report.last_quantity,
        "last_price": format_price(report.last_price) if report.last_quantity else None,
        "liquidity": _name(LIQUIDITY_NAMES, report.liquidity) if report.last_quantity else None,
        "trade_id": report.trade_id or None,
        "position": report.position,
        "position_worst": report.position_worst,
        "notional_worst": format_price(report.notional_worst),
        "exposure_worst": format_price(report.exposure_worst),
        "mark": _price_or_none(report.mark),
    }


def fill_view(decoded: Decoded[ExecutionReport]) -> View:
    """One fill, as GET /fills lists it."""
    report = decoded.payload
    return {
        "trade_id": report.trade_id,
        "order_id": report.order_id,
        "client_order_id": report.client_order_id,
        "ticker": report.ticker,
        "side": _name(SIDE_NAMES, report.side),
        "price": format_price(report.last_price),
        "quantity": report.last_quantity,
        "liquidity": _name(LIQUIDITY_NAMES, report.liquidity),
        "position": report.position,
        "account_sequence": report.account_sequence,
        "filled_at_us": _origin(decoded).time_us,
    }


def account_view(decoded: Decoded[AccountState]) -> View:
    """An account's limits and state, as the executions channel sends them."""
    state = decoded.payload
    return {
        "kind": "ACCOUNT_STATE",
        "account": state.account,
        "account_sequence": state.account_sequence,
        "client_command_id": state.client_command_id or None,
        "killed": state.killed,
        "short_allowed": state.short_allowed,
        "exposure_max": format_price(state.exposure_max),
        "position_max": state.position_max,
        "notional_max": format_price(state.notional_max),
        "tickers": [_ticker_limits_view(limits) for limits in state.tickers],
        "updated_at_us": _origin(decoded).time_us,
    }


def report_view(decoded: Decoded[Any]) -> View:
    """Any record of `executions`."""
    is_account_state = isinstance(decoded.payload, AccountState)
    return account_view(decoded) if is_account_state else execution_view(decoded)


def book_view(decoded: Decoded[BookDepth]) -> View:
    """A ticker's depth."""
    depth, origin = decoded.payload, _origin(decoded)
    return {
        "ticker": depth.ticker,
        "status": _name(TICKER_STATUS_NAMES, depth.status),
        "last_price": _price_or_none(depth.last_price),
        "bids": [_level_view(level) for level in depth.bids],
        "asks": [_level_view(level) for level in depth.asks],
        "offset": origin.offset,
        "updated_at_us": origin.time_us,
    }


def book_change_view(decoded: Decoded[BookDepth], changes: Changes) -> View:
    """A ticker's depth as it differs from an older one."""
    depth = decoded.payload
    return {
        "status": _name(TICKER_STATUS_NAMES, depth.status),
        "last_price": _price_or_none(depth.last_price),
        "bids": [_level_view(level) for level in changes.bids],
        "asks": [_level_view(level) for level in changes.asks],
        "updated_at_us": _origin(decoded).time_us,
    }


def ticker_view(decoded: Decoded[BookDepth], rules: Instrument | None) -> View:
    """A ticker in one line; without rules the genesis was not read yet."""
    depth = decoded.payload
    return {
        "ticker": depth.ticker,
        "status": _name(TICKER_STATUS_NAMES, depth.status),
        "last_price": _price_or_none(depth.last_price),
        "bid": format_price(depth.bids[0].price) if depth.bids else None,
        "ask": format_price(depth.asks[0].price) if depth.asks else None,
        "tick": None if rules is None else format_price(rules.tick),
        "sub_dollar_tick": None if rules is None else format_price(rules.sub_dollar_tick),
        "lot": None if rules is None else rules.lot,
        "order_quantity_max": None if rules is None else rules.order_quantity_max,
    }


def trade_view(decoded: Decoded[Trade]) -> View:
    """A trade as the public sees it: without accounts and order ids."""
    trade, origin = decoded.payload, _origin(decoded)
    return {
        "trade_id": trade.trade_id,
        "ticker": trade.ticker,
        "price": format_price(trade.price),
        "quantity": trade.quantity,
        "aggressor_side": _name(SIDE_NAMES, trade.aggressor_side),
        "bid": _price_or_none(trade.bid),
        "bid_quantity": trade.bid_quantity,
        "ask": _price_or_none(trade.ask),
        "ask_quantity": trade.ask_quantity,
        "trade_sequence": origin.sequence,
        "traded_at_us": origin.time_us,
    }


def candles_view(
    ticker: str, interval: str, candles: Sequence[Candle], trade_sequence: int | None
) -> View:
    """A ticker's candles of one interval, oldest first."""
    return {
        "ticker": ticker,
        "interval": interval,
        "trade_sequence": trade_sequence,
        "candles": [_candle_view(candle) for candle in candles],
    }


def predictions_view(predictions: Sequence[Prediction]) -> View:
    """What the models last said of a ticker."""
    return {"predictions": [_prediction_view(prediction) for prediction in predictions]}


def average_price(notional: int, quantity: int) -> str | None:
    """Dollars a share with 6 places, rounded half up; None before the first fill."""
    if quantity <= 0:
        return None
    scaled = (2 * notional * (_AVERAGE_SCALE // PRICE_SCALE) + quantity) // (2 * quantity)
    whole, fraction = divmod(scaled, _AVERAGE_SCALE)
    return f"{whole}.{fraction:0{_AVERAGE_PLACES}d}"


def reason_name(number: int) -> str | None:
    """The reason's word; None where there is none, its number where this code knows no word."""
    if number == Reason.NONE:
        return None
    try:
        return Reason(number).name
    except ValueError:
        return str(number)


def _origin(decoded: Decoded[Any]) -> Origin:
    return decoded.origin or _NO_ORIGIN


def _name(names: Mapping[int, str], code: int) -> str | None:
    return names.get(code)


def _price_of_order(order_type: int, price: int) -> str | None:
    return None if order_type == MARKET or not price else format_price(price)


def _price_or_none(price: int) -> str | None:
    return format_price(price) if price else None


def _level_view(level: Level) -> View:
    return {
        "price": format_price(level.price),
        "quantity": level.quantity,
        "orders": level.orders,
    }


def _candle_view(candle: Candle) -> View:
    return {
        "open_time_us": candle.open_time_us,
        "open": format_price(candle.open),
        "high": format_price(candle.high),
        "low": format_price(candle.low),
        "close": format_price(candle.close),
        "volume": candle.volume,
        "trades": candle.trades,
        "is_partial": candle.is_partial,
    }


def _prediction_view(prediction: Prediction) -> View:
    return {
        "request_id": prediction.request_id,
        "mode": _name(MODE_NAMES, prediction.mode),
        "model": prediction.model,
        "model_version": prediction.model_version,
        "feature_set": prediction.feature_set,
        "is_shadow": prediction.is_shadow,
        "is_degraded": prediction.is_degraded,
        "predicted_class": CLASS_NAMES[prediction.predicted_class],
        "probabilities": dict(zip(CLASS_NAMES, prediction.probabilities, strict=True)),
        "grid_time_us": prediction.grid_time_us,
        "served_at_us": prediction.served_at_us,
        "feature_age_us": max(0, prediction.served_at_us - prediction.grid_time_us),
    }


def _ticker_limits_view(limits: TickerLimits) -> View:
    return {
        "ticker": limits.ticker,
        "position": limits.position,
        "position_max": limits.position_max,
        "notional_max": format_price(limits.notional_max),
    }
