"""What may stand behind the ? of a GET; nothing unknown is let by."""

from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams

from services.door.problems import Fault, ProblemError
from services.gateway.core.candles import INTERVALS_US
from services.gateway.problems import HttpReason, problem

CANDLES_MAX: Final = 1_000
"""Most candles of one answer."""
_CANDLES_DEFAULT: Final = 300
_INTERVAL_DEFAULT: Final = "1m"

CANDLES_PARAMETERS: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "interval",
            "in": "query",
            "description": "A second, a minute, or a day of UTC.",
            "schema": {"enum": list(INTERVALS_US), "default": _INTERVAL_DEFAULT},
            "example": _INTERVAL_DEFAULT,
        },
        {
            "name": "limit",
            "in": "query",
            "description": "Most candles of the answer; the newest are given.",
            "schema": {
                "type": "integer",
                "minimum": 1,
                "maximum": CANDLES_MAX,
                "default": _CANDLES_DEFAULT,
            },
            "example": 100,
        },
    ]
}
"""As OpenAPI describes them."""


class CandlesQuery(msgspec.Struct, frozen=True):
    interval: str
    limit: int


def candles_query(parameters: QueryParams) -> CandlesQuery:
    """The query of GET /candles/{ticker}.

    Raises:
        ProblemError: INVALID_PARAMETER.
    """
    for name in parameters:
        if name not in ("interval", "limit"):
            raise _wrong(name, "is no parameter of this path")
        if len(parameters.getlist(name)) > 1:
            raise _wrong(name, "stands there twice")
    interval = parameters.get("interval", _INTERVAL_DEFAULT)
    if interval not in INTERVALS_US:
        raise _wrong("interval", f"is one of {', '.join(INTERVALS_US)}")
    text = parameters.get("limit", str(_CANDLES_DEFAULT))
    # Digits are counted first: int() of a long text takes long.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(CANDLES_MAX))
    if not is_number or not 1 <= int(text) <= CANDLES_MAX:
        raise _wrong("limit", f"is a whole number from 1 to {CANDLES_MAX}")
    return CandlesQuery(interval, int(text))


def _wrong(name: str, detail: str) -> ProblemError:
    shown = name[:40]
    fault = Fault(f"query:{shown}", HttpReason.INVALID_PARAMETER, detail)
    return problem(HttpReason.INVALID_PARAMETER, f"{shown!r} {detail}", faults=[fault])
