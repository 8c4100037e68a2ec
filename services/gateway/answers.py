"""The answers that several routes give."""

from typing import Final

import orjson
from starlette.responses import Response

from services.domain.reasons import Reason
from services.door.problems import ProblemError
from services.gateway.problems import HttpReason, problem
from services.gateway.views import View

OK: Final = 200
CREATED: Final = 201
ACCEPTED: Final = 202
UNAVAILABLE: Final = 503


def unknown_ticker(ticker: str) -> ProblemError:
    return problem(
        Reason.UNKNOWN_TICKER.name, f"{ticker[:40]!r} is not traded here; see GET /tickers"
    )


def unknown_account(account: str) -> ProblemError:
    return problem(Reason.UNKNOWN_ACCOUNT.name, f"nothing is known of {account!r}; was it opened?")


def unknown_order(order_id: str) -> ProblemError:
    return problem(
        Reason.UNKNOWN_ORDER.name,
        f"no order {order_id[:64]!r} of this account is live or ended recently",
    )


def unknown_order_here(order_id: str) -> ProblemError:
    """As `unknown_order`, where another gateway may have taken it."""
    return problem(
        Reason.UNKNOWN_ORDER.name,
        f"no order {order_id} of this account is known here; if another gateway took it just now,"
        " it is shown once risk has spoken of it: ask again",
        headers={"Retry-After": "1"},
    )


def starting() -> ProblemError:
    return problem(HttpReason.STARTING, "ask again shortly; GET /readyz says when")


def json_answer(view: View, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(view), status, headers, media_type="application/json")
