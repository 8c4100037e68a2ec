"""What a stream says, as values. Fields that this version does not know are left out."""

from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from services.client import answers

type Channel = Literal["book", "trades", "executions", "positions", "predictions"]


class Execution(answers.Order, frozen=True, tag="EXECUTION", tag_field="kind"):
    """One report of the account."""

    client_command_id: str | None
    last_quantity: int
    last_price: Decimal | None
    liquidity: str | None
    trade_id: str | None
    position: int
    position_worst: int
    notional_worst: Decimal
    exposure_worst: Decimal
    mark: Decimal | None


class HeldLimits(answers.TickerLimits, frozen=True):
    position: int


class AccountState(msgspec.Struct, frozen=True, tag="ACCOUNT_STATE", tag_field="kind"):
    """The account's limits and state after they changed."""

    account: str
    account_sequence: int
    client_command_id: str | None
    killed: bool
    short_allowed: bool
    exposure_max: Decimal
    position_max: int
    notional_max: Decimal
    tickers: list[HeldLimits]
    updated_at_us: int


class LiveOrders(msgspec.Struct, frozen=True):
    """The account's live orders, and the number of the last report counted in."""

    account_sequence: int
    orders: list[answers.Order]


class Since(msgspec.Struct, frozen=True):
    """The number of the last record that was heard before."""

    after: int


class Told(msgspec.Struct, frozen=True):
    """A message of a subscription."""

    kind: str
    """snapshot, then updates. Of trades and executions, after a break, `resumed`, and then each
    that was missed; or `resync`, with a snapshot: something was missed and can't be heard here
    any more (GET /fills may have it). A book's may also be of kinds that this version lets pass."""
    channel: Channel
    ticker: str | None
    """None: of all, as one's own channels are."""
    sequence: int
    """Of the subscription in this connection, from 0."""
    value: Any
    """Of trades a Trade (snapshot: Trades), of executions an Execution or AccountState (snapshot:
    LiveOrders), of positions Positions; `resumed` has Since. Of the others the JSON as it is."""


class Reconnected(msgspec.Struct, frozen=True):
    """The connection broke and stands again; every subscription goes on."""

    cause: str


class CommandTaken(msgspec.Struct, frozen=True):
    """A command is durable; the executions channel says what becomes of it."""

    id: str
    """What sending it returned."""
    command_id: str
    order_id: str | None


class CommandRefused(msgspec.Struct, frozen=True):
    """A command was not written."""

    id: str
    reason: str
    detail: str


class CommandUnknown(msgspec.Struct, frozen=True):
    """A command may or may not have been written: the answer went with the connection.

    Sent again under its id, it is done once.
    """

    id: str
    command_id: str


class Refused(msgspec.Struct, frozen=True):
    """A subscription, or something else that was asked for, was refused."""

    reason: str
    detail: str
    channel: Channel | None
    ticker: str | None


type Message = Told | Reconnected | CommandTaken | CommandRefused | CommandUnknown | Refused

_SHAPES: Final[dict[tuple[str, str], Any]] = {
    ("trades", "snapshot"): answers.Trades,
    ("trades", "resync"): answers.Trades,
    ("trades", "update"): answers.Trade,
    ("trades", "resumed"): Since,
    ("executions", "snapshot"): LiveOrders,
    ("executions", "resync"): LiveOrders,
    ("executions", "update"): Execution | AccountState,
    ("executions", "resumed"): Since,
    ("positions", "snapshot"): answers.Positions,
    ("positions", "update"): answers.Positions,
}


class Heard(msgspec.Struct, frozen=True):
    """Any message of the gateway, as it comes."""

    type: str
    channel: Channel | None = None
    ticker: str | None = None
    sequence: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")
    op: str = ""
    id: str = ""
    client_order_id: str | None = None
    client_command_id: str | None = None
    order_id: str | None = None
    reason: str = ""
    detail: str = ""

    def told(self) -> Told:
        """As a message of its subscription.

        Raises:
            msgspec.DecodeError: it is none that this version understands.
        """
        if self.channel is None:
            raise msgspec.DecodeError(f"a message of no channel: {self.type[:40]!r}")
        shape = _SHAPES.get((self.channel, self.type), Any)
        value = msgspec.json.decode(self.data, type=shape)
        return Told(self.type, self.channel, self.ticker, self.sequence, value)


def number_of(told: Told) -> int | None:
    """The log's own number of the last record in it; None: it holds none."""
    match told.value:
        case Execution() | AccountState() | LiveOrders():
            return told.value.account_sequence
        case answers.Trade():
            return told.value.trade_sequence
        case answers.Trades():
            return told.value.trades[-1].trade_sequence if told.value.trades else 0
        case _:
            return None
