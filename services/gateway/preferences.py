"""`Prefer: wait=2`: whether, and how long, a request waits for what becomes of its command."""

from typing import Any, Final

from starlette.requests import Request

from services.door.problems import Fault
from services.gateway.problems import HttpReason, problem

PREFER: Final = "Prefer"
APPLIED: Final = "Preference-Applied"
_DIGITS_MAX: Final = 6
_MS_PER_S: Final = 1_000

PREFER_PARAMETER: Final[dict[str, Any]] = {
    "name": PREFER,
    "in": "header",
    "description": "`wait=2`: answer once the exchange has spoken, within so many seconds"
    " (RFC 7240); the answer says in Preference-Applied how long was granted. Without it, or if"
    " it has not spoken by then, the answer is 202.",
    "schema": {"type": "string"},
    "example": "wait=2",
}
"""As OpenAPI describes it."""


def wait_s(request: Request, most_ms: int) -> int | None:
    """How many seconds to wait; None: not asked for. Preferences unknown here are no fault.

    Raises:
        ProblemError: INVALID_PARAMETER: its seconds are none.
    """
    for header in request.headers.getlist(PREFER):
        for preference in header.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            if name.strip().lower() != "wait":
                continue
            text = value.strip().removeprefix('"').removesuffix('"')
            if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
                detail = f"wait takes whole seconds of at most {_DIGITS_MAX} digits, as wait=2"
                fault = Fault(f"header:{PREFER}", HttpReason.INVALID_PARAMETER, detail)
                raise problem(HttpReason.INVALID_PARAMETER, f"{PREFER}: {detail}", faults=[fault])
            return min(int(text), most_ms // _MS_PER_S)
    return None


def applied(seconds: int | None) -> dict[str, str]:
    """The header that says what was granted."""
    return {} if seconds is None else {APPLIED: f"wait={seconds}"}
