"""Whose request it is: the one place where a route learns the account."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from services.domain.ids import is_valid_id
from services.door.problems import Fault
from services.gateway.problems import HttpReason, problem
from services.gateway.sockets import ACCOUNT_HEADER

_header = APIKeyHeader(
    name=ACCOUNT_HEADER,
    auto_error=False,
    description="The account, by name. Keys take its place once there are any.",
)


def account_of(request: Request, _: Annotated[str | None, Depends(_header)]) -> str:
    """The account that the request names."""
    named = request.headers.getlist(ACCOUNT_HEADER)
    if not named:
        raise problem(
            HttpReason.ACCOUNT_REQUIRED,
            f"send the header {ACCOUNT_HEADER}",
            headers={"WWW-Authenticate": f'{ACCOUNT_HEADER} realm="outcry"'},
        )
    if len(named) > 1 or not is_valid_id(named[0]):
        detail = "one account of 1 to 64 printable ASCII characters without spaces"
        fault = Fault(f"header:{ACCOUNT_HEADER}", HttpReason.INVALID_PARAMETER, detail)
        raise problem(HttpReason.INVALID_PARAMETER, f"name {detail}", faults=[fault])
    return named[0]


AccountName = Annotated[str, Depends(account_of)]
