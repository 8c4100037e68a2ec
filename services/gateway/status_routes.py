"""The path that says how the exchange is. Not async: the framework calls it on a thread."""

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway.answers import json_answer
from services.gateway.documents import problem_responses
from services.gateway.parts import Here
from services.gateway.status_models import ExchangeStatus
from services.gateway.strict_route import StrictRoute

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get(
    "/status",
    summary="Show how the exchange is",
    responses={200: {"model": ExchangeStatus}, **problem_responses()},
)
def show_status(here: Here) -> Response:
    """What the stages have yet to read, the newest snapshots, and the last audit.

    200 also where a source is away: its part is then unknown, and says why.
    """
    return json_answer(here.status.show())
