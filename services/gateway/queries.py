"""What may stand behind the ? of a path: each parameter is described once, and read by that."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams

from services.domain.codes import LIVE_STATUSES, ORDER_STATUS_NAMES, code_of
from services.domain.ids import is_valid_id
from services.door.problems import Fault, ProblemError
from services.gateway.core.candles import INTERVALS_US
from services.gateway.problems import HttpReason, problem
from services.gateway.request_models import EVENT_TIME_MAX_US, is_valid_ticker

CANDLES_MAX: Final = 1_000
"""Most candles of one answer."""
PAGE_MAX: Final = 500
"""Most orders or fills of one answer."""
DEPTH_MAX: Final = 10
"""Levels of a side that `book` carries."""
TRADES_MAX: Final = 1_000
"""Most trades of one answer; how many are kept is a setting."""
_SEQUENCE_DIGITS_MAX: Final = 18
_NAME_SHOWN_MAX: Final = 40

LIVE: Final = "LIVE"
"""A filter's word for all statuses of orders that can still trade."""
_LISTED_STATUSES: Final = ("NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED")


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """As OpenAPI says it; `default`, where there is one, is what an absent parameter means."""
    example: str | int
    parse: Callable[[str], Any]
    """Raises ValueError with what the parameter is, for people."""

    def document(self) -> dict[str, Any]:
        """As OpenAPI describes it."""
        return {
            "name": self.name,
            "in": "query",
            "description": self.description,
            "schema": dict(self.schema),
            "example": self.example,
        }


def parameters(*wanted: Parameter) -> dict[str, Any]:
    """A path's parameters, for `openapi_extra`; no others are let by (strict_route.py)."""
    return {"parameters": [parameter.document() for parameter in wanted]}


def read_query(given: QueryParams, wanted: Sequence[Parameter]) -> dict[str, Any]:
    """What stands there, parsed; absent ones by their default, or None.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    found: dict[str, Any] = {}
    for parameter in wanted:
        text = given.get(parameter.name)
        if text is None:
            found[parameter.name] = parameter.schema.get("default")
            continue
        try:
            found[parameter.name] = parameter.parse(text)
        except ValueError as error:
            raise wrong_parameter(parameter.name, str(error)) from error
    return found


def wrong_parameter(name: str, detail: str) -> ProblemError:
    shown = name[:_NAME_SHOWN_MAX]
    fault = Fault(f"query:{shown}", HttpReason.INVALID_PARAMETER, detail)
    return problem(HttpReason.INVALID_PARAMETER, f"{shown!r} {detail}", faults=[fault])


# --- kinds of parameters


def _whole(
    name: str, description: str, least: int, most: int, default: int | None, example: int
) -> Parameter:
    def parse(text: str) -> int:
        # Digits are counted first: int() of a long text takes long.
        is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not is_number or not least <= int(text) <= most:
            msg = f"is a whole number from {least} to {most}"
            raise ValueError(msg)
        return int(text)

    schema: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Parameter(name, description, schema, example, parse)


def _one_of(
    name: str, description: str, words: Sequence[str], default: str | None, example: str
) -> Parameter:
    def parse(text: str) -> str:
        if text not in words:
            msg = f"is one of {', '.join(words)}"
            raise ValueError(msg)
        return text

    schema: dict[str, Any] = {"enum": list(words)}
    if default is not None:
        schema["default"] = default
    return Parameter(name, description, schema, example, parse)


def _text(
    name: str, description: str, is_valid: Callable[[str], bool], pattern: str, example: str
) -> Parameter:
    def parse(text: str) -> str:
        if not is_valid(text):
            raise ValueError(f"is like {example}")
        return text

    schema = {"type": "string", "pattern": pattern}
    return Parameter(name, description, schema, example, parse)


def _is_cursor(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _SEQUENCE_DIGITS_MAX


# --- each path's

_TICKER: Final = _text("ticker", "Only of this ticker.", is_valid_ticker, "^[!-~]{1,12}$", "AAPL")
_SINCE: Final = _whole(
    "since_us", "Not older than this log time, microseconds since the epoch (UTC).",
    0, EVENT_TIME_MAX_US, None, 1_790_000_000_000_000,
)  # fmt: skip
_UNTIL: Final = _whole(
    "until_us", "Older than this log time, microseconds since the epoch (UTC).",
    0, EVENT_TIME_MAX_US, None, 1_800_000_000_000_000,
)  # fmt: skip
_CURSOR: Final = _text(
    "cursor", "`next_cursor` of the page before; without one, the newest page.",
    _is_cursor, f"^[0-9]{{1,{_SEQUENCE_DIGITS_MAX}}}$", "17",
)  # fmt: skip
_PAGE: Final = _whole("limit", "Most entries of the answer.", 1, PAGE_MAX, 100, 100)

CANDLES: Final = (
    _one_of(
        "interval", "A second, a minute, or a day of UTC.", tuple(INTERVALS_US), "1m", "1m"
    ),
    _whole(
        "limit", "Most candles of the answer; the newest are given.", 1, CANDLES_MAX, 300, 100
    ),
)  # fmt: skip
BOOK_DEPTH: Final = (
    _whole("depth", "Most levels of each side; the best are given.", 1, DEPTH_MAX, DEPTH_MAX, 5),
)
RECENT_TRADES: Final = (
    _whole("limit", "Most trades of the answer; the newest are given.", 1, TRADES_MAX, 100, 50),
)
ORDERS: Final = (
    _one_of(
        "status", f"Only of this status; {LIVE}: of those that can still trade.",
        (*_LISTED_STATUSES, LIVE), None, LIVE,
    ),
    _TICKER, _SINCE, _UNTIL, _CURSOR, _PAGE,
)  # fmt: skip
FILLS: Final = (
    _text(
        "order_id", "Only of this order.", is_valid_id, "^[!-~]{1,64}$",
        "AAPL-c7ffcf96-25b7-5ac4-8cce-0a36ff6b47a4",
    ),
    _TICKER, _SINCE, _UNTIL, _CURSOR, _PAGE,
)  # fmt: skip


class CandlesQuery(msgspec.Struct, frozen=True):
    interval: str
    limit: int


class PageQuery(msgspec.Struct, frozen=True):
    """What a list is asked for."""

    limit: int
    cursor: int | None = None
    """The account's sequence number before which the page begins."""
    ticker: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    statuses: frozenset[int] | None = None
    order_id: str | None = None

    def is_in_time(self, time_us: int) -> bool:
        return (self.since_us is None or time_us >= self.since_us) and (
            self.until_us is None or time_us < self.until_us
        )


def candles_query(given: QueryParams) -> CandlesQuery:
    """The query of GET /candles/{ticker}.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    return CandlesQuery(**read_query(given, CANDLES))


def page_query(given: QueryParams, wanted: Sequence[Parameter]) -> PageQuery:
    """The query of a list.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    found = read_query(given, wanted)
    cursor, status = found.pop("cursor"), found.pop("status", None)
    statuses = None
    if status is not None:
        only = LIVE_STATUSES if status == LIVE else {code_of(ORDER_STATUS_NAMES, status)}
        statuses = frozenset(only)
    return PageQuery(
        **found, cursor=None if cursor is None else int(cursor), statuses=statuses
    )  # fmt: skip
