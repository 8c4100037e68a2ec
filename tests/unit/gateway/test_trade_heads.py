import pytest

from services.gateway.core import trade_heads
from services.gateway.core.trade_heads import TradeHeadReader
from services.wire.codec import UndecodableError
from services.wire.topics import TRADES
from tests.support.gateway_memory import CODEC, origin, trade

LARGE = [0, 1, 63, 64, 8_191, 8_192, 2**40, 2**62]


@pytest.mark.parametrize("number", LARGE)
def test_a_head_says_what_the_whole_trade_says(number: int) -> None:
    said = trade(number)
    value = CODEC.encode(TRADES.name, origin(2**33, number, number), said)
    wanted = (number, number, said.price, said.quantity)
    assert TradeHeadReader(CODEC).read(value) == wanted


def test_a_layout_that_is_not_known_is_decoded_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_heads, "_LAYOUT", (("origin", "string"),))
    reader = TradeHeadReader(CODEC)
    value = CODEC.encode(TRADES.name, origin(sequence=5, time_us=6), trade(1))
    assert reader.read(value) == (5, 6, 1_872_500, 11)
    with pytest.raises(UndecodableError):
        reader.read(value[:20])


def test_a_record_that_ends_within_its_head_is_undecodable_and_never_a_crash() -> None:
    value = CODEC.encode(TRADES.name, origin(), trade())
    head_ends = value.index(b"AAPL-maker") - 2
    reader = TradeHeadReader(CODEC)
    for length in range(head_ends - 1):
        with pytest.raises(UndecodableError):
            reader.read(value[:length])
