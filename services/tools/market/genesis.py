"""The genesis of a replay: everything open, one account, time as the file tells it."""

from typing import Final

from services.domain.amounts import QUANTITY_MAX
from services.domain.codes import TIME_FROM_EVENT
from services.domain.controls import Genesis, Instrument, OpenAccount, SetMark
from services.tools.market.lobster import ACCOUNT
from services.wire.topics import ACCOUNT_PARTITIONS

PARTITION: Final = 0
"""Of the one ticker, in every topic keyed by ticker."""

_OPEN_POSITION: Final = 10**12
_OPEN_MONEY: Final = 10**18
"""Below what 64 bits hold, above what any session reaches."""

_ORDERS_MAX: Final = 2_000_000

_SWEEP_MAX: Final = 1_000_000
"""What history filled at once must fill at once here too."""


def replay_genesis(ticker: str, deployment: str) -> Genesis:
    """One ticker without collar or caps; time is the commands' own event time."""
    instrument = Instrument(
        ticker=ticker,
        partition=PARTITION,
        tick=100,
        sub_dollar_tick=1,
        lot=1,
        price_collar_bps=0,
        market_band_bps=0,
        spread_limit=0,
        order_quantity_max=QUANTITY_MAX,
    )
    return Genesis(
        client_command_id="genesis",
        deployment=deployment,
        time_source=TIME_FROM_EVENT,
        instruments=(instrument,),
        account_partitions=ACCOUNT_PARTITIONS,
        mark_interval_us=100_000,
        remember_ended_us=60_000_000,
        accounts_max=1,
        live_orders_max=_ORDERS_MAX,
        remembered_max=_ORDERS_MAX,
        book_orders_max=_ORDERS_MAX,
        sweep_orders_max=_SWEEP_MAX,
    )


def replay_controls(ticker: str, mark: int) -> tuple[SetMark, OpenAccount]:
    """Opening mark and account, in the order in which they must follow the genesis."""
    return (
        SetMark("mark", ticker, mark),
        OpenAccount("open", ACCOUNT, _OPEN_POSITION, _OPEN_MONEY, _OPEN_MONEY, short_allowed=True),
    )
