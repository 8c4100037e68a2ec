"""An order's body is judged alike with pydantic and without."""

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.gateway.quick_orders import quick_order
from services.gateway.request_models import EVENT_TIME_MAX_US, PlaceOrderRequest

RIGHT: Final[dict[str, Any]] = {
    "client_order_id": "a-1",
    "ticker": "AAPL",
    "side": "BUY",
    "order_type": "LIMIT",
    "time_in_force": "GTC",
    "price": "187.25",
    "quantity": 100,
}
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=70),
    st.lists(st.integers(), max_size=2), st.just("x" * 65),
)  # fmt: skip
VALUES: Final[dict[str, Any]] = {
    "client_order_id": st.sampled_from(["a", "a b", "", "é", "x" * 64, "x" * 65]),
    "ticker": st.sampled_from(["MSFT", "x" * 12, "x" * 13, "A B"]),
    "side": st.sampled_from(["SELL", "buy"]),
    "order_type": st.sampled_from(["MARKET", "STOP"]),
    "time_in_force": st.sampled_from(["IOC", "FOK", "DAY"]),
    "price": st.sampled_from(
        ["0", "-1", "1e3", "0.0001", "1.23456", "\u0661", "99999999999.9999", "1"]
    ),
    "quantity": st.sampled_from([0, 1, 1.0, "1", 10**9, 10**12, 10**30, True]),
    "post_only": st.sampled_from([True, False, 1, "true"]),
    "self_trade_prevention": st.sampled_from(["NONE", "CANCEL_INCOMING", "none"]),
    "event_time_us": st.sampled_from([0, -1, EVENT_TIME_MAX_US, EVENT_TIME_MAX_US + 1, 0.5]),
    "more": st.just(1),
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A right order with some members changed, and some left away."""
    found = dict(RIGHT)
    for name in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3)):
        found[name] = draw(st.one_of(VALUES[name], JUNK))
    for name in draw(st.lists(st.sampled_from(sorted(RIGHT)), max_size=1)):
        found.pop(name, None)
    return found


@given(documents())
def test_what_is_taken_quickly_is_what_pydantic_takes(document: dict[str, Any]) -> None:
    quick = quick_order(document)
    try:
        slow = PlaceOrderRequest.model_validate(document)
    except ValidationError:
        assert quick is None
        return
    assert quick is not None
    assert (quick.client_order_id, quick.event_time_us) == (
        slow.client_order_id, slow.event_time_us,
    )  # fmt: skip
    assert quick.command("alice", "a-1") == slow.command("alice", "a-1")


def test_each_right_order_of_the_document_is_taken_quickly() -> None:
    from services.gateway.documents import EXAMPLES

    examples = EXAMPLES[PlaceOrderRequest].values()
    assert [quick_order(example) is None for example in examples] == [False] * len(examples)
