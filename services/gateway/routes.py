"""Every path of the REST interface, by subject; here those of health and of the page."""

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway import market_routes, order_routes
from services.gateway.answers import UNAVAILABLE, json_answer
from services.gateway.models import Health
from services.gateway.page import ASSETS
from services.gateway.parts import Gateway, Here
from services.gateway.views import View

router = APIRouter()
router.include_router(order_routes.router)
router.include_router(market_routes.router)


@router.get("/healthz", tags=["health"], summary="Is it alive?", response_model=Health)
async def show_health(here: Here) -> Response:
    """200 as long as the process answers."""
    return json_answer(_health(here, "alive"))


@router.get(
    "/readyz",
    tags=["health"],
    summary="Does it take orders?",
    responses={200: {"model": Health}, UNAVAILABLE: {"model": Health}},
)
async def show_readiness(here: Here) -> Response:
    """503 until the feeds are read up to the present, and while the log is away."""
    is_ready = here.log.available and not here.model.behind and not here.desk.stopping
    view = _health(here, "ready" if is_ready else "not ready")
    return json_answer(view, 200 if is_ready else UNAVAILABLE)


# --- the page. Not async: the framework calls these on a thread, and reading files may block.


@router.get("/", include_in_schema=False)
def show_page(here: Here) -> Response:
    return here.page.show()


@router.get(f"/{ASSETS}/{{name}}", include_in_schema=False)
def show_asset(here: Here, name: str) -> Response:
    return here.page.asset(name)


def _health(here: Gateway, status: str) -> View:
    return {
        "status": status,
        "log_available": here.log.available,
        "behind": here.model.behind,
    }
