"""Commands by the WebSocket: the same as by REST, answered in the same connection.

Answers come as each command becomes durable, so not always in the order of the questions; the `id`
that a question brings tells them apart.
"""

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any, Final
from uuid import uuid4

from services.domain.commands import CancelAll, ClientCommand, PlaceOrder
from services.domain.genesis import TICKERS
from services.domain.ids import is_valid_id
from services.door.problems import Fault, ProblemError
from services.gateway.bodies import check
from services.gateway.core.keys import TRADE
from services.gateway.desk import Desk, command_id_of, order_id_of
from services.gateway.problems import HttpReason, field_problem, problem
from services.gateway.request_models import (
    CancelAllRequest,
    CancelOrderRequest,
    CommandBody,
    FollowUpRequest,
    PlaceOrderRequest,
    ReduceOrderRequest,
    ReplaceOrderRequest,
)
from services.gateway.session import Session
from services.gateway.socket_entry import SocketEntry
from services.runtime.telemetry import Telemetry

CANCEL_ON_DISCONNECT: Final = "cancel_on_disconnect"
type Change = CancelOrderRequest | ReduceOrderRequest | ReplaceOrderRequest

FOLLOW_UPS: Final[Mapping[str, type[Change]]] = {
    "cancel": CancelOrderRequest,
    "reduce": ReduceOrderRequest,
    "replace": ReplaceOrderRequest,
}
BODIES: Final[Mapping[str, type[CommandBody]]] = {
    "place": PlaceOrderRequest,
    **FOLLOW_UPS,
    "cancel_all": CancelAllRequest,
}
"""Each command's body, as REST takes it."""
COMMANDS: Final = tuple(BODIES)
OPS: Final = (*COMMANDS, CANCEL_ON_DISCONNECT)
PARTING_TRIES_MAX: Final = 60
PARTING_PAUSE_S: Final = 1.0


class SocketOrders:
    """Takes commands of WebSocket sessions. Called on the event loop.

    Args:
        commands_max: most commands of one session on their way to the log.
    """

    def __init__(
        self, desk: Desk, entry: SocketEntry, commands_max: int, telemetry: Telemetry
    ) -> None:
        self._desk = desk
        self._entry = entry
        self._commands_max = commands_max
        self._telemetry = telemetry

    def hear(self, session: Session, document: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        """Take one message whose `op` is of `OPS`; commands go on as tasks.

        Tasks begin in the order they are made, so the commands are written in that of the messages.

        Raises:
            ProblemError: it is no such message, or the session may not.
        """
        self._entry.require_own(session, TRADE)
        op = document["op"]
        if op == CANCEL_ON_DISCONNECT:
            _require_members(document, {"op", "enabled"})
            enabled = document.get("enabled")
            if not isinstance(enabled, bool):
                raise problem(HttpReason.INVALID_FIELD, "enabled is true or false")
            session.cancels_on_disconnect = enabled
            session.say({"type": CANCEL_ON_DISCONNECT, "enabled": enabled})
            return
        name = document.get("id")
        if not isinstance(name, str) or not is_valid_id(name):
            raise problem(
                HttpReason.INVALID_FIELD, "id: 1 to 64 printable ASCII characters without spaces"
            )
        if session.commands_under_way >= self._commands_max:
            self._refuse(session, name, _too_many(self._commands_max))
            return
        session.commands_under_way += 1
        tasks.create_task(self._take(session, name, document))

    async def part(self, session: Session) -> None:
        """Cancel what the account has open, if the session asked for that; its client is gone.

        One command a ticker, since each then stands behind the orders of its ticker in the log.
        While the log is away it is tried again: nobody else will.
        """
        if not session.cancels_on_disconnect:
            return
        commands = [
            CancelAll(session.account, f"gone-{uuid4().hex[:20]}", ticker) for ticker in TICKERS
        ]
        outcomes = await asyncio.gather(*(self._insist(command) for command in commands))
        failures = [str(outcome) for outcome in outcomes if outcome is not None]
        if failures:
            self._telemetry.log.error(
                "cancel_on_disconnect_failed", account=session.account, error=failures[0]
            )

    async def _insist(self, command: CancelAll) -> ProblemError | None:
        """Take it, if need be later: it is one command however often it is written."""
        for trial in count(1):
            try:
                await self._desk.take(command, 0, is_parting=True)
            except ProblemError as failure:
                if trial == PARTING_TRIES_MAX or self._desk.stopping:
                    return failure
            else:
                return None
            await asyncio.sleep(PARTING_PAUSE_S)
        raise AssertionError("unreachable: tries are counted")

    async def _take(self, session: Session, name: str, document: dict[str, Any]) -> None:
        try:
            command, event_time_us = _command_of(session.account, document)
            await self._desk.take(command, event_time_us)
        except ProblemError as refusal:
            self._refuse(session, name, refusal)
            return
        finally:
            session.commands_under_way -= 1
        key = "client_order_id" if isinstance(command, PlaceOrder) else "client_command_id"
        session.say(
            {
                "type": "taken",
                "id": name,
                key: command_id_of(command),
                "order_id": order_id_of(command) or None,
            }
        )

    def _refuse(self, session: Session, name: str, refusal: ProblemError) -> None:
        said = {"type": "error", "id": name, "reason": refusal.reason, "detail": refusal.detail}
        errors = refusal.document().get("errors")
        session.say(said | refusal.members | ({} if errors is None else {"errors": errors}))


def _command_of(account: str, document: dict[str, Any]) -> tuple[ClientCommand, int]:
    """The command of a message, and its event time."""
    op = document["op"]
    about_one = op in FOLLOW_UPS
    _require_members(document, {"op", "id", "body"} | ({"order_id"} if about_one else set()))
    body = document.get("body")
    if not isinstance(body, dict):
        raise _fault("#/body", "must be the object that REST takes")
    if op == "place":
        order = check(PlaceOrderRequest, body, "body")
        if order.client_order_id is None:
            raise _missing("client_order_id")
        return order.command(account, order.client_order_id), order.event_time_us
    if op == "cancel_all":
        everything = check(CancelAllRequest, body, "body")
        return everything.command(account, _id_of(everything)), everything.event_time_us
    order_id = document.get("order_id")
    if not isinstance(order_id, str) or not is_valid_id(order_id):
        raise _fault("#/order_id", "names an order")
    change = check(FOLLOW_UPS[op], body, "body")
    return change.command(account, _id_of(change), order_id), change.event_time_us


def _id_of(body: FollowUpRequest) -> str:
    if body.client_command_id is None:
        raise _missing("client_command_id")
    return body.client_command_id


def _missing(name: str) -> ProblemError:
    return field_problem([Fault(f"#/body/{name}", HttpReason.MISSING_FIELD, "is missing")])


def _fault(pointer: str, detail: str) -> ProblemError:
    return field_problem([Fault(pointer, HttpReason.INVALID_FIELD, detail)])


def _require_members(document: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(document.keys() - known)
    if unknown:
        raise problem(HttpReason.UNKNOWN_FIELD, f"{unknown[0][:40]!r} is no member")


def _too_many(commands_max: int) -> ProblemError:
    return problem(
        HttpReason.OVERLOADED, f"{commands_max} commands of this connection wait for the log"
    )
