"""What OpenAPI says beside the shapes: bodies with examples, and every problem of every path."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from services.domain.reasons import Reason
from services.door.problems import MEDIA_TYPE, type_of
from services.gateway.admin_models import EXAMPLES as ADMIN_EXAMPLES
from services.gateway.bodies import FIELD_REASONS
from services.gateway.models import ProblemDocument
from services.gateway.preferences import PREFER_PARAMETER
from services.gateway.problems import KINDS, HttpReason, refusal_kind
from services.gateway.request_models import (
    BatchRequest,
    CancelAllRequest,
    CancelOrderRequest,
    PlaceOrderRequest,
    ReduceOrderRequest,
    ReplaceOrderRequest,
)

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
IDEMPOTENCY_PARAMETER: Final[dict[str, Any]] = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "description": "The command's id, if the body does not state it; if it does, the same one.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
}

REFERENCE: Final = "#/components/schemas/{model}"

EVERYWHERE: Final = (
    HttpReason.INVALID_PARAMETER,
    HttpReason.WRONG_HOST,
    HttpReason.HEAD_TOO_LARGE,
    HttpReason.REQUEST_TIMEOUT,
    HttpReason.INTERNAL_ERROR,
    HttpReason.OVERLOADED,
    HttpReason.RATE_LIMITED,
    # Also where no key is needed: one that is sent must be right.
    HttpReason.KEY_REFUSED,
    HttpReason.SIGNATURE_STALE,
    HttpReason.SIGNATURE_REUSED,
    HttpReason.KEYS_UNAVAILABLE,
)
"""What any path may answer."""
OPERATED: Final = (HttpReason.KEY_REQUIRED, HttpReason.SCOPE_REQUIRED)
AUTHORISED: Final = (*OPERATED, HttpReason.ACCOUNT_REQUIRED, HttpReason.WRONG_ACCOUNT)
BODY: Final = (
    HttpReason.INVALID_JSON,
    HttpReason.REQUEST_TIMEOUT,
    HttpReason.BODY_TOO_LARGE,
    HttpReason.UNSUPPORTED_MEDIA_TYPE,
    HttpReason.MISSING_FIELD,
    HttpReason.UNKNOWN_FIELD,
    HttpReason.INVALID_FIELD,
    *FIELD_REASONS.values(),
)
TAKEN: Final = (HttpReason.STOPPING, HttpReason.LOG_UNAVAILABLE, HttpReason.OUTCOME_UNKNOWN)
READ_ORDER: Final = (Reason.UNKNOWN_ORDER.name, HttpReason.STARTING)

EXAMPLES: Final[Mapping[type[BaseModel], Mapping[str, Mapping[str, object]]]] = {
    PlaceOrderRequest: {
        "limit": {
            "client_order_id": "a-1",
            "ticker": "AAPL",
            "side": "BUY",
            "order_type": "LIMIT",
            "time_in_force": "GTC",
            "price": "187.25",
            "quantity": 100,
        },
        "market": {
            "client_order_id": "a-2",
            "ticker": "AAPL",
            "side": "SELL",
            "order_type": "MARKET",
            "time_in_force": "IOC",
            "quantity": 50,
        },
    },
    BatchRequest: {
        "two sides": {
            "orders": [
                {
                    "client_order_id": f"b-{number}",
                    "ticker": "MSFT",
                    "side": side,
                    "order_type": "LIMIT",
                    "time_in_force": "GTC",
                    "price": price,
                    "quantity": 10,
                }
                for number, (side, price) in enumerate((("BUY", "409.90"), ("SELL", "410.10")))
            ]
        },
    },
    CancelOrderRequest: {"cancel": {"client_command_id": "a-1-cancel"}},
    ReduceOrderRequest: {"reduce": {"client_command_id": "a-1-reduce", "quantity": 40}},
    ReplaceOrderRequest: {
        "replace": {"client_command_id": "a-1-replace", "price": "187.30", "quantity": 120}
    },
    CancelAllRequest: {
        "everything": {"client_command_id": "a-all"},
        "one ticker": {"client_command_id": "a-all-aapl", "ticker": "AAPL"},
    },
    **ADMIN_EXAMPLES,
}
"""Requests to copy; a test sends each."""


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a path, as OpenAPI's `requestBody`."""
    examples = {name: {"value": dict(value)} for name, value in EXAMPLES[model].items()}
    content = {
        "application/json": {
            "schema": {"$ref": REFERENCE.format(model=model.__name__)},
            "examples": examples,
        }
    }
    return {"requestBody": {"required": True, "content": content}}


def command_path(model: type[BaseModel], *, can_wait: bool) -> dict[str, Any]:
    """The request body and headers of a path that takes a command."""
    headers = [IDEMPOTENCY_PARAMETER, *([PREFER_PARAMETER] if can_wait else [])]
    return request_body(model) | {"parameters": headers}


def problem_responses(
    *reasons: str, rejections: Iterable[str] = ()
) -> dict[int | str, dict[str, Any]]:
    """The problems of a path, by status, with an example of each reason.

    `rejections` are what the exchange may answer to a command that is waited for.
    """
    found: dict[int | str, dict[str, Any]] = {}
    refused = [(reason, refusal_kind(reason)) for reason in rejections]
    for reason, kind in (*refused, *((r, KINDS[r]) for r in (*reasons, *EVERYWHERE))):
        response = found.setdefault(
            kind.status,
            {
                "description": "",
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": REFERENCE.format(model=ProblemDocument.__name__)},
                        "examples": {},
                    }
                },
            },
        )
        response["content"][MEDIA_TYPE]["examples"][str(reason)] = {
            "value": {
                "type": type_of(reason),
                "title": kind.title,
                "status": kind.status,
                "detail": "what is wrong here, and what to do",
                "reason": str(reason),
            }
        }
        names = response["content"][MEDIA_TYPE]["examples"]
        response["description"] = ", ".join(names)
    return found
