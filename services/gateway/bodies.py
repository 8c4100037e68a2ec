"""From the bytes of a request's body to a checked model, or to a problem that names the field."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from services.domain.reasons import Reason
from services.door.bodies import pointer_to, read_object
from services.door.problems import Fault
from services.gateway.problems import HttpReason, field_problem
from services.gateway.request_models import BATCH_MAX
from services.gateway.settings import GatewaySettings

FIELD_REASONS: Final[Mapping[str, str]] = {
    "side": Reason.INVALID_SIDE.name,
    "order_type": Reason.INVALID_ORDER_TYPE.name,
    "time_in_force": Reason.INVALID_TIME_IN_FORCE.name,
    "self_trade_prevention": Reason.INVALID_SELF_TRADE_PREVENTION.name,
    "price": Reason.INVALID_PRICE.name,
    "quantity": Reason.INVALID_QUANTITY.name,
}
"""Fields whose faults have a word in the domain."""

BATCH_FIELD: Final = "orders"
_FAULTS_SHOWN_MAX: Final = 20


def body_of[M: BaseModel](model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A dependency that reads the request's body as this model."""

    async def read(request: Request) -> M:
        return check(model, await read_document(request, request.app.state.gateway.settings))

    return read


async def read_document(request: Request, settings: GatewaySettings) -> dict[str, Any]:
    """The JSON object that the request carries; raises the problem if it carries none."""
    return await read_object(
        request, settings.gateway_body_bytes_max, settings.gateway_body_timeout_ms
    )


def check[M: BaseModel](model: type[M], document: object, *place: str | int) -> M:
    """The document as this model; raises the problem with every fault found.

    `place` says where in the request's body it stands.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    faults = [_fault_of(details, place) for details in found[:_FAULTS_SHOWN_MAX]]
    raise field_problem(faults)


def batch_items(document: dict[str, Any]) -> list[object]:
    """The items of a batch, each still to be checked; raises the problem of the batch itself."""
    faults = [
        Fault(pointer_to(name), HttpReason.UNKNOWN_FIELD, "is not a field of this request")
        for name in document
        if name != BATCH_FIELD
    ]
    items = document.get(BATCH_FIELD)
    if BATCH_FIELD not in document:
        faults.append(Fault(pointer_to(BATCH_FIELD), HttpReason.MISSING_FIELD, "is missing"))
    elif not isinstance(items, list) or not 1 <= len(items) <= BATCH_MAX:
        detail = f"must be a list of 1 to {BATCH_MAX} orders"
        faults.append(Fault(pointer_to(BATCH_FIELD), HttpReason.INVALID_FIELD, detail))
    if faults:
        raise field_problem(faults[:_FAULTS_SHOWN_MAX])
    assert isinstance(items, list)
    return items


def _fault_of(details: ErrorDetails, place: tuple[str | int, ...]) -> Fault:
    context: Mapping[str, Any] = details.get("ctx", {})
    name = str(details["loc"][0]) if details["loc"] else str(context.get("field", ""))
    pointer = pointer_to(*place, name) if name else pointer_to(*place)
    match details["type"]:
        case "missing":
            text = details["msg"] if details["msg"] != "Field required" else "is missing"
            return Fault(pointer, HttpReason.MISSING_FIELD, text)
        case "extra_forbidden":
            return Fault(pointer, HttpReason.UNKNOWN_FIELD, "is not a field of this request")
        case "value_error":
            detail = str(context["error"])
        case _:
            detail = details["msg"].replace("Input should", "must", 1)
    return Fault(pointer, FIELD_REASONS.get(name, HttpReason.INVALID_FIELD), detail)
