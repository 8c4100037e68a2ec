"""Whose request it is: the one place where a route learns the account."""

from typing import Annotated, Final

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import Request

from services.domain.ids import is_valid_id
from services.door.problems import Fault, ProblemError
from services.gateway.access import SIGNATURE_HEADER, Access, Caller
from services.gateway.access_layer import CALLER
from services.gateway.core.keys import ADMIN, READ, TRADE
from services.gateway.parts import Here
from services.gateway.problems import HttpReason, problem
from services.gateway.signatures import CHALLENGE
from services.gateway.socket_entry import ACCOUNT_HEADER

_READING: Final = ("GET", "HEAD")

# These three only tell OpenAPI what there is; the access layer has looked at it already.
_bearer = HTTPBearer(auto_error=False, description="A key: outcry_..., made by `outcry keys`.")
_signed = APIKeyHeader(
    name=SIGNATURE_HEADER,
    scheme_name="Signature",
    auto_error=False,
    description="HMAC-SHA256 of the request, with X-Outcry-Key and X-Outcry-Timestamp beside it;"
    " docs/security.md says over what.",
)
_named = APIKeyHeader(
    name=ACCOUNT_HEADER,
    scheme_name="Account",
    auto_error=False,
    description="The account, by name: only where the gateway's access is open (on loopback).",
)


def account_of(request: Request, access: Access) -> str:
    """The account that the request may act for: to read it, or by any other method to trade.

    Raises:
        ProblemError: what is missing, or is not for this.
    """
    named = _named_account(request)
    caller: Caller | None = request.scope.get(CALLER)
    if caller is None:
        if not access.is_open:
            raise key_required()
        if named is None:
            raise problem(
                HttpReason.ACCOUNT_REQUIRED,
                f"send the header {ACCOUNT_HEADER}",
                headers={"WWW-Authenticate": f'{ACCOUNT_HEADER} realm="outcry"'},
            )
        return named
    if named is not None and named != caller.account:
        raise problem(
            HttpReason.WRONG_ACCOUNT, f"leave {ACCOUNT_HEADER} away: the key says whose it is"
        )
    caller.require(READ if request.method in _READING else TRADE)
    assert caller.account, "only keys to operate have none"
    return caller.account


async def _account_of(
    request: Request,
    here: Here,
    _bearer: Annotated[object, Depends(_bearer)],
    _signed: Annotated[object, Depends(_signed)],
    _named: Annotated[object, Depends(_named)],
) -> str:
    return account_of(request, here.access)


async def _operator_of(
    request: Request,
    _bearer: Annotated[object, Depends(_bearer)],
    _signed: Annotated[object, Depends(_signed)],
) -> Caller:
    """Who operates the exchange: always by a key, also where access is open."""
    caller: Caller | None = request.scope.get(CALLER)
    if caller is None:
        raise key_required()
    caller.require(ADMIN)
    return caller


def key_required() -> ProblemError:
    return problem(
        HttpReason.KEY_REQUIRED,
        "send Authorization: Bearer and a key, or sign the request; `outcry keys create` makes one",
        headers=CHALLENGE,
    )


def _named_account(request: Request) -> str | None:
    named = request.headers.getlist(ACCOUNT_HEADER)
    if not named:
        return None
    if len(named) > 1 or not is_valid_id(named[0]):
        detail = "one account of 1 to 64 printable ASCII characters without spaces"
        fault = Fault(f"header:{ACCOUNT_HEADER}", HttpReason.INVALID_PARAMETER, detail)
        raise problem(HttpReason.INVALID_PARAMETER, f"name {detail}", faults=[fault])
    return named[0]


AccountName = Annotated[str, Depends(_account_of)]
Operator = Annotated[Caller, Depends(_operator_of)]
