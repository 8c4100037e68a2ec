"""What operators ask for: each control is answered by the account's state, or refused."""

from typing import Any

from services.tools.proof.audit.model import numbers as n
from services.tools.proof.audit.model.accounts import Account, Holding, Order, Shard
from services.tools.proof.audit.model.orders import cancel_every, find_account, remember
from services.tools.proof.audit.model.reports import refuse, say_account
from services.tools.proof.audit.model.state import digest_command


def pass_over(_shard: Shard, _control: dict[str, Any]) -> None:
    """A genesis: the first one is taken before anything else, any other changes nothing."""


def set_mark(shard: Shard, control: dict[str, Any]) -> None:
    """A mark of an unknown ticker or out of range is passed over."""
    market = shard.markets.get(control["ticker"])
    if market is not None and 1 <= control["mark"] <= n.PRICE_MAX:
        market.mark = control["mark"]


def open_account(shard: Shard, control: dict[str, Any]) -> None:
    """ACCOUNT_EXISTS, TOO_MANY_ACCOUNTS, INVALID_LIMITS."""
    name = control["account"]
    account = shard.accounts.get(name)
    if account is not None:
        if not _was_answered(shard, account, "OpenAccount", control):
            refuse(shard, "OpenAccount", control, n.ACCOUNT_EXISTS)
        return
    if shard.genesis is None:
        reason = n.NO_GENESIS
    elif len(shard.accounts) >= shard.genesis["accounts_max"]:
        reason = n.TOO_MANY_ACCOUNTS
    elif any(control[limit] < 0 for limit in ("position_max", "notional_max", "exposure_max")):
        reason = n.INVALID_LIMITS
    else:
        account = shard.accounts[name] = Account(control)
        _answer(shard, account, "OpenAccount", control)
        return
    refuse(shard, "OpenAccount", control, reason)


def deposit(shard: Shard, control: dict[str, Any]) -> None:
    """TABLE_FULL, UNKNOWN_TICKER, INVALID_QUANTITY, SHORT_NOT_ALLOWED."""
    account = find_account(shard, "Deposit", control)
    if account is None or _was_answered(shard, account, "Deposit", control):
        return
    quantity = control["quantity"]
    market = shard.markets.get(control["ticker"])
    held = sells = 0
    if market is not None and market.ticker in account.holdings:
        holding = account.holdings[market.ticker]
        held, sells = holding.position, holding.sells
    after = held + quantity
    if shard.is_full():
        reason = n.TABLE_FULL
    elif market is None:
        reason = n.UNKNOWN_TICKER
    elif not quantity or abs(quantity) > n.QUANTITY_MAX or abs(after) > n.POSITION_MAX:
        reason = n.INVALID_QUANTITY
    elif quantity < 0 and after < sells and not account.short_allowed:
        reason = n.SHORT_NOT_ALLOWED
    else:
        holding = account.holding(market)
        holding.deposited += quantity
        holding.position = after
        _answer(shard, account, "Deposit", control)
        return
    refuse(shard, "Deposit", control, reason)


def set_limits(shard: Shard, control: dict[str, Any]) -> None:
    """UNKNOWN_TICKER, INVALID_LIMITS."""
    account = find_account(shard, "SetLimits", control)
    if account is None or _was_answered(shard, account, "SetLimits", control):
        return
    ticker = control["ticker"]
    if ticker and ticker not in shard.markets:
        refuse(shard, "SetLimits", control, n.UNKNOWN_TICKER)
        return
    position_max, notional_max = control["position_max"], control["notional_max"]
    exposure_max, short = control["exposure_max"], control["short_allowed"]
    is_valid = short in {-1, 0, 1} and min(position_max, notional_max, exposure_max) >= -1
    if is_valid and short == 0:
        is_valid = not any(h.sells > h.position for h in account.holdings.values())
    if not is_valid:
        refuse(shard, "SetLimits", control, n.INVALID_LIMITS)
        return
    target: Account | Holding = account.holding(shard.markets[ticker]) if ticker else account
    if position_max != n.UNCHANGED:
        target.position_max = position_max
    if notional_max != n.UNCHANGED:
        target.notional_max = notional_max
    if exposure_max != n.UNCHANGED:
        account.exposure_max = exposure_max
    if short != n.UNCHANGED:
        account.short_allowed = short == 1
    _answer(shard, account, "SetLimits", control)


def kill_switch(shard: Shard, control: dict[str, Any]) -> None:
    """Engaged: every live order is canceled, and new ones are refused until it is lifted."""
    account = find_account(shard, "KillSwitch", control)
    if account is None or _was_answered(shard, account, "KillSwitch", control):
        return
    account.killed = control["engaged"]
    if account.killed:
        cancel_every(shard, account, control["client_command_id"], "")
    _answer(shard, account, "KillSwitch", control)


def _was_answered(shard: Shard, account: Account, record: str, control: dict[str, Any]) -> bool:
    known = account.known.get(control["client_command_id"])
    if known is None:
        return False
    if isinstance(known, Order) or known.digest != digest_command(record, control):
        refuse(shard, record, control, n.DUPLICATE_CONFLICT)
    else:
        say_account(shard, account, control["client_command_id"])
    return True


def _answer(shard: Shard, account: Account, record: str, control: dict[str, Any]) -> None:
    remember(shard, account, record, control, "")
    say_account(shard, account, control["client_command_id"])
