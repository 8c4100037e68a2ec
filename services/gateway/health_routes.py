"""Paths that say whether the gateway lives, and whether it takes orders."""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway.answers import UNAVAILABLE, json_answer
from services.gateway.documents import problem_responses
from services.gateway.models import Health
from services.gateway.parts import Gateway, Here
from services.gateway.strict_route import StrictRoute
from services.gateway.views import View

_PROBLEMS: Final = {
    # Health is told also when the door is crowded, so a 503 of these is no problem document.
    status: response
    for status, response in problem_responses().items()
    if status != UNAVAILABLE
}

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/healthz", summary="Is it alive?", responses={200: {"model": Health}, **_PROBLEMS})
async def show_health(here: Here) -> Response:
    """200 as long as the process answers."""
    return json_answer(_health(here, "alive"))


@router.get(
    "/readyz",
    summary="Does it take orders?",
    responses={200: {"model": Health}, UNAVAILABLE: {"model": Health}, **_PROBLEMS},
)
async def show_readiness(here: Here) -> Response:
    """503 until the feeds are read up to the present, and while the log is away."""
    is_ready = here.log.available and not here.model.behind and not here.desk.stopping
    view = _health(here, "ready" if is_ready else "not ready")
    return json_answer(view, 200 if is_ready else UNAVAILABLE)


def _health(here: Gateway, status: str) -> View:
    return {
        "status": status,
        "log_available": here.log.available,
        "behind": here.model.behind,
    }
