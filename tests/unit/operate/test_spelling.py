import msgspec
import pytest

from services.domain import codes
from services.domain.events import AccountState, BookDepth, Level, TickerLimits, Trade
from services.tools.operate.options import read_quantity, read_shares
from services.tools.operate.spelling import (
    CODE_FIELDS,
    MONEY_FIELDS,
    average_price,
    read_amount,
    read_price,
    spell,
)
from services.wire.messages import payload_class
from services.wire.topics import TOPICS


def test_money_is_spelled_in_dollars_and_codes_by_name_wherever_they_occur() -> None:
    depth = BookDepth("AAPL", codes.HALTED, 1_872_500, (Level(1_872_400, 5, 1),), ())
    assert spell(depth) == {
        "ticker": "AAPL",
        "status": "HALTED",
        "last_price": "187.25",
        "bids": [{"price": "187.24", "quantity": 5, "orders": 1}],
        "asks": [],
    }
    limits = (TickerLimits("AAPL", -5, 100, 20_000),)
    state = AccountState("ann", 1, "c", False, True, 10_000, 1, 5_000, limits)
    spelled = spell(state)
    assert (spelled["exposure_max"], spelled["killed"]) == ("1.00", False)
    assert spelled["tickers"][0]["notional_max"] == "2.00"
    assert spelled["tickers"][0]["position"] == -5


def test_a_code_that_nobody_knows_is_spelled_as_its_number() -> None:
    assert spell(99, "exec_type") == "99"


def test_every_field_that_is_spelled_is_a_field_of_some_record() -> None:
    fields = {
        field.name
        for topic in TOPICS
        for record in topic.records
        for field in msgspec.structs.fields(payload_class(record))
    } | {field.name for field in msgspec.structs.fields(Level)}
    assert fields >= MONEY_FIELDS | CODE_FIELDS.keys()
    assert "price" in {field.name for field in msgspec.structs.fields(Trade)}


def test_an_average_price_is_rounded_down_and_empty_without_fills() -> None:
    assert average_price(1_872_501 * 100 + 99, 100) == "187.2501"
    assert average_price(0, 0) == ""


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "1e3", "", " 1", "1.00001", "inf"])
def test_a_price_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        read_price(text)


def test_prices_amounts_and_quantities_are_read_exactly() -> None:
    assert read_price("187.25") == 1_872_500
    assert read_amount("0") == 0
    assert read_quantity("-5") == -5
    assert read_shares("9223372036854775807") == 2**63 - 1


@pytest.mark.parametrize("text", ["1.5", "", "1_000", "9223372036854775808", "five", "٣"])
def test_a_quantity_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number of shares"):
        read_quantity(text)


@pytest.mark.parametrize("read,text", [(read_shares, "-1"), (read_amount, "-0.01")])
def test_less_than_nothing_is_refused_where_it_makes_no_sense(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=r"less than none|is negative"):
        read(text)
