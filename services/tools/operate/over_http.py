"""Orders by way of a gateway: for a trader who does not reach Kafka.

The key comes from the environment and never as an argument, which `ps` would show to others.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Final, cast

import msgspec

from services import client
from services.client import Client, NewOrder, Order, SigningKey, Taken
from services.domain import codes
from services.domain.amounts import format_price
from services.domain.commands import PlaceOrder
from services.tools.operate.errors import NoAnswerError, RefusedError, UnreachableError
from services.tools.operate.present import print_json, print_table

if TYPE_CHECKING:
    from services.client.calls import SelfTradePrevention, TimeInForce

KEY_VARIABLE: Final = "OUTCRY_KEY"
KEY_ID_VARIABLE: Final = "OUTCRY_KEY_ID"
SIGNING_VARIABLE: Final = "OUTCRY_SIGNING_SECRET"
_WAIT_S_MAX: Final = 10.0
"""A gateway grants no longer wait."""
_COLUMNS: Final = (
    "status", "side", "quantity", "price", "cumulative_quantity", "remaining_quantity",
    "average_price", "reason",
)  # fmt: skip


def key_of(environment: Mapping[str, str]) -> str | SigningKey | None:
    """The key that the environment holds; to sign, if it has both parts of that. None: neither."""
    key_id, secret = environment.get(KEY_ID_VARIABLE), environment.get(SIGNING_VARIABLE)
    if key_id and secret:
        return SigningKey(key_id, secret)
    return environment.get(KEY_VARIABLE) or None


@contextmanager
def at_gateway(url: str, account: str, timeout_s: float) -> Iterator[Client]:
    """A client of this gateway, whose errors become those of the command line.

    Raises:
        RefusedError: the gateway or the exchange said no.
        NoAnswerError: what became of a command is not known.
        UnreachableError: the gateway does not answer.
    """
    wait_s = ceil(min(timeout_s, _WAIT_S_MAX))
    try:
        with Client(url, account or None, key=key_of(os.environ), wait_s=wait_s) as found:
            yield found
    except client.RefusedError as error:
        raise RefusedError(error.reason, error.problem.detail) from error
    except client.OutcomeUnknownError as error:
        raise NoAnswerError(
            f"{error}; ask again under that id, which does nothing twice"
        ) from error
    except client.ClientError as error:
        raise UnreachableError(f"the gateway at {url}: {error}") from error


def new_order(command: PlaceOrder) -> NewOrder:
    """The command as a gateway's client says it."""
    prevention = codes.SELF_TRADE_PREVENTION_NAMES[command.self_trade_prevention]
    return NewOrder(
        ticker=command.ticker,
        side="BUY" if command.side == codes.BUY else "SELL",
        quantity=command.quantity,
        price=format_price(command.price) if command.order_type == codes.LIMIT else None,
        time_in_force=cast("TimeInForce", codes.TIME_IN_FORCE_NAMES[command.time_in_force]),
        post_only=command.post_only,
        self_trade_prevention=cast("SelfTradePrevention", prevention),
        client_order_id=command.client_order_id,
    )


def place(gateway: Client, order: NewOrder, *, as_json: bool) -> None:
    """Place it and print what became of it. Raises as `at_gateway`."""
    _print(gateway.place(order), order.client_order_id, as_json=as_json)


def cancel(gateway: Client, order_id: str, command_id: str, *, as_json: bool) -> None:
    """Cancel it and print what became of it. Raises as `at_gateway`."""
    _print(gateway.cancel(order_id, command_id), command_id, as_json=as_json)


def show(gateway: Client, order_id: str, *, as_json: bool) -> None:
    """Print its present state; the way through the log is seen at the log. Raises as above."""
    _print(gateway.show(order_id), "", as_json=as_json)


def _print(order: Order | Taken, command_id: str, *, as_json: bool) -> None:
    if isinstance(order, Taken):
        raise NoAnswerError(
            f"{order.order_id} is durable and was not answered in time; ask again under the id"
            f" {command_id}, which does nothing twice"
        )
    if as_json:
        named = {"client_command_id": command_id} if command_id else {}
        print_json(named | {"order": msgspec.structs.asdict(order)})
        return
    sys.stdout.write(f"order {order.order_id}\n")
    fields = msgspec.structs.asdict(order)
    row = ["" if fields[name] is None else fields[name] for name in _COLUMNS]
    print_table(_COLUMNS, [row])
