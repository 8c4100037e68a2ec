"""Faults planted in risk, one at a time: the second implementation must find each of them.

(E without its third term is no fault: |p| m lies between |p m + VB| and |p m - VS|.)
"""

from collections.abc import Callable
from typing import Any, Final

import pytest

from services.domain.codes import EXEC_REPLACE_REJECTED, SELL
from services.domain.commands import CancelOrder, PlaceOrder, ReplaceOrder
from services.domain.controls import KillSwitch
from services.domain.events import CancelRefused, OrderFilled, ReplaceRefused
from services.domain.reasons import Reason
from services.risk import checks, commands, controls, core, limits, outcomes
from services.risk.accounts import Account, Holding, Order, Shard
from services.risk.core import RiskCore
from services.risk.outbox import Outbox
from tests.support.risk_flow import Flow, draw_ops
from tests.support.risk_market import RiskMarket, small_genesis
from tests.support.risk_oracle import audit

SEEDS_MAX: Final = 40
OPS: Final = 110

type Plant = Callable[[pytest.MonkeyPatch], None]
type Act = Callable[[Shard, Outbox, Any], None]


def play_with_restarts(seed: int) -> tuple[list[str], bool]:
    """One short day, with a restart from the dump now and then; what the oracle finds in it.

    Risk's own invariants may stop it before the day is over. The oracle still has to see why.
    """
    market = RiskMarket(small_genesis())
    flow = Flow(market)
    stopped = False
    try:
        flow.begin()
        for place, op in enumerate(draw_ops(seed, OPS), 1):
            flow.act(op)
            if place % 20 == 0:
                market.shards = [RiskCore.load(p, s.dump()) for p, s in enumerate(market.shards)]
        flow.finish()
    except (AssertionError, KeyError):
        stopped = True
    found = [finding for steps in market.steps for finding in audit(steps)]
    return found, stopped


def act_instead(kind: type, make: Callable[[Act], Act]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(core._ACTS, kind, make(core._ACTS[kind]))

    return plant


def after(kind: type, spoil: Act) -> Plant:
    """Do it right, then spoil something."""

    def make(act: Act) -> Act:
        def acting(shard: Shard, out: Outbox, payload: Any) -> None:  # noqa: ANN401
            act(shard, out, payload)
            spoil(shard, out, payload)

        return acting

    return act_instead(kind, make)


def find_live(shard: Shard, payload: Any) -> tuple[Holding, Order] | None:  # noqa: ANN401
    account = shard.accounts.get(payload.account)
    order = None if account is None else account.live.get(payload.order_id)
    return None if account is None or order is None else (account.holdings[order.ticker], order)


def release_at_cancel(shard: Shard, _: Outbox, command: CancelOrder) -> None:
    if found := find_live(shard, command):
        found[0].reserve(found[1], 0, 0)


def reserve_new_terms_only(shard: Shard, _: Outbox, command: ReplaceOrder) -> None:
    found = find_live(shard, command)
    if found is not None and found[1].pending is not None and found[1].pending.value:
        holding, order = found
        change = order.pending
        assert change is not None
        rest = change.quantity - order.cumulative_quantity
        holding.reserve(order, rest, rest * change.value)


def keep_the_difference(_: Act) -> Act:
    def acting(shard: Shard, out: Outbox, event: ReplaceRefused) -> None:
        if found := find_live(shard, event):
            found[1].pending = None
        outcomes._report_refusal(shard, out, event, EXEC_REPLACE_REJECTED)

    return acting


def forget_the_fills_price(make_act: Act) -> Act:
    def acting(shard: Shard, out: Outbox, event: OrderFilled) -> None:
        ticker = event.order_id.partition("-")[0]
        mark = shard.markets[ticker].mark
        make_act(shard, out, event)
        shard.markets[ticker].mark = mark

    return acting


def enter_duplicates_again(make_act: Act) -> Act:
    def acting(shard: Shard, out: Outbox, command: PlaceOrder) -> None:
        account = shard.accounts.get(command.account)
        if account is not None:
            account.known.pop(command.client_order_id, None)
        make_act(shard, out, command)

    return acting


def stay_silent(_: Act) -> Act:
    return lambda *_: None


def leak_what_a_replace_added(patch: pytest.MonkeyPatch) -> None:
    """A fill or a cancel ends the order while its replace is on its way."""
    honest = Shard.end

    def end(shard: Shard, account: Account, order: Order, status: int, reason: int) -> None:
        holding = account.holdings[order.ticker]
        rest = order.reserved_quantity
        change = order.pending
        honest(shard, account, order, status, reason)
        if change is not None and change.quantity > order.quantity:
            leaked = min(rest, change.quantity - order.quantity)
            holding.buy_quantity += leaked if order.side != SELL else 0
            holding.sell_quantity += leaked if order.side == SELL else 0

    patch.setattr(Shard, "end", end)


def forget_the_pending_replace_at_fills(patch: pytest.MonkeyPatch) -> None:
    def reserve(holding: Holding, order: Order) -> None:
        rest = order.quantity - order.cumulative_quantity
        holding.reserve(order, rest, rest * order.value)

    patch.setattr(outcomes, "_reserve_what_is_open", reserve)


def weigh_instead(
    spoil: Callable[[Callable[..., Any], Account, Holding, int, int, int], Any],
) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        honest = limits.weigh

        def weigh(account: Account, holding: Holding, side: int, quantity: int, value: int) -> Any:  # noqa: ANN401
            return spoil(honest, account, holding, side, quantity, value)

        patch.setattr(commands, "weigh", weigh)

    return plant


def without(*names: str) -> Plant:
    """The arithmetic takes these fields of the holding for 0."""

    def spoil(honest: Callable[..., Any], account: Account, holding: Holding, *asked: int) -> Any:  # noqa: ANN401
        kept = {name: getattr(holding, name) for name in names}
        for name in names:
            setattr(holding, name, 0)
        result = honest(account, holding, *asked)
        for name, value in kept.items():
            setattr(holding, name, value)
        return result

    return weigh_instead(spoil)


def passing(*reasons: Reason) -> Plant:
    def spoil(honest: Callable[..., Any], *asked: Any) -> Any:  # noqa: ANN401
        reason, *rest = honest(*asked)
        return (Reason.NONE if reason in reasons else reason, *rest)

    return weigh_instead(spoil)


def refuse_getting_out(patch: pytest.MonkeyPatch) -> None:
    """The limits apply to everybody, also to orders that raise neither W nor E."""

    def spoil(honest: Callable[..., Any], account: Account, holding: Holding, *asked: int) -> Any:  # noqa: ANN401
        reason, worst, money, exposure = honest(account, holding, *asked)
        reason = reason or limits._find_breach(account, holding, worst, money, exposure)
        return reason, worst, money, exposure

    weigh_instead(spoil)(patch)


def setting(module: object, name: str, value: object) -> Plant:
    return lambda patch: patch.setattr(module, name, value)


def let_the_killed_trade(patch: pytest.MonkeyPatch) -> None:
    honest = checks.find_form_fault

    def find(account: Account, *rest: Any) -> Reason:  # noqa: ANN401
        killed, account.killed = account.killed, False
        fault = honest(account, *rest)
        account.killed = killed
        return fault

    patch.setattr(commands, "find_form_fault", find)


def ignore_the_collar(patch: pytest.MonkeyPatch) -> None:
    honest = checks.find_mark_fault
    patch.setattr(commands, "find_mark_fault", lambda market, price: honest(market, 0 * price))


def skip_a_sequence(shard: Shard, _: Outbox, control: KillSwitch) -> None:
    if control.account in shard.accounts:
        shard.accounts[control.account].sequence += 1


def forget_everything(shard: Shard) -> None:
    while shard.ended:
        gone = shard.ended.popleft()
        account = shard.accounts[gone.account]
        known = {id(kept): name for name, kept in account.known.items()}
        del account.known[known[id(gone)]]
        if isinstance(gone, Order):
            del account.ended[gone.order_id]


FAULTS: Final[dict[str, Plant]] = {
    "a refused replace keeps the larger reservation": act_instead(
        ReplaceRefused, keep_the_difference
    ),
    "an order that ends under a pending replace leaks the difference": leak_what_a_replace_added,
    "a fill frees what a pending replace reserved": forget_the_pending_replace_at_fills,
    "a replace reserves its new terms alone": after(ReplaceOrder, reserve_new_terms_only),
    "a cancel releases when it is asked for": after(CancelOrder, release_at_cancel),
    "the dump leaves out what is remembered": setting(core, "_load_ended", lambda *_: None),
    "what ended is forgotten at once": setting(Shard, "forget", forget_everything),
    "a duplicate is entered again": act_instead(PlaceOrder, enter_duplicates_again),
    "a control sent again acts again": setting(controls, "_answered_before", lambda *_: False),
    "a command sent again acts again": setting(commands, "answered_before", lambda *_: False),
    "an order is valued at its price alone": setting(commands, "value_of", lambda price, _: price),
    "E leaves out the position": without("position"),
    "E leaves out the other orders": without("buy_value", "sell_value"),
    "W leaves out the other orders": without("buy_quantity", "sell_quantity"),
    "the portfolio is this ticker alone": setting(limits, "worst_exposure", lambda _: 0),
    "orders that raise only E pass the limits on money": passing(
        Reason.NOTIONAL_LIMIT, Reason.EXPOSURE_LIMIT
    ),
    "nobody checks the position limit": passing(Reason.POSITION_LIMIT),
    "the short rule is left out": passing(Reason.SHORT_NOT_ALLOWED),
    "the short rule looks at one order alone": without("sell_quantity"),
    "nobody can get out above a limit": refuse_getting_out,
    "a killed account goes on trading": let_the_killed_trade,
    "the collar is left open": ignore_the_collar,
    "a market order is protected at the mark": setting(
        commands, "protection_price", lambda market, _: market.mark
    ),
    "a fill leaves the mark as it was": act_instead(OrderFilled, forget_the_fills_price),
    "a sequence number is left out": after(KillSwitch, skip_a_sequence),
    "a cancel that came too late gets no answer": act_instead(CancelRefused, stay_silent),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_oracle_finds_a_planted_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    assert any(play_with_restarts(seed)[0] for seed in range(SEEDS_MAX)), fault


def test_the_oracle_finds_nothing_where_nothing_is_planted() -> None:
    assert [play_with_restarts(seed) for seed in range(12)] == [([], False)] * 12
