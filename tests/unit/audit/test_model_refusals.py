"""The audit's models refuse what the rooms refuse: every reason, before and after the genesis."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from services.domain import codes, commands, controls
from services.domain.genesis import default_genesis
from services.domain.ids import make_order_id
from services.domain.origin import CONTROLS, ORDERS, Origin
from services.domain.reasons import Reason
from services.tools.proof.audit.model import numbers
from services.wire.codec import Decoded
from services.wire.messages import Payload
from tests.support.model_beside import Beside
from tests.support.risk_market import RiskMarket, small_genesis

MARK = 1_000_000
SOUND = commands.PlaceOrder(
    "alice", "a-1", "AAPL", codes.BUY, codes.LIMIT, codes.GTC, False, MARK, 10, 0
)
SENSELESS: dict[str, list[object]] = {
    "account": ["nobody"],
    "ticker": ["NOPE", "", "MSFT"],
    "side": [0, 2, codes.SELL],
    "order_type": [0, 3, codes.MARKET],
    "time_in_force": [0, 2, codes.IOC, codes.FOK],
    "post_only": [True],
    "price": [0, -1, 50, 9_999, 1_000_050, 10**9, 10**9 + 1, 2**62, 1_200_000, 1_200_100],
    "quantity": [0, -1, 5, 15, 1_000_000, 1_000_010, 10**9 + 1, 2**62, 4_500, 5_010],
    "self_trade_prevention": [3, -1, 1],
}


def every_place() -> Iterator[commands.PlaceOrder]:
    """The sound order with each field, and each pair of fields, changed in each way."""
    changes = [(name, value) for name, values in SENSELESS.items() for value in values]
    for number, (name, value) in enumerate(changes):
        for other, other_value in changes[number:]:
            yield msgspec.structs.replace(SOUND, **{name: value, other: other_value})


def lots_of_ten() -> controls.Genesis:
    genesis = small_genesis(accounts_max=2, live_orders_max=4)
    instruments = tuple(
        msgspec.structs.replace(rules, lot=10, spread_limit=5_000) for rules in genesis.instruments
    )
    return msgspec.structs.replace(genesis, instruments=instruments, book_orders_max=3)


def opened(genesis: controls.Genesis, *accounts: str) -> RiskMarket:
    market = RiskMarket(genesis)
    market.send(controls.SetMark("m", "AAPL", MARK))
    for account in accounts:
        limits = (5_000, 4_000 * MARK, 4_500 * MARK)
        market.send(controls.OpenAccount("open", account, *limits, account != "alice"))
    market.drain()
    return market


def check_beside(market: RiskMarket) -> set[str]:
    """Both of every partition again; the reasons that reports gave."""
    reasons = set()
    for partition, steps in enumerate(market.steps):
        both = Beside("accounts", partition)
        for offset, message, outputs in steps:
            both.take(offset, message)
            reasons |= {Reason(getattr(said.payload, "reason", 0)).name for said in outputs}
        both.check_end()
    return reasons


def test_every_senseless_order_is_refused_alike() -> None:
    market = opened(lots_of_ten(), "alice", "bob")
    for number, place in enumerate(every_place()):
        market.send(msgspec.structs.replace(place, client_order_id=f"o{number}"))
        if number % 7 == 0:
            market.drain()
        if number % 150 == 0:
            market.send(commands.CancelAll("alice", f"all{number}", ""))
    market.drain()
    assert check_beside(market) >= {
        "UNKNOWN_ACCOUNT", "UNKNOWN_TICKER", "INVALID_SIDE", "INVALID_ORDER_TYPE",
        "INVALID_TIME_IN_FORCE", "INVALID_COMBINATION", "INVALID_SELF_TRADE_PREVENTION",
        "INVALID_PRICE", "OFF_TICK", "INVALID_QUANTITY", "OFF_LOT", "NO_MARK",
        "PRICE_OUTSIDE_COLLAR", "SHORT_NOT_ALLOWED", "POSITION_LIMIT", "NOTIONAL_LIMIT",
        "TOO_MANY_LIVE_ORDERS", "BOOK_FULL",
    }  # fmt: skip


def every_control(account: str) -> Iterator[Payload]:
    for number, quantity in enumerate([0, 10, -5, -(10**9), 10**9, 10**9 + 1, -(2**62)]):
        for ticker in ("AAPL", "MSFT", "NOPE", ""):
            yield controls.Deposit(f"d{number}{ticker}", account, ticker, quantity)
    for number, limit in enumerate([-2, -1, 0, 10**6, 2**62]):
        for ticker in ("AAPL", "NOPE", ""):
            for short in (-2, -1, 0, 1, 2):
                yield controls.SetLimits(
                    f"l{number}{ticker}{short}", account, ticker, limit, limit, limit, short
                )
    for engaged in (True, False):
        yield controls.KillSwitch(f"k{engaged}", account, engaged=engaged)
        yield commands.PlaceOrder(account, f"p{engaged}", "AAPL", 1, 2, 1, False, MARK, 10, 0)
    for mark in (0, -1, 10**9, 10**9 + 1, MARK):
        yield controls.SetMark("m", "AAPL", mark)
        yield controls.SetMark("m", "NOPE", mark)
    yield controls.OpenAccount("open", account, 1, 1, 1, short_allowed=False)
    yield controls.OpenAccount("again", account, 1, 1, 1, short_allowed=False)


def test_every_control_is_answered_alike_and_again_when_it_comes_again() -> None:
    market = opened(lots_of_ten())
    accounts = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
    for account in accounts:
        market.send(controls.OpenAccount("bad", account, -1, 1, 1, short_allowed=False))
        market.send(controls.OpenAccount("open", account, 9, 9, 9, short_allowed=False))
        for _ in range(2):
            for control in every_control(account):
                market.send(control)  # type: ignore[arg-type]  # whatever it is
        # Limits as high as they go, so that money at worst is more than a report can show.
        huge = controls.SetLimits(f"huge{account}", account, "", 2**62, 2**62, 2**62, 1)
        market.send(huge)
    market.drain()
    assert check_beside(market) >= {
        "ACCOUNT_EXISTS", "INVALID_LIMITS", "TOO_MANY_ACCOUNTS", "UNKNOWN_TICKER",
        "INVALID_QUANTITY", "SHORT_NOT_ALLOWED", "ACCOUNT_KILLED", "DUPLICATE_CONFLICT",
        "UNKNOWN_ACCOUNT",
    }  # fmt: skip


def test_full_tables_and_changes_of_orders_are_refused_alike() -> None:
    market = opened(small_genesis(remembered_max=12), "alice")
    order_id = make_order_id("alice", "a-1", "AAPL")
    market.send(SOUND)
    market.drain()
    changes: list[Any] = [
        commands.ReduceOrder("alice", "r1", order_id, 0),
        commands.ReplaceOrder("alice", "r2", order_id, MARK, 0),
        commands.ReplaceOrder("alice", "r3", order_id, MARK * 2, 10),
        commands.ReplaceOrder("alice", "r4", order_id, MARK, 10_000),
        commands.ReplaceOrder("alice", "r5", order_id, MARK - 100, 20),
        commands.ReplaceOrder("alice", "r6", order_id, MARK - 200, 20),
        commands.ReduceOrder("alice", "r7", order_id, 5),
        commands.CancelOrder("alice", "r8", "AAPL-none"),
        commands.CancelOrder("alice", "a-1", order_id),
        commands.CancelAll("alice", "r9", "NOPE"),
        commands.CancelAll("alice", "r5", ""),
    ]
    for change in changes * 2:
        market.send(change)
    market.drain()
    for number in range(6):
        market.send(msgspec.structs.replace(SOUND, client_order_id=f"b-{number}"))
        market.send(commands.ReduceOrder("alice", f"x{number}", order_id, 5))
        market.send(controls.Deposit(f"y{number}", "alice", "AAPL", 5))
        market.send(commands.CancelOrder("alice", f"z{number}", order_id))
    market.drain()
    assert check_beside(market) >= {
        "TABLE_FULL", "REPLACE_PENDING", "ORDER_ENDED", "UNKNOWN_ORDER", "DUPLICATE_CONFLICT",
        "POSITION_LIMIT", "PRICE_OUTSIDE_COLLAR", "INVALID_QUANTITY",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(SENSELESS))
def test_an_order_sent_again_is_known_for_the_same_or_another_alike(name: str) -> None:
    market = opened(small_genesis(), "alice", "bob")
    for place in (SOUND, msgspec.structs.replace(SOUND, price=0, client_order_id="bad")):
        market.send(place)
        for value in SENSELESS[name]:
            market.send(msgspec.structs.replace(place, **{name: value}))
            market.send(place)
        market.drain()
    reasons = check_beside(market)
    assert ("UNKNOWN_ACCOUNT" if name == "account" else "DUPLICATE_CONFLICT") in reasons


def test_before_the_genesis_everything_is_refused_alike() -> None:
    both = Beside("accounts", 3)
    asked: list[Payload] = [
        SOUND,
        commands.CancelOrder("alice", "c", "AAPL-x"),
        commands.ReduceOrder("alice", "c", "AAPL-x", 1),
        commands.ReplaceOrder("alice", "c", "AAPL-x", 1, 1),
        commands.CancelAll("alice", "c", "AAPL"),
        controls.OpenAccount("o", "alice", 1, 1, 1, short_allowed=True),
        controls.Deposit("d", "alice", "AAPL", 1),
        controls.SetLimits("l", "alice", "AAPL", 1, 1, 1, 1),
        controls.SetMark("m", "AAPL", MARK),
        controls.KillSwitch("k", "alice", engaged=True),
    ]
    stream = [*asked, default_genesis("late"), *asked, default_genesis("later"), *asked]
    for offset, payload in enumerate(stream):
        topic = ORDERS if payload.__class__.__module__.endswith("commands") else CONTROLS
        origin = Origin(topic, 0, offset, 0, 0, 5_000_000 - offset, 0)
        both.take(offset, Decoded(origin, payload, 0))
        both.check_states()
    both.check_end()


def test_the_models_number_everything_as_the_domain_does() -> None:
    """The numbers were written down twice; here they are read side by side."""
    stated = {name: value for name, value in vars(numbers).items() if name.isupper()}
    reasons = {reason.name: int(reason) for reason in Reason if reason}
    # UNKNOWN_ORDER, FILLED and the like are statuses or types elsewhere, with names of their own.
    assert {name: stated.get(name) for name in reasons} == reasons
    named = {
        name: value
        for name, value in vars(codes).items()
        if isinstance(value, int) and name in stated
    }
    assert {name: stated[name] for name in named} == named
    assert len(named) > 25


@pytest.mark.parametrize("price", [1, 99, 9_999, 10_000, 10_099, 123_456_700, 10**9])
@pytest.mark.parametrize("side", [codes.BUY, codes.SELL])
def test_a_market_order_is_protected_at_the_same_price(price: int, side: int) -> None:
    for band_bps in (0, 1, 500, 9_999):
        genesis = small_genesis()
        rules = msgspec.structs.replace(genesis.instruments[0], market_band_bps=band_bps)
        market = RiskMarket(msgspec.structs.replace(genesis, instruments=(rules,)))
        market.send(controls.SetMark("m", "AAPL", price))
        market.send(controls.OpenAccount("o", "alice", 10**6, 10**17, 10**17, short_allowed=True))
        place = commands.PlaceOrder("alice", "a", "AAPL", side, 1, 3, False, 0, 7, 0)
        market.send(place)
        market.drain()
        assert "NO_LIQUIDITY" in check_beside(market)
