"""Errors as the client sees them: RFC 9457 problem documents with a closed list of reasons.

A reason is a word of domain/reasons.py where the domain has one for it, else one of `HttpReason`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.domain.reasons import Reason

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:outcry:problem:"


class HttpReason(StrEnum):
    """Reasons that exist only at this door. With those of `domain.Reason` the list is closed."""

    INVALID_JSON = "INVALID_JSON"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    ACCOUNT_REQUIRED = "ACCOUNT_REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    WRONG_HOST = "WRONG_HOST"
    WRONG_ORIGIN = "WRONG_ORIGIN"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    OVERLOADED = "OVERLOADED"
    STARTING = "STARTING"
    STOPPING = "STOPPING"
    LOG_UNAVAILABLE = "LOG_UNAVAILABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"


class Kind(msgspec.Struct, frozen=True):
    """What all problems with one reason have in common."""

    status: int
    title: str


_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value

KINDS: Final[Mapping[str, Kind]] = {
    HttpReason.INVALID_JSON: Kind(400, "The body is not a JSON object"),
    HttpReason.INVALID_PARAMETER: Kind(400, "A header or parameter is not acceptable"),
    HttpReason.ACCOUNT_REQUIRED: Kind(401, "The request names no account"),
    HttpReason.WRONG_ORIGIN: Kind(403, "Another site's page may not use this service"),
    HttpReason.NOT_FOUND: Kind(404, "There is nothing here"),
    Reason.UNKNOWN_ORDER.name: Kind(404, "The account has no such order"),
    Reason.UNKNOWN_TICKER.name: Kind(404, "The ticker is not traded here"),
    HttpReason.METHOD_NOT_ALLOWED: Kind(405, "The method is not for this path"),
    HttpReason.REQUEST_TIMEOUT: Kind(408, "The body did not arrive in time"),
    HttpReason.BODY_TOO_LARGE: Kind(413, "The body is too large"),
    HttpReason.UNSUPPORTED_MEDIA_TYPE: Kind(415, "The body must be application/json"),
    HttpReason.WRONG_HOST: Kind(421, "The request is for another host"),
    HttpReason.MISSING_FIELD: Kind(_UNPROCESSABLE, "A field is missing"),
    HttpReason.UNKNOWN_FIELD: Kind(_UNPROCESSABLE, "A field is not known"),
    HttpReason.INVALID_FIELD: Kind(_UNPROCESSABLE, "A field is not acceptable"),
    Reason.INVALID_SIDE.name: Kind(_UNPROCESSABLE, "The side is not acceptable"),
    Reason.INVALID_ORDER_TYPE.name: Kind(_UNPROCESSABLE, "The order type is not acceptable"),
    Reason.INVALID_TIME_IN_FORCE.name: Kind(_UNPROCESSABLE, "The time in force is not acceptable"),
    Reason.INVALID_SELF_TRADE_PREVENTION.name: Kind(
        _UNPROCESSABLE, "The self-trade prevention is not acceptable"
    ),
    Reason.INVALID_PRICE.name: Kind(_UNPROCESSABLE, "The price is not acceptable"),
    Reason.INVALID_QUANTITY.name: Kind(_UNPROCESSABLE, "The quantity is not acceptable"),
    HttpReason.INTERNAL_ERROR: Kind(500, "The gateway failed"),
    HttpReason.OVERLOADED: Kind(_UNAVAILABLE, "Too many requests are under way"),
    HttpReason.STARTING: Kind(_UNAVAILABLE, "The gateway is still reading what happened so far"),
    HttpReason.STOPPING: Kind(_UNAVAILABLE, "The gateway is stopping"),
    HttpReason.LOG_UNAVAILABLE: Kind(_UNAVAILABLE, "The log is away; nothing was written"),
    HttpReason.OUTCOME_UNKNOWN: Kind(504, "The command may or may not have been written"),
}
"""Every reason a problem document can give, with its status and title."""

RETRY_AFTER_S: Final[Mapping[str, int]] = {
    HttpReason.OVERLOADED: 1,
    HttpReason.STARTING: 1,
    HttpReason.STOPPING: 2,
    HttpReason.LOG_UNAVAILABLE: 1,
    HttpReason.OUTCOME_UNKNOWN: 1,
}


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request."""

    pointer: str
    """JSON pointer into the body as a URI fragment ("#/price"), or "header:NAME"."""
    reason: str
    detail: str


class ProblemError(HTTPException):
    """Raised anywhere on the way of a request; becomes its problem document.

    Args:
        reason: one of `KINDS`; decides status and title.
        detail: one line for people: what is wrong here, and what to do.
        faults: every fault found, where there may be several; the first one is the problem's own.
        members: extension members of the document.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        kind = KINDS[reason]
        super().__init__(kind.status, detail)
        self.reason = str(reason)
        self.faults = tuple(faults)
        self.members = dict(members or {})
        self.all_headers = dict(headers or {})
        if reason in RETRY_AFTER_S:
            self.all_headers["Retry-After"] = str(RETRY_AFTER_S[reason])

    def document(self) -> dict[str, Any]:
        """The problem document's members."""
        found: dict[str, Any] = {
            "type": type_of(self.reason),
            "title": KINDS[self.reason].title,
            "status": self.status_code,
            "detail": self.detail,
            "reason": self.reason,
        }
        if self.faults:
            found["pointer"] = self.faults[0].pointer
            found["errors"] = [msgspec.structs.asdict(fault) for fault in self.faults]
        return found | self.members

    def response(self) -> Response:
        return Response(
            orjson.dumps(self.document()),
            self.status_code,
            self.all_headers,
            media_type=MEDIA_TYPE,
        )


def type_of(reason: str) -> str:
    """The `type` of problems with this reason."""
    return TYPE_PREFIX + reason.lower().replace("_", "-")


def field_problem(faults: Sequence[Fault]) -> ProblemError:
    """The problem of a body whose fields are at fault; there is at least one."""
    first = faults[0]
    name = first.pointer.removeprefix("#").removeprefix("/") or "body"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ProblemError(first.reason, f"{name}: {first.detail}{more}", faults=faults)


def problem_of(error: HTTPException) -> ProblemError:
    """The problem for what the framework itself raises: unknown paths and wrong methods."""
    if isinstance(error, ProblemError):
        return error
    headers = error.headers or {}
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return ProblemError(HttpReason.NOT_FOUND, "no such path; GET /openapi.json lists them")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get("Allow") or headers.get("allow") or "another method"
            return ProblemError(
                HttpReason.METHOD_NOT_ALLOWED, f"use {allowed} on this path", headers=headers
            )
        case _:
            return ProblemError(HttpReason.INTERNAL_ERROR, "an error without a name; see the log")
