from typing import Any

import pytest
from pydantic import BaseModel

from services.domain import codes
from services.domain.commands import PlaceOrder
from services.domain.events import AccountState, BookDepth, TickerLimits
from services.domain.genesis import default_genesis
from services.domain.reasons import Reason
from services.gateway import models, request_models, views
from services.gateway.core.candles import Candle
from services.wire.codec import Decoded
from tests.support.gateway_memory import book, origin, prediction, report, trade

FILL = report(
    exec_type=codes.EXEC_TRADE, order_status=codes.PARTIALLY_FILLED, last_quantity=30,
    last_price=1_872_450, liquidity=codes.TAKER, trade_id="AAPL-7-0", cumulative_quantity=30,
    remaining_quantity=70, cumulative_notional=30 * 1_872_450, position=30, client_command_id="",
)  # fmt: skip
STATE = AccountState("bob", 9, "open-bob", killed=True, short_allowed=False, exposure_max=10**12,
                     position_max=5, notional_max=10**10,
                     tickers=(TickerLimits("AAPL", -3, 5, 10**9),))  # fmt: skip
MARKET = report(order_type=codes.MARKET, price=0, mark=0, reason=Reason.NO_MARK,
                exec_type=codes.EXEC_REJECTED, order_status=codes.REJECTED)  # fmt: skip
EMPTY_BOOK = BookDepth("TSLA", codes.HALTED, 0, (), ())
NOBODY = report(account_sequence=0, order_status=codes.NO_ORDER, side=0, order_type=0, price=0,
                exec_type=codes.EXEC_COMMAND_REJECTED, reason=Reason.UNKNOWN_ACCOUNT)  # fmt: skip
COMMAND = PlaceOrder("alice", "a-1", "AAPL", codes.SELL, codes.MARKET, codes.IOC, post_only=False,
                     price=0, quantity=2, self_trade_prevention=0)  # fmt: skip
CANDLE = Candle(86_400_000_000, 1_872_500, 1_872_550, 1_872_400, 1_872_500, 30, 2, is_partial=True)


def decoded(payload: Any) -> Decoded[Any]:  # noqa: ANN401
    return Decoded(origin(offset=7, sequence=11), payload, 0)


@pytest.mark.parametrize(
    "model,view",
    [
        (models.Order, views.order_view(decoded(report()))),
        (models.Order, views.order_view(decoded(MARKET))),
        (models.Order, views.order_view(decoded(NOBODY))),
        (models.Order, views.submitted_view(COMMAND, "AAPL-1")),
        (models.Execution, views.report_view(decoded(report()))),
        (models.Execution, views.report_view(decoded(FILL))),
        (models.Account, views.report_view(decoded(STATE))),
        (models.Book, views.book_view(decoded(book()))),
        (models.Book, views.book_view(decoded(EMPTY_BOOK))),
        (models.TickerLine, views.ticker_view(decoded(book()), default_genesis().instruments[0])),
        (models.TickerLine, views.ticker_view(decoded(EMPTY_BOOK), None)),
        (models.PublicTrade, views.trade_view(decoded(trade()))),
        (models.Candles, views.candles_view("AAPL", "1s", [], None)),
        (models.Candles, views.candles_view("AAPL", "1d", [CANDLE], 7)),
        (models.Predictions, views.predictions_view([])),
        (models.Predictions, views.predictions_view([prediction(), prediction(is_shadow=True)])),
    ],
)
def test_what_is_shown_is_what_openapi_describes(model: type[BaseModel], view: views.View) -> None:
    assert model.model_validate(view).model_dump() == view


@pytest.mark.parametrize(
    "names,model,field",
    [
        (codes.ORDER_STATUS_NAMES, models.Order, "status"),
        (codes.EXEC_TYPE_NAMES, models.Order, "last_exec_type"),
        (codes.SIDE_NAMES, models.Order, "side"),
        (codes.ORDER_TYPE_NAMES, models.Order, "order_type"),
        (codes.LIQUIDITY_NAMES, models.Execution, "liquidity"),
        (codes.TICKER_STATUS_NAMES, models.Book, "status"),
        (codes.SIDE_NAMES, request_models.PlaceOrderRequest, "side"),
        (codes.ORDER_TYPE_NAMES, request_models.PlaceOrderRequest, "order_type"),
        (codes.TIME_IN_FORCE_NAMES, request_models.PlaceOrderRequest, "time_in_force"),
        (
            codes.SELF_TRADE_PREVENTION_NAMES,
            request_models.PlaceOrderRequest,
            "self_trade_prevention",
        ),
    ],
)
def test_openapi_lists_every_name_of_a_code(
    names: dict[int, str], model: type[BaseModel], field: str
) -> None:
    schema = model.model_json_schema()["properties"][field]
    branches = [schema, *schema.get("anyOf", ())]
    assert set(names.values()) in [set(branch.get("enum", ())) for branch in branches]


def test_a_fill_is_shown_with_its_price_and_the_average_of_all() -> None:
    view = views.execution_view(decoded(FILL))
    assert view["last_price"] == "187.2450"
    assert view["average_price"] == "187.245000"
    assert view["client_command_id"] is None


@pytest.mark.parametrize(
    "notional,quantity,shown",
    [
        (0, 0, None),
        (1_872_500 * 3, 3, "187.250000"),
        (10_000 + 10_000 + 10_100, 3, "1.003333"),
        (20_000 + 20_001, 2, "2.000050"),
        (1, 3, "0.000033"),
        (2, 3, "0.000067"),
        (10**18, 10**9, "100000.000000"),
    ],
)
def test_the_average_price_is_rounded_to_six_places(
    notional: int, quantity: int, shown: str | None
) -> None:
    assert views.average_price(notional, quantity) == shown


def test_a_market_order_has_no_price_and_an_empty_side_no_top() -> None:
    assert views.order_view(decoded(MARKET))["price"] is None
    line = views.ticker_view(decoded(EMPTY_BOOK), None)
    assert (line["last_price"], line["bid"], line["ask"]) == (None, None, None)
    assert line["status"] == "HALTED"


def test_a_trade_is_shown_without_who_traded() -> None:
    view = views.trade_view(decoded(trade()))
    assert not [value for value in view.values() if "account" in str(value)]
    assert "AAPL-maker" not in view.values()
    assert view["trade_sequence"] == 11


def test_a_reason_this_code_does_not_know_is_shown_by_its_number() -> None:
    assert views.reason_name(0) is None
    assert views.reason_name(Reason.EXPOSURE_LIMIT) == "EXPOSURE_LIMIT"
    assert views.reason_name(9_999) == "9999"
