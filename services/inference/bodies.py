"""What a request may ask, and the problem of each that may not."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from uuid import uuid4

import msgspec
from starlette.requests import Request

from services.domain.ids import ID_LENGTH_MAX, is_valid_id
from services.door.problems import DoorReason, Fault
from services.inference.problems import Reason, field_problem, problem
from services.lake.places import is_ticker

REQUEST_ID_HEADER: Final = "X-Request-Id"
_FINGERPRINT_LENGTH: Final = 64


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /predict."""

    tickers: list[str]
    fingerprint: str | None = None
    """Of the feature definitions that the caller expects; another model's answer is refused."""


class VectorRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /predict/vector."""

    features: dict[str, Any]
    """By name, in any order: exactly the model's, each a finite number."""
    fingerprint: str | None = None


def predict_request(document: dict[str, Any], tickers_max: int) -> PredictRequest:
    """The body of POST /predict, checked."""
    _require_members(document, PredictRequest)
    tickers = document["tickers"]
    if not isinstance(tickers, list) or not tickers:
        raise field_problem(
            DoorReason.INVALID_FIELD, "must be an array of one or more tickers", "tickers"
        )
    if len(tickers) > tickers_max:
        raise field_problem(
            Reason.TOO_MANY_TICKERS,
            f"names {len(tickers):,} tickers; ask in parts of at most {tickers_max:,}",
            "tickers",
        )
    for place, ticker in enumerate(tickers):
        if not isinstance(ticker, str) or not is_ticker(ticker):
            raise field_problem(
                DoorReason.INVALID_FIELD, "must be a ticker like AAPL", "tickers", place
            )
    _require_distinct(tickers)
    return PredictRequest(tickers, _fingerprint(document))


def vector_request(document: dict[str, Any]) -> VectorRequest:
    """The body of POST /predict/vector; which features there are is the model's to say."""
    _require_members(document, VectorRequest)
    features = document["features"]
    if not isinstance(features, dict):
        raise field_problem(
            DoorReason.INVALID_FIELD, "must be an object: a number by feature", "features"
        )
    return VectorRequest(features, _fingerprint(document))


def empty_request(document: dict[str, Any]) -> None:
    """The body of a request that takes no members: {}."""
    for name in document:
        raise field_problem(
            DoorReason.UNKNOWN_FIELD, "is not a field of this request; send {}", name
        )


def asked_ticker(parameters: Mapping[str, str]) -> str:
    """The query of GET /explain."""
    ticker = parameters.get("ticker", "")
    if set(parameters) != {"ticker"} or not is_ticker(ticker):
        raise problem(DoorReason.INVALID_PARAMETER, "ask for one ticker: /explain?ticker=AAPL")
    return ticker


def request_id_of(request: Request) -> str:
    """The caller's, or a new one."""
    given = request.headers.get(REQUEST_ID_HEADER)
    if given is None:
        return str(uuid4())
    if not is_valid_id(given):
        detail = f"1 to {ID_LENGTH_MAX} printable ASCII characters without spaces"
        fault = Fault(f"header:{REQUEST_ID_HEADER}", DoorReason.INVALID_PARAMETER, detail)
        raise problem(
            DoorReason.INVALID_PARAMETER, f"{REQUEST_ID_HEADER}: {detail}", faults=[fault]
        )
    return given


def _require_members(document: dict[str, Any], shape: type[msgspec.Struct]) -> None:
    fields = _is_required(shape)
    for name in document:
        if name not in fields:
            raise field_problem(DoorReason.UNKNOWN_FIELD, "is not a field of this request", name)
    for name, required in fields.items():
        if required and name not in document:
            raise field_problem(DoorReason.MISSING_FIELD, "is missing", name)


@cache
def _is_required(shape: type[msgspec.Struct]) -> Mapping[str, bool]:
    """By field. Kept: to ask msgspec costs as much as to read the features."""
    return {field.name: field.required for field in msgspec.structs.fields(shape)}


def _require_distinct(tickers: Sequence[str]) -> None:
    seen: set[str] = set()
    for place, ticker in enumerate(tickers):
        if ticker in seen:
            raise field_problem(DoorReason.INVALID_FIELD, "is named twice", "tickers", place)
        seen.add(ticker)


def _fingerprint(document: dict[str, Any]) -> str | None:
    given = document.get("fingerprint")
    if given is None:
        return None
    if not isinstance(given, str) or len(given) != _FINGERPRINT_LENGTH:
        raise field_problem(
            DoorReason.INVALID_FIELD,
            f"must be a fingerprint of {_FINGERPRINT_LENGTH} hexadecimal digits",
            "fingerprint",
        )
    return given
