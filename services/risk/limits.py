"""Shares and money at worst, and the limits on them.

For one account and ticker: position p, mark m, open buys B and open sells S in shares, and the
same at the value fixed when each order was accepted: VB and VS.

    W = max(|p + B|, |p - S|)                 shares at worst
    E = max(|p m + VB|, |p m - VS|, |p| m)    money at worst
    X = sum of E over the account's tickers   a ticker without a mark counts its orders alone

B, S, VB and VS are never negative, so p + B is the upper end and p - S the lower one, and the
larger of their magnitudes is max(p + B, S - p). Likewise for E, whose third term lies between the
first two. That is how they are computed here.
"""

from typing import Final

from services.domain.codes import BUY
from services.domain.reasons import Reason
from services.risk.accounts import Account, Holding

INT64_MAX: Final = 2**63 - 1
"""What a report can carry: money at worst beyond it is shown as it. Checks use the whole number."""


def value_of(price: int, mark: int) -> int:
    """What each share of an order is valued at from its acceptance on, in 1/10000 dollar."""
    return price if price > mark else mark  # noqa: FURB136 - half the time of max()


def worst_shares(holding: Holding) -> int:
    """W, in shares."""
    return max(
        holding.position + holding.buy_quantity,
        holding.sell_quantity - holding.position,
    )


def worst_money(holding: Holding) -> int:
    """E, in 1/10000 dollar."""
    held = holding.position * holding.market.mark
    return max(held + holding.buy_value, holding.sell_value - held)


def worst_exposure(account: Account) -> int:
    """X, in 1/10000 dollar."""
    total = 0
    for holding in account.holdings.values():
        held = holding.position * holding.market.mark
        upper = held + holding.buy_value
        lower = holding.sell_value - held
        total += upper if upper > lower else lower  # noqa: FURB136 - the hot loop; as above
    return total


def weigh(
    account: Account, holding: Holding, side: int, quantity: int, value: int
) -> tuple[Reason, int, int, int]:
    """May this much more be reserved on this side? With W, E and X as they would then be.

    The short rule always applies. The limits do not apply to what raises neither W nor E: people
    must be able to get out.
    """
    position = holding.position
    held = position * holding.market.mark
    upper = position + holding.buy_quantity
    lower = holding.sell_quantity - position
    worst_before = max(lower, upper)
    upper_money = held + holding.buy_value
    lower_money = holding.sell_value - held
    money_before = max(lower_money, upper_money)
    if side == BUY:
        upper += quantity
        upper_money += value
    else:
        lower += quantity
        lower_money += value
    worst = max(lower, upper)
    money = max(lower_money, upper_money)
    exposure = worst_exposure(account) - money_before + money
    reason = Reason.NONE
    if side != BUY and lower > 0 and not account.short_allowed:
        reason = Reason.SHORT_NOT_ALLOWED
    elif worst > worst_before or money > money_before:
        reason = _find_breach(account, holding, worst, money, exposure)
    return reason, worst, money, exposure


def _find_breach(
    account: Account, holding: Holding, worst: int, money: int, exposure: int
) -> Reason:
    if worst > position_max(account, holding):
        return Reason.POSITION_LIMIT
    if money > notional_max(account, holding):
        return Reason.NOTIONAL_LIMIT
    if exposure > account.exposure_max:
        return Reason.EXPOSURE_LIMIT
    return Reason.NONE


def position_max(account: Account, holding: Holding) -> int:
    """The limit on W in this ticker: its own, or the account's."""
    own = holding.position_max
    return account.position_max if own < 0 else own


def notional_max(account: Account, holding: Holding) -> int:
    """The limit on E in this ticker: its own, or the account's."""
    own = holding.notional_max
    return account.notional_max if own < 0 else own
