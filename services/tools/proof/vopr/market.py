"""The market a simulation trades in: small tables, tight limits, few prices, so that all is met."""

from typing import Final

import msgspec

from services.domain.controls import (
    Control,
    Deposit,
    Genesis,
    OpenAccount,
    SetLimits,
    SetMark,
)
from services.domain.genesis import TICKERS, default_genesis

ACCOUNTS: Final = ("ada", "bob", "cyd", "dan", "eve", "fay")
"""Two of them share a shard with another, so that each of the four has at least one."""

MARKET_TICKERS: Final = TICKERS[:3]
"""Those with a mark; the others are known and have none."""

MARK: Final = 1_000_000
TICK: Final = 100
QUANTITY_MAX: Final = 30

_LONG_ONLY: Final = "fay"


def small_genesis() -> Genesis:
    """Windows of two seconds, tables of a few places, sweeps of a few orders."""
    genesis = default_genesis("vopr")
    instruments = tuple(
        msgspec.structs.replace(
            instrument,
            price_collar_bps=300,
            market_band_bps=20,
            spread_limit=600,
            order_quantity_max=28,
            lot=1,
        )
        for instrument in genesis.instruments
    )
    return msgspec.structs.replace(
        genesis,
        instruments=instruments,
        remember_ended_us=1_500_000,
        accounts_max=3,
        live_orders_max=6,
        remembered_max=40,
        book_orders_max=10,
        sweep_orders_max=4,
    )


def opening_controls() -> list[Control]:
    """Genesis, accounts, marks and opening positions, in the order an operator would send them."""
    shares, money = QUANTITY_MAX, QUANTITY_MAX * MARK
    tight = ((2 * shares, 9 * money, 9 * money), (9 * shares, 2 * money, 9 * money))
    kinds = (*tight, (9 * shares, 9 * money, 2 * money))
    controls: list[Control] = [small_genesis()]
    for number, account in enumerate(ACCOUNTS):
        short_allowed = account != _LONG_ONLY
        limits = kinds[number % len(kinds)]
        controls.append(OpenAccount(f"open-{account}", account, *limits, short_allowed))
    controls += [SetMark(f"mark-{ticker}", ticker, MARK) for ticker in MARKET_TICKERS]
    controls += [
        Deposit(f"deposit-{account}", account, MARKET_TICKERS[0], 2 * QUANTITY_MAX)
        for account in (ACCOUNTS[0], _LONG_ONLY)
    ]
    controls.append(SetLimits("limit-bob", "bob", MARKET_TICKERS[1], QUANTITY_MAX, -1, -1, -1))
    return controls
