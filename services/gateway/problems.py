"""Errors as the client sees them: RFC 9457 problem documents with a closed list of reasons.

A reason is a word of domain/reasons.py where the domain has one for it, else one of `HttpReason`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from services.domain.reasons import Reason
from services.door.problems import DOOR_KINDS, Fault, Kind, ProblemError


class HttpReason(StrEnum):
    """Those of every door, and of this one. With those of `domain.Reason` the list is closed."""

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


_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value

KINDS: Final[Mapping[str, Kind]] = {
    **DOOR_KINDS,
    HttpReason.ACCOUNT_REQUIRED: Kind(401, "The request names no account"),
    HttpReason.WRONG_ORIGIN: Kind(403, "Another site's page may not use this service"),
    Reason.UNKNOWN_ORDER.name: Kind(404, "The account has no such order"),
    Reason.UNKNOWN_TICKER.name: Kind(404, "The ticker is not traded here"),
    Reason.INVALID_SIDE.name: Kind(_UNPROCESSABLE, "The side is not acceptable"),
    Reason.INVALID_ORDER_TYPE.name: Kind(_UNPROCESSABLE, "The order type is not acceptable"),
    Reason.INVALID_TIME_IN_FORCE.name: Kind(_UNPROCESSABLE, "The time in force is not acceptable"),
    Reason.INVALID_SELF_TRADE_PREVENTION.name: Kind(
        _UNPROCESSABLE, "The self-trade prevention is not acceptable"
    ),
    Reason.INVALID_PRICE.name: Kind(_UNPROCESSABLE, "The price is not acceptable"),
    Reason.INVALID_QUANTITY.name: Kind(_UNPROCESSABLE, "The quantity is not acceptable"),
    HttpReason.INTERNAL_ERROR: Kind(500, "The gateway failed"),
    HttpReason.STARTING: Kind(_UNAVAILABLE, "The gateway is still reading what happened so far", 1),
    HttpReason.STOPPING: Kind(_UNAVAILABLE, "The gateway is stopping", 2),
    HttpReason.LOG_UNAVAILABLE: Kind(_UNAVAILABLE, "The log is away; nothing was written", 1),
    HttpReason.OUTCOME_UNKNOWN: Kind(504, "The command may or may not have been written", 1),
}
"""Every reason a problem document can give, with its status and title."""


def problem(
    reason: str,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> ProblemError:
    """The problem of one of `KINDS`."""
    return ProblemError(
        reason, KINDS[reason], detail, faults=faults, headers=headers, members=members
    )


def field_problem(faults: Sequence[Fault]) -> ProblemError:
    """The problem of a body whose fields are at fault; there is at least one."""
    first = faults[0]
    name = first.pointer.removeprefix("#").removeprefix("/") or "body"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return problem(first.reason, f"{name}: {first.detail}{more}", faults=faults)
