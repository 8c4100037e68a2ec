"""Errors as the client sees them: RFC 9457 problem documents with a closed list of reasons.

A reason is a word of domain/reasons.py where the domain has one for it, else one of `HttpReason`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from services.domain.reasons import Reason
from services.domain.rejections import REJECTIONS
from services.door.problems import DOOR_KINDS, Fault, Kind, ProblemError


class HttpReason(StrEnum):
    """Those of every door, and of this one. With those of `domain.Reason` the list is closed."""

    INVALID_JSON = "INVALID_JSON"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    ACCOUNT_REQUIRED = "ACCOUNT_REQUIRED"
    KEY_REQUIRED = "KEY_REQUIRED"
    KEY_REFUSED = "KEY_REFUSED"
    SIGNATURE_STALE = "SIGNATURE_STALE"
    SIGNATURE_REUSED = "SIGNATURE_REUSED"
    SCOPE_REQUIRED = "SCOPE_REQUIRED"
    WRONG_ACCOUNT = "WRONG_ACCOUNT"
    RATE_LIMITED = "RATE_LIMITED"
    KEYS_UNAVAILABLE = "KEYS_UNAVAILABLE"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    HEAD_TOO_LARGE = "HEAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    WRONG_HOST = "WRONG_HOST"
    WRONG_ORIGIN = "WRONG_ORIGIN"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    OVERLOADED = "OVERLOADED"
    STARTING = "STARTING"
    STOPPING = "STOPPING"
    LOG_UNAVAILABLE = "LOG_UNAVAILABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    NO_LEDGER = "NO_LEDGER"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"


_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value

KINDS: Final[Mapping[str, Kind]] = {
    **{reason: Kind(_UNPROCESSABLE, title) for reason, title in REJECTIONS.items()},
    **DOOR_KINDS,
    HttpReason.ACCOUNT_REQUIRED: Kind(401, "The request names no account"),
    HttpReason.KEY_REQUIRED: Kind(401, "The request needs a key"),
    HttpReason.KEY_REFUSED: Kind(401, "The key or the signature is not accepted"),
    HttpReason.SIGNATURE_STALE: Kind(401, "The signature's time is too far from the gateway's"),
    HttpReason.SIGNATURE_REUSED: Kind(401, "The signature was used before"),
    HttpReason.SCOPE_REQUIRED: Kind(403, "The key is not for this"),
    HttpReason.WRONG_ACCOUNT: Kind(403, "The key is another account's"),
    HttpReason.RATE_LIMITED: Kind(429, "Too many requests", 1),
    HttpReason.WRONG_ORIGIN: Kind(403, "Another site's page may not use this service"),
    **{
        reason: Kind(404, REJECTIONS[reason])
        for reason in (
            Reason.UNKNOWN_ACCOUNT.name,
            Reason.UNKNOWN_ORDER.name,
            Reason.UNKNOWN_TICKER.name,
        )
    },
    Reason.INVALID_SIDE.name: Kind(_UNPROCESSABLE, "The side is not acceptable"),
    Reason.INVALID_ORDER_TYPE.name: Kind(_UNPROCESSABLE, "The order type is not acceptable"),
    Reason.INVALID_TIME_IN_FORCE.name: Kind(_UNPROCESSABLE, "The time in force is not acceptable"),
    Reason.INVALID_SELF_TRADE_PREVENTION.name: Kind(
        _UNPROCESSABLE, "The self-trade prevention is not acceptable"
    ),
    HttpReason.INTERNAL_ERROR: Kind(500, "The gateway failed"),
    HttpReason.STARTING: Kind(_UNAVAILABLE, "The gateway is still reading what happened so far", 1),
    HttpReason.STOPPING: Kind(_UNAVAILABLE, "The gateway is stopping", 2),
    HttpReason.KEYS_UNAVAILABLE: Kind(_UNAVAILABLE, "Keys can't be checked at present", 5),
    HttpReason.LOG_UNAVAILABLE: Kind(_UNAVAILABLE, "The log is away; nothing was written", 1),
    HttpReason.OUTCOME_UNKNOWN: Kind(504, "The command may or may not have been written", 1),
    HttpReason.NO_LEDGER: Kind(_UNAVAILABLE, "There is no database of drift's results here", 60),
    HttpReason.LEDGER_UNAVAILABLE: Kind(_UNAVAILABLE, "The database of drift's results is away", 5),
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


def refusal_kind(reason: str) -> Kind:
    """The kind of what the exchange refuses, with whatever reason."""
    return Kind(_UNPROCESSABLE, REJECTIONS.get(reason, "The command was refused"))


def rejection(
    reason: str, members: Mapping[str, object], headers: Mapping[str, str]
) -> ProblemError:
    """What risk or the matcher refused: the command is durable, and did nothing."""
    return ProblemError(
        reason,
        refusal_kind(reason),
        "the exchange refused it; sent again as it is, it is refused again",
        members=members,
        headers=headers,
    )


def field_problem(faults: Sequence[Fault]) -> ProblemError:
    """The problem of a body whose fields are at fault; there is at least one."""
    first = faults[0]
    name = first.pointer.removeprefix("#").removeprefix("/") or "body"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return problem(first.reason, f"{name}: {first.detail}{more}", faults=faults)
