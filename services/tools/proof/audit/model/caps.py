"""The limits read literally, from the orders themselves: a second opinion on each acceptance.

For an account and a ticker, p its position, m the mark, B and S the shares and VB and VS the money
of its open buys and sells:

    W = max(|p + B|, |p - S|)    E = max(|p m + VB|, |p m - VS|, |p| m)    X = sum of E

At an acceptance W, E and X are within their limits, or neither W nor E rose; and S <= p unless the
account may sell short. Adding up costs as much as there are open orders. So an account with more
than `ADDED_UP_AT_ONCE` of them is added up at one in so many acceptances that the cost of each
stays the same; in between, its running sums speak, which the next adding up proves or refutes.
"""

from typing import Final

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model import said
from services.tools.proof.audit.model.accounts import Account, Holding, Order, Shard, weigh

ADDED_UP_AT_ONCE: Final = 48
"""Open orders of an account that are added up at every acceptance."""

type Sums = tuple[int, int, int, int]


def add_up(holding: Holding) -> Sums:
    """B, S, VB and VS, from the open orders."""
    buys = sells = buys_money = sells_money = 0
    for order in holding.live.values():
        if order.pending is None:
            shares = order.quantity - order.filled
            money = shares * order.value
        else:
            shares, money = weigh(order)
        if order.side == n.BUY:
            buys += shares
            buys_money += money
        else:
            sells += shares
            sells_money += money
    return buys, sells, buys_money, sells_money


def check_acceptance(
    shard: Shard, account: Account, holding: Holding, order: Order, before: tuple[int, int]
) -> None:
    """Judge an acceptance that has taken effect; `before`: what the order weighed without it."""
    shard.counts.accepted += 1
    account.unread += 1
    if account.live_count > ADDED_UP_AT_ONCE * account.unread:
        return
    account.unread = 0
    shard.counts.added_up += 1
    exposure = 0
    mine: Sums = (0, 0, 0, 0)
    for other in account.holdings.values():
        sums = add_up(other) if other.live else (0, 0, 0, 0)
        check_sums(shard, account, other, sums)
        if other is holding:
            mine = sums
        held = other.position * other.market.mark
        exposure += max(abs(held + sums[2]), abs(held - sums[3]), abs(held))
    position = holding.position
    held = position * holding.market.mark
    buys, sells, buys_money, sells_money = mine
    shares = max(abs(position + buys), abs(position - sells))
    money = max(abs(held + buys_money), abs(held - sells_money), abs(held))
    if (
        shares > account.position_limit(holding)
        or money > account.notional_limit(holding)
        or exposure > account.exposure_max
    ):
        now = weigh(order)
        if order.side == n.BUY:
            buys += before[0] - now[0]
            buys_money += before[1] - now[1]
        else:
            sells += before[0] - now[0]
            sells_money += before[1] - now[1]
        shares_before = max(abs(position + buys), abs(position - sells))
        money_before = max(abs(held + buys_money), abs(held - sells_money), abs(held))
        if shares > shares_before or money > money_before:
            shard.witness.report(
                said.CAPS,
                f"{order.order_id} of {account.name}: W {shares_before} to {shares}, "
                f"E {money_before} to {money}, exposure {exposure}",
            )
    if order.side == n.SELL and mine[1] > position and not account.short_allowed:
        shard.witness.report(
            said.SHORT, f"{order.order_id}: {mine[1]} open to sell, {position} held"
        )


def check_sums(shard: Shard, account: Account, holding: Holding, sums: Sums) -> None:
    """The running sums are those of the open orders."""
    kept = (holding.buys, holding.sells, holding.buys_money, holding.sells_money)
    if sums != kept:
        shard.witness.report(
            said.RESERVATION,
            f"{account.name} in {holding.market.ticker}: {kept} reserved, {sums} open",
        )


def check_rest(shard: Shard) -> None:
    """What holds of every account between two messages; at the end of the log."""
    counts = shard.counts
    live = bought = sold = 0
    for account in shard.accounts.values():
        own_live = 0
        for holding in account.holdings.values():
            check_sums(shard, account, holding, add_up(holding))
            _check_position(shard, account, holding)
            own_live += len(holding.live)
            bought += holding.bought
            sold += holding.sold
            for order in holding.live.values():
                if order.status > n.PARTIALLY_FILLED or order.filled >= order.quantity:
                    shard.witness.report(said.RESERVATION, f"{order.order_id} ended and reserves")
        if own_live != account.live_count:
            shard.witness.report(said.CONSERVATION, f"{account.name}: {own_live} orders are open")
        live += own_live
    closed = counts.filled + counts.canceled + counts.rejected
    if counts.submitted != closed + live:
        shard.witness.report(
            said.CONSERVATION,
            f"{counts.submitted} orders submitted, {closed} ended, {live} open",
        )
    if (bought, sold) != (counts.bought, counts.sold):
        shard.witness.report(said.CONSERVATION, f"{bought} bought and {sold} sold by account")


def _check_position(shard: Shard, account: Account, holding: Holding) -> None:
    expected = holding.deposited + holding.bought - holding.sold
    where = f"{account.name} in {holding.market.ticker}"
    if holding.position != expected:
        shard.witness.report(said.POSITION, f"{where}: {holding.position}, not {expected}")
    if holding.position < 0 and not account.short_allowed:
        shard.witness.report(said.SHORT, f"{where}: {holding.position} shares")
