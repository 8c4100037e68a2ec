"""What may stand behind the ? of drift's paths; nothing unknown is let by."""

import re
from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams

from services.door.problems import Fault, ProblemError
from services.gateway.problems import HttpReason, problem
from services.gateway.request_models import is_valid_ticker

KINDS: Final = ("data", "predictions", "labels", "quality", "performance", "parity")
"""Of drift's jobs, as its room names them."""
PAGE_MAX: Final = 500
"""Most results of one answer."""
_PAGE_DEFAULT: Final = 100
_CURSOR: Final = re.compile(r"([0-9]{1,17})-([0-9a-f]{64})")
_OUTCOME: Final = re.compile(r"[a-z_]{1,40}")
_ID: Final = re.compile(r"[0-9a-f]{64}")
_TRUTHS: Final = {"true": True, "false": False}


class Cursor(msgspec.Struct, frozen=True):
    """The last one of a page; the next page begins after it."""

    at_us: int
    """What the page is ordered by, the greatest first."""
    named: str
    """Of equal ones, in order."""

    def __str__(self) -> str:
        return f"{self.at_us}-{self.named}"


class Paging(msgspec.Struct, frozen=True):
    """A page of anything."""

    limit: int = _PAGE_DEFAULT
    after: Cursor | None = None


class HistoryQuery(msgspec.Struct, frozen=True):
    """Which results; None: any."""

    paging: Paging = Paging()
    job: str | None = None
    ticker: str | None = None
    outcome: str | None = None
    is_alarm: bool | None = None


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_PAGING: Final = [
    _parameter(
        "limit",
        "Most of one answer.",
        {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": _PAGE_DEFAULT},
    ),
    _parameter(
        "cursor",
        "`next_cursor` of the answer before; without it the latest are given.",
        {"type": "string", "pattern": f"^{_CURSOR.pattern}$"},
    ),
]
PAGING_PARAMETERS: Final[dict[str, Any]] = {"parameters": _PAGING}
HISTORY_PARAMETERS: Final[dict[str, Any]] = {
    "parameters": [
        *_PAGING,
        _parameter("job", "Only this kind of job.", {"enum": list(KINDS)}),
        _parameter(
            "ticker",
            "Only jobs that looked at this ticker; `ratio` is then that ticker's.",
            {"type": "string"},
        ),
        _parameter("outcome", "Only this.", {"type": "string", "pattern": f"^{_OUTCOME.pattern}$"}),
        _parameter("is_alarm", "Only alarms, or only others.", {"enum": list(_TRUTHS)}),
    ]
}
"""As OpenAPI describes them."""


def history_query(parameters: QueryParams) -> HistoryQuery:
    """The query of GET /drift/history.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    _only(parameters, ("limit", "cursor", "job", "ticker", "outcome", "is_alarm"))
    job, ticker = parameters.get("job"), parameters.get("ticker")
    outcome, is_alarm = parameters.get("outcome"), parameters.get("is_alarm")
    if job is not None and job not in KINDS:
        raise _wrong("job", f"is one of {', '.join(KINDS)}")
    if ticker is not None and not is_valid_ticker(ticker):
        raise _wrong("ticker", "is a ticker like AAPL")
    if outcome is not None and not _OUTCOME.fullmatch(outcome):
        raise _wrong("outcome", "is a word like drift")
    if is_alarm is not None and is_alarm not in _TRUTHS:
        raise _wrong("is_alarm", "is true or false")
    truth = None if is_alarm is None else _TRUTHS[is_alarm]
    return HistoryQuery(_paging(parameters), job, ticker, outcome, truth)


def paging_query(parameters: QueryParams) -> Paging:
    """The query of a path that only has pages.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    _only(parameters, ("limit", "cursor"))
    return _paging(parameters)


def require_job_id(text: str) -> str:
    """A job's id, by which nothing but a job can be named.

    Raises:
        ProblemError: NOT_FOUND.
    """
    if not _ID.fullmatch(text):
        raise problem(HttpReason.NOT_FOUND, "a job's id is 64 hexadecimal digits")
    return text


def _paging(parameters: QueryParams) -> Paging:
    text = parameters.get("limit", str(_PAGE_DEFAULT))
    # Digits are counted first: int() of a long text takes long.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(PAGE_MAX))
    if not is_number or not 1 <= int(text) <= PAGE_MAX:
        raise _wrong("limit", f"is a whole number from 1 to {PAGE_MAX}")
    cursor = parameters.get("cursor")
    if cursor is None:
        return Paging(int(text))
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise _wrong("cursor", "is next_cursor of an answer")
    return Paging(int(text), Cursor(int(found[1]), found[2]))


def _only(parameters: QueryParams, known: tuple[str, ...]) -> None:
    for name in parameters:
        if name not in known:
            raise _wrong(name, "is no parameter of this path")
        if len(parameters.getlist(name)) > 1:
            raise _wrong(name, "stands there twice")


def _wrong(name: str, detail: str) -> ProblemError:
    shown = name[:40]
    fault = Fault(f"query:{shown}", HttpReason.INVALID_PARAMETER, detail)
    return problem(HttpReason.INVALID_PARAMETER, f"{shown!r} {detail}", faults=[fault])
