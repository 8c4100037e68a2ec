"""What operators ask for. Each is answered by the account's state as it is then, or refused.

A control sent again, same id and payload, changes nothing and is answered by the present state,
for as long as its id is remembered. Genesis and SetMark belong to no account and have no answer:
a second genesis, a mark of an unknown ticker, and a mark out of range are passed over.
"""

from typing import Final

from services.domain.amounts import PRICE_MAX, QUANTITY_MAX
from services.domain.controls import (
    UNCHANGED,
    Deposit,
    Genesis,
    KillSwitch,
    OpenAccount,
    SetLimits,
    SetMark,
)
from services.domain.reasons import Reason
from services.risk.accounts import Account, Order, Shard, digest_payload
from services.risk.commands import admit, fan_out_cancels
from services.risk.outbox import Outbox
from services.risk.reports import AccountControl, refuse_command, report_account

POSITION_MAX: Final = 10**15
"""Most shares, long or short, that deposits may add up to."""


def begin(shard: Shard, _: Outbox, control: Genesis) -> None:
    """The core has taken the first genesis already; any other one changes nothing."""
    assert shard.genesis is not None, f"{control.deployment}: the genesis was not taken"


def set_mark(shard: Shard, _: Outbox, control: SetMark) -> None:
    """State a mark. The next trade replaces it."""
    market = shard.markets.get(control.ticker)
    if market is not None and 0 < control.mark <= PRICE_MAX:
        market.mark = control.mark


def open_account(shard: Shard, out: Outbox, control: OpenAccount) -> None:
    """Open an account; its limits hold in every ticker that gets none of its own."""
    if shard.genesis is None:
        refuse_command(shard, out, control, Reason.NO_GENESIS)
        return
    known = shard.accounts.get(control.account)
    if known is not None:
        if not _answered_before(shard, out, known, control):
            refuse_command(shard, out, control, Reason.ACCOUNT_EXISTS)
        return
    if len(shard.accounts) >= shard.genesis.accounts_max:
        refuse_command(shard, out, control, Reason.TOO_MANY_ACCOUNTS)
        return
    if min(control.position_max, control.notional_max, control.exposure_max) < 0:
        refuse_command(shard, out, control, Reason.INVALID_LIMITS)
        return
    account = Account(control.account)
    account.position_max = control.position_max
    account.notional_max = control.notional_max
    account.exposure_max = control.exposure_max
    account.short_allowed = control.short_allowed
    shard.accounts[control.account] = account
    _answer(shard, out, account, control)


def deposit(shard: Shard, out: Outbox, control: Deposit) -> None:
    """Add shares, or take them away; the limits do not apply to an operator."""
    account = admit(shard, out, control)
    if account is None or _answered_before(shard, out, account, control):
        return
    if shard.is_full():
        # Forgetting a deposit would let a resend add it twice.
        refuse_command(shard, out, control, Reason.TABLE_FULL)
        return
    market = shard.markets.get(control.ticker)
    if market is None:
        refuse_command(shard, out, control, Reason.UNKNOWN_TICKER)
        return
    holding = account.holding(market)
    position = holding.position + control.quantity
    if not 0 < abs(control.quantity) <= QUANTITY_MAX or abs(position) > POSITION_MAX:
        refuse_command(shard, out, control, Reason.INVALID_QUANTITY)
        return
    if control.quantity < 0 and position < holding.sell_quantity and not account.short_allowed:
        refuse_command(shard, out, control, Reason.SHORT_NOT_ALLOWED)
        return
    holding.position = position
    _answer(shard, out, account, control)


def set_limits(shard: Shard, out: Outbox, control: SetLimits) -> None:
    """Change limits. An account may find itself above a lowered one; then it can only get out."""
    account = admit(shard, out, control)
    if account is None or _answered_before(shard, out, account, control):
        return
    market = shard.markets.get(control.ticker)
    if control.ticker and market is None:
        refuse_command(shard, out, control, Reason.UNKNOWN_TICKER)
        return
    if not _are_valid_limits(account, control):
        refuse_command(shard, out, control, Reason.INVALID_LIMITS)
        return
    target = account if market is None else account.holding(market)
    if control.position_max != UNCHANGED:
        target.position_max = control.position_max
    if control.notional_max != UNCHANGED:
        target.notional_max = control.notional_max
    if control.exposure_max != UNCHANGED:
        account.exposure_max = control.exposure_max
    if control.short_allowed != UNCHANGED:
        account.short_allowed = bool(control.short_allowed)
    _answer(shard, out, account, control)


def _are_valid_limits(account: Account, control: SetLimits) -> bool:
    if control.short_allowed not in (UNCHANGED, 0, 1):
        return False
    if min(control.position_max, control.notional_max, control.exposure_max) < UNCHANGED:
        return False
    # While short selling is forbidden, no position can become negative: that must not begin broken.
    return control.short_allowed != 0 or all(
        holding.sell_quantity <= holding.position for holding in account.holdings.values()
    )


def kill_switch(shard: Shard, out: Outbox, control: KillSwitch) -> None:
    """Engage: cancel every live order and refuse new ones, until it is lifted."""
    account = admit(shard, out, control)
    if account is None or _answered_before(shard, out, account, control):
        return
    account.killed = control.engaged
    if control.engaged:
        fan_out_cancels(shard, out, account, control.client_command_id, "")
    _answer(shard, out, account, control)


def _answered_before(
    shard: Shard, out: Outbox, account: Account, control: AccountControl
) -> bool:  # fmt: skip
    """Check 3: whether this id was used; then it is answered here, and nothing done."""
    known = account.known.get(control.client_command_id)
    if known is None:
        return False
    if isinstance(known, Order) or known.digest != digest_payload(control):
        refuse_command(shard, out, control, Reason.DUPLICATE_CONFLICT)
    else:
        report_account(shard, out, account, control.client_command_id)
    return True


def _answer(shard: Shard, out: Outbox, account: Account, control: AccountControl) -> None:
    digest = digest_payload(control)
    shard.remember_command(account, control.client_command_id, "", digest)
    report_account(shard, out, account, control.client_command_id)
