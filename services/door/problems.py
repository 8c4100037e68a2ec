"""Errors as a client sees them: RFC 9457 problem documents with a closed list of reasons.

A room's list is `DOOR_KINDS` and its own; `ProblemError` is raised anywhere on a request's way.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:outcry:problem:"


class DoorReason(StrEnum):
    """Reasons that any HTTP door can give."""

    INVALID_JSON = "INVALID_JSON"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    HEAD_TOO_LARGE = "HEAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    WRONG_HOST = "WRONG_HOST"
    MISSING_FIELD = "MISSING_FIELD"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    INVALID_FIELD = "INVALID_FIELD"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    OVERLOADED = "OVERLOADED"


class Kind(msgspec.Struct, frozen=True):
    """What all problems with one reason have in common."""

    status: int
    title: str
    retry_after_s: int | None = None
    """When it may be worth another try; None: not without a change."""


_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value

DOOR_KINDS: Final[Mapping[str, Kind]] = {
    DoorReason.INVALID_JSON: Kind(400, "The body is not a JSON object"),
    DoorReason.INVALID_PARAMETER: Kind(400, "A header or parameter is not acceptable"),
    DoorReason.NOT_FOUND: Kind(404, "There is nothing here"),
    DoorReason.METHOD_NOT_ALLOWED: Kind(405, "The method is not for this path"),
    DoorReason.REQUEST_TIMEOUT: Kind(408, "The body did not arrive in time"),
    DoorReason.BODY_TOO_LARGE: Kind(413, "The body is too large"),
    DoorReason.UNSUPPORTED_MEDIA_TYPE: Kind(415, "The body must be application/json"),
    DoorReason.WRONG_HOST: Kind(421, "The request is for another host"),
    DoorReason.HEAD_TOO_LARGE: Kind(431, "The request line and headers are too large"),
    DoorReason.MISSING_FIELD: Kind(_UNPROCESSABLE, "A field is missing"),
    DoorReason.UNKNOWN_FIELD: Kind(_UNPROCESSABLE, "A field is not known"),
    DoorReason.INVALID_FIELD: Kind(_UNPROCESSABLE, "A field is not acceptable"),
    DoorReason.INTERNAL_ERROR: Kind(500, "The service failed"),
    DoorReason.OVERLOADED: Kind(_UNAVAILABLE, "Too many requests are under way", 1),
}


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request."""

    pointer: str
    """JSON pointer into the body as a URI fragment ("#/price"), or "header:NAME"."""
    reason: str
    detail: str


class ProblemError(HTTPException):
    """Becomes its problem document.

    Args:
        reason: one of the room's closed list.
        kind: what the list says of it; decides status and title.
        detail: one line for people: what is wrong here, and what to do.
        faults: every fault found, where there may be several; the first one is the problem's own.
        members: extension members of the document.
    """

    def __init__(
        self,
        reason: str,
        kind: Kind,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(kind.status, detail)
        self.reason = str(reason)
        self.kind = kind
        self.faults = tuple(faults)
        self.members = dict(members or {})
        self.all_headers = dict(headers or {})
        if kind.retry_after_s is not None:
            self.all_headers.setdefault("Retry-After", str(kind.retry_after_s))

    def document(self) -> dict[str, Any]:
        """The problem document's members."""
        found: dict[str, Any] = {
            "type": type_of(self.reason),
            "title": self.kind.title,
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


def door_problem(
    reason: DoorReason,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
    kinds: Mapping[str, Kind] = DOOR_KINDS,
) -> ProblemError:
    """The problem of a reason that every door has; `kinds` is the room's list."""
    kind = kinds[reason]
    return ProblemError(reason, kind, detail, faults=faults, headers=headers, members=members)


def problem_of(error: HTTPException, kinds: Mapping[str, Kind] = DOOR_KINDS) -> ProblemError:
    """The problem for what the framework itself raises: unknown paths and wrong methods."""
    if isinstance(error, ProblemError):
        return error
    headers = error.headers or {}
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return door_problem(
                DoorReason.NOT_FOUND, "no such path; GET /openapi.json lists them", kinds=kinds
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get("Allow") or headers.get("allow") or "another method"
            return door_problem(
                DoorReason.METHOD_NOT_ALLOWED,
                f"use {allowed} on this path",
                headers=headers,
                kinds=kinds,
            )
        case _:
            return door_problem(
                DoorReason.INTERNAL_ERROR, "an error without a name; see the log", kinds=kinds
            )
