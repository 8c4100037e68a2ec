"""What operators ask for: the records of `controls`. The first one is the genesis."""

import msgspec

UNCHANGED = -1
"""In SetLimits: leave this limit as it is."""


class Instrument(msgspec.Struct, frozen=True):
    """One ticker's rules, fixed at genesis."""

    ticker: str
    partition: int
    """Its partition in every topic keyed by ticker."""
    tick: int
    """Price step at $1 and above, in 1/10000 dollar."""
    sub_dollar_tick: int
    """Price step below $1, in 1/10000 dollar."""
    lot: int
    """Quantity step, in shares."""
    price_collar_bps: int
    """A limit price may be at most this far from the mark, basis points; 0: open (no collar)."""
    market_band_bps: int
    """A market order is protected at mark x (1 +/- this), basis points."""
    spread_limit: int
    """Market orders are refused when ask - bid exceeds this, 1/10000 dollar; 0: no limit."""
    order_quantity_max: int
    """Largest quantity of one order, in shares."""


class Genesis(msgspec.Struct, frozen=True):
    """Every parameter a fold reads; the first record of `controls`, sent to every fold."""

    client_command_id: str
    deployment: str
    """Name of this deployment, for people."""
    time_source: int
    """0 log: LogAppendTime rules. 1 event: the commands' own event time (replays of history)."""
    instruments: tuple[Instrument, ...]
    account_partitions: int
    mark_interval_us: int
    """A changed mark is sent with the first command after each such span of log time."""
    remember_ended_us: int
    """How long an ended order or a done command stays known, log time."""
    accounts_max: int
    """Most accounts in one account partition."""
    live_orders_max: int
    """Most live orders of one account."""
    remembered_max: int
    """Most orders and commands that one account partition remembers."""
    book_orders_max: int
    """Most resting orders in one book."""
    sweep_orders_max: int
    """Most resting orders that one command may meet in the book, filled or canceled by self-trade
    prevention. It bounds what one command causes: three messages a fill, in one transaction."""


class OpenAccount(msgspec.Struct, frozen=True, gc=False):
    """Open an account with its limits; they hold for each ticker until SetLimits changes one."""

    client_command_id: str
    account: str
    position_max: int
    """Most shares at worst in one ticker."""
    notional_max: int
    """Most money at worst in one ticker, in 1/10000 dollar."""
    exposure_max: int
    """Most money at worst over all tickers, in 1/10000 dollar."""
    short_allowed: bool


class Deposit(msgspec.Struct, frozen=True, gc=False):
    """Add (or, negative, take away) shares of an opening position."""

    client_command_id: str
    account: str
    ticker: str
    quantity: int


class SetLimits(msgspec.Struct, frozen=True, gc=False):
    """Change limits; -1 leaves one unchanged. An empty ticker sets the account's default."""

    client_command_id: str
    account: str
    ticker: str
    """Position and notional limits of this ticker; empty: of every ticker."""
    position_max: int
    notional_max: int
    exposure_max: int
    short_allowed: int
    """0 no, 1 yes, -1 unchanged."""


class SetMark(msgspec.Struct, frozen=True, gc=False):
    """State a ticker's mark before its first trade."""

    client_command_id: str
    ticker: str
    mark: int


class Halt(msgspec.Struct, frozen=True, gc=False):
    """Halt a ticker: it takes cancels and refuses the rest."""

    client_command_id: str
    ticker: str


class Resume(msgspec.Struct, frozen=True, gc=False):
    """Open a halted ticker again."""

    client_command_id: str
    ticker: str


class KillSwitch(msgspec.Struct, frozen=True, gc=False):
    """Engage: cancel all of an account's orders and refuse new ones. Lift with engaged=False."""

    client_command_id: str
    account: str
    engaged: bool


type Control = Genesis | OpenAccount | Deposit | SetLimits | SetMark | Halt | Resume | KillSwitch
