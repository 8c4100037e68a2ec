"""Rooms full of orders: what a snapshot and a takeover are measured on."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from services.domain import codes, origin
from services.domain.commands import CancelOrder, EnterOrder, PlaceOrder
from services.domain.controls import Genesis, OpenAccount, SetMark
from services.domain.genesis import default_genesis
from services.domain.ids import make_order_id
from services.domain.origin import Origin
from services.wire import topics
from services.wire.codec import Decoded
from services.wire.messages import Payload
from services.wire.partition import account_partition

MID: Final = 1_000_000
_START_US: Final = 1_700_000_000_000_000
_LEVELS: Final = 500
_ORDERS_OF_ACCOUNT: Final = 1_000
_PARTITION: Final = 0


def roomy_genesis() -> Genesis:
    """The shipped one, with tables for millions."""
    return msgspec.structs.replace(
        default_genesis("bench"),
        live_orders_max=_ORDERS_OF_ACCOUNT * 10,
        remembered_max=5_000_000,
        book_orders_max=5_000_000,
    )


class Inbox:
    """Decoded commands of one partition, as their writers would send them."""

    def __init__(self, source_topic: int) -> None:
        self._source_topic = source_topic
        self._sent = 0

    def say(self, payload: Payload) -> Decoded[Any]:
        """The next command of one writer."""
        self._sent += 1
        sequence = self._sent if self._source_topic == origin.ACCOUNTS else 0
        at = Origin(self._source_topic, 0, self._sent, 0, sequence, _START_US + self._sent, 0)
        return Decoded(at, payload, 0)


def accounts() -> Iterator[str]:
    """Names that all belong to one partition of `accounts`."""
    number = 0
    while True:
        name = f"trader-{number}"
        number += 1
        if account_partition(name, topics.ACCOUNTS.partitions) == _PARTITION:
            yield name


def matching_commands(orders: int) -> Iterator[Payload]:
    """The genesis, then orders that all rest: bids and asks over 500 prices a side."""
    genesis = roomy_genesis()
    ticker, tick = genesis.instruments[_PARTITION].ticker, genesis.instruments[_PARTITION].tick
    yield genesis
    names = accounts()
    account = ""
    for number in range(orders):
        if number % _ORDERS_OF_ACCOUNT == 0:
            account = next(names)
        side = codes.BUY if number % 2 else codes.SELL
        price = MID - side * (1 + number // 2 % _LEVELS) * tick
        order_id = make_order_id(account, str(number), ticker)
        yield EnterOrder(
            order_id, account, side, codes.LIMIT, codes.GTC, False, price, 100,
            codes.CANCEL_RESTING,
        )  # fmt: skip


def account_commands(orders: int) -> Iterator[Payload]:
    """The genesis, marks, accounts; then orders that stay live, as many remembered commands."""
    genesis = roomy_genesis()
    yield genesis
    for instrument in genesis.instruments:
        yield SetMark(f"mark-{instrument.ticker}", instrument.ticker, MID)
    names = accounts()
    account = ""
    ticker = genesis.instruments[_PARTITION].ticker
    for number in range(orders):
        if number % _ORDERS_OF_ACCOUNT == 0:
            account = next(names)
            limits = (10**9, 10**17, 10**18)
            yield OpenAccount(f"open-{account}", account, *limits, short_allowed=True)
        side = codes.BUY if number % 2 else codes.SELL
        client_id = f"order-{number}"
        yield PlaceOrder(
            account, client_id, ticker, side, codes.LIMIT, codes.GTC, False, MID, 100,
            codes.CANCEL_RESTING,
        )  # fmt: skip
        # Not yet known to the matcher, so it is forwarded, and remembered.
        order_id = make_order_id(account, client_id, ticker)
        yield CancelOrder(account, f"cancel-{number}", order_id)
