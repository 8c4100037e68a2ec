"""From a command to its outcome: durable, and then, if the caller waits, what the exchange said."""

from typing import Final

import msgspec

from services.domain.codes import (
    EXEC_CANCEL_REJECTED,
    EXEC_COMMAND_REJECTED,
    EXEC_REPLACE_REJECTED,
    ORDER_STATUS_NAMES,
    PENDING_NEW,
    REJECTED,
)
from services.domain.commands import ClientCommand, PlaceOrder
from services.domain.events import ExecutionReport
from services.domain.reasons import Reason
from services.door.problems import ProblemError
from services.gateway.answers import ACCEPTED, CREATED, OK
from services.gateway.desk import command_id_of, order_id_of
from services.gateway.parts import Gateway
from services.gateway.preferences import applied
from services.gateway.problems import rejection
from services.gateway.viewer import NOTHING
from services.gateway.views import View, reason_name

_REFUSALS: Final = (EXEC_COMMAND_REJECTED, EXEC_CANCEL_REJECTED, EXEC_REPLACE_REJECTED)
_PENDING: Final = ORDER_STATUS_NAMES[PENDING_NEW]
_REFUSED: Final = (ORDER_STATUS_NAMES[REJECTED], NOTHING)


class Outcome(msgspec.Struct, frozen=True):
    """What a request about one command is answered."""

    status: int
    view: View
    headers: dict[str, str]


async def place(
    here: Gateway, command: PlaceOrder, event_time_us: int, wait_s: int | None
) -> Outcome:
    """Enter an order.

    With a `wait_s` that is not None, the matcher's word is waited for.

    Raises:
        ProblemError: it was not written, nobody knows whether it was, or the exchange refused it.
    """
    report = await _take(here, command, event_time_us, wait_s)
    order_id = order_id_of(command)
    headers = {"Location": f"/orders/{order_id}"} | applied(wait_s)
    if report is None:
        return Outcome(ACCEPTED, _placed_view(here, command, order_id), headers)
    view = here.viewer.order(command.account, order_id)
    if view is None:
        return Outcome(ACCEPTED, _placed_view(here, command, order_id), headers)
    refused = report.exec_type == EXEC_COMMAND_REJECTED
    if refused or view["status"] in _REFUSED:
        raise _refusal(command, reason_name(report.reason) if refused else view["reason"], wait_s)
    return Outcome(CREATED, view, headers)


async def follow_up(
    here: Gateway, command: ClientCommand, event_time_us: int, wait_s: int | None
) -> Outcome:
    """Cancel, reduce, replace or cancel all; see `place`. Cancel-all is never waited for."""
    assert not isinstance(command, PlaceOrder)
    report = await _take(here, command, event_time_us, wait_s)
    order_id = order_id_of(command)
    headers = applied(wait_s)
    if order_id:
        headers["Location"] = f"/orders/{order_id}"
    if report is None:
        taken = {"client_command_id": command_id_of(command), "order_id": order_id or None}
        return Outcome(ACCEPTED, taken, headers)
    view = here.viewer.order(command.account, order_id)
    # Without a view it is an answer about an order that is forgotten here and at risk.
    if report.exec_type in _REFUSALS or view is None:
        raise _refusal(command, reason_name(report.reason), wait_s)
    return Outcome(OK, view, headers)


async def _take(
    here: Gateway, command: ClientCommand, event_time_us: int, wait_s: int | None
) -> ExecutionReport | None:
    if wait_s is None:
        await here.desk.take(command, event_time_us)
        return None
    with here.verdicts.expect(command) as verdict:
        await here.desk.take(command, event_time_us)
        return await verdict.wait(wait_s, here.verdicts.stopping)


def _placed_view(here: Gateway, command: PlaceOrder, order_id: str) -> View:
    status = here.viewer.status(command.account, order_id)
    # NO_ORDER is the word about an earlier try under this id: this one is not decided.
    if status in (None, NOTHING):
        status = _PENDING
    return {
        "order_id": order_id,
        "client_order_id": command.client_order_id,
        "status": status,
    }


def _refusal(command: ClientCommand, reason: str | None, wait_s: int | None) -> ProblemError:
    name = "client_order_id" if isinstance(command, PlaceOrder) else "client_command_id"
    members: dict[str, object] = {name: command_id_of(command)}
    order_id = order_id_of(command)
    if order_id:
        members["order_id"] = order_id
    return rejection(reason or Reason.UNKNOWN_ORDER.name, members, applied(wait_s))
