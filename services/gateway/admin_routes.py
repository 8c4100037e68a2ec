"""Paths under /admin: each control becomes durable in `controls`, as the command line's do.

They always need a key with the scope admin, also where access is open.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.admin_models import (
    AdminRequest,
    ControlTaken,
    DepositRequest,
    HaltRequest,
    KillRequest,
    LimitsRequest,
    MarkRequest,
    OpenAccountRequest,
    ResumeRequest,
)
from services.gateway.answers import ACCEPTED, json_answer
from services.gateway.bodies import body_of
from services.gateway.caller import Operator
from services.gateway.command_ids import command_id_of
from services.gateway.documents import BODY, OPERATED, TAKEN, problem_responses, request_body
from services.gateway.parts import Here
from services.gateway.strict_route import StrictRoute

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    ACCEPTED: {"model": ControlTaken},
    **problem_responses(*OPERATED, *BODY, *TAKEN),
}

router = APIRouter(prefix="/admin", tags=["admin"], route_class=StrictRoute)


def _add(path: str, model: type[AdminRequest], summary: str) -> None:
    async def control(
        request: Request,
        here: Here,
        operator: Operator,
        body: Annotated[AdminRequest, Depends(body_of(model))],
    ) -> Response:
        name = command_id_of(request, "client_command_id", body.client_command_id)
        await here.controls.take(body.control(name), operator.key_id)
        return json_answer({"client_command_id": name}, ACCEPTED)

    control.__name__ = path.strip("/").replace("-", "_")
    router.add_api_route(
        path,
        control,
        methods=["POST"],
        status_code=ACCEPTED,
        summary=summary,
        description=model.__doc__,
        responses=_RESPONSES,
        openapi_extra=request_body(model),
    )


_add("/halt", HaltRequest, "Halt a ticker")
_add("/resume", ResumeRequest, "Resume a ticker")
_add("/mark", MarkRequest, "State a mark")
_add("/kill", KillRequest, "Engage or lift an account's kill switch")
_add("/accounts", OpenAccountRequest, "Open an account")
_add("/deposit", DepositRequest, "Deposit shares")
_add("/limits", LimitsRequest, "Change an account's limits")
