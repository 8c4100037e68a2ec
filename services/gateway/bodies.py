"""From the bytes of a request's body to a checked model, or to a problem that names the field."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from services.domain.reasons import Reason
from services.gateway.problems import Fault, HttpReason, ProblemError, field_problem
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

_FAULTS_SHOWN_MAX: Final = 20
_NAME_LENGTH_MAX: Final = 64
_MS_PER_S: Final = 1_000


def body_of[M: BaseModel](model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A dependency that reads the request's body as this model."""

    async def read(request: Request) -> M:
        settings: GatewaySettings = request.app.state.gateway.settings
        require_json(request)
        body = await read_bytes(
            request, settings.gateway_body_bytes_max, settings.gateway_body_timeout_ms
        )
        return check(model, parse_object(body))

    return read


def require_json(request: Request) -> None:
    """Refuse what does not say that it is JSON.

    A page of another site can send a form to this port unasked, but JSON only with our consent.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(
            HttpReason.UNSUPPORTED_MEDIA_TYPE,
            "send the header Content-Type: application/json",
            headers={"Accept": "application/json"},
        )


async def read_bytes(request: Request, bytes_max: int, timeout_ms: int) -> bytes:
    """The body, as long as it is not too long and not too slow."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > bytes_max:
        _refuse_size(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_ms / _MS_PER_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    _refuse_size(bytes_max)
    except TimeoutError as error:
        raise ProblemError(
            HttpReason.REQUEST_TIMEOUT, f"the body did not arrive within {timeout_ms} ms"
        ) from error
    except ClientDisconnect as error:
        # Nobody reads this answer; the handler ends here, and nothing was written.
        raise ProblemError(HttpReason.REQUEST_TIMEOUT, "the client hung up") from error
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in these bytes.

    NaN is let through to the field it stands in, so that the problem can name the field.
    """
    try:
        document = json.loads(body.decode(), object_pairs_hook=_unique_members)
    except UnicodeDecodeError as error:
        raise ProblemError(HttpReason.INVALID_JSON, "the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ProblemError(HttpReason.INVALID_JSON, f"{error.msg} at {error.pos}") from error
    except RecursionError as error:
        raise ProblemError(HttpReason.INVALID_JSON, "nested too deeply") from error
    except ValueError as error:
        # Python refuses to read numbers of more than some thousand digits.
        raise ProblemError(HttpReason.INVALID_JSON, "a number has too many digits") from error
    if not isinstance(document, dict):
        raise ProblemError(HttpReason.INVALID_JSON, "the body is JSON, but no object")
    return document


def check[M: BaseModel](model: type[M], document: dict[str, Any]) -> M:
    """The document as this model; raises the problem with every fault found."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    faults = [_fault_of(details) for details in found[:_FAULTS_SHOWN_MAX]]
    raise field_problem(faults)


def _fault_of(details: ErrorDetails) -> Fault:
    context: Mapping[str, Any] = details.get("ctx", {})
    name = str(details["loc"][0]) if details["loc"] else str(context.get("field", ""))
    pointer = f"#/{_escape(name)}" if name else "#"
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


def _escape(name: str) -> str:
    """A member's name as a JSON pointer's part, in ASCII, whatever stood in the request."""
    shown = name[:_NAME_LENGTH_MAX].encode("ascii", "backslashreplace").decode()
    return shown.replace("~", "~0").replace("/", "~1")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ProblemError(HttpReason.INVALID_JSON, "a member occurs twice; say it once")
    return found


def _refuse_size(bytes_max: int) -> NoReturn:
    # What is left of the body stays unread, so this connection can't be used again.
    raise ProblemError(
        HttpReason.BODY_TOO_LARGE,
        f"at most {bytes_max} bytes are read",
        headers={"Connection": "close"},
        members={"bytes_max": bytes_max},
    )
