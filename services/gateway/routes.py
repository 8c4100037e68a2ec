"""Every path: those of the REST interface by subject, and here those of the page."""

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway import account_routes, health_routes, market_routes, order_routes
from services.gateway.page import ASSETS
from services.gateway.parts import Here

router = APIRouter()
for part in (order_routes, account_routes, market_routes, health_routes):
    router.include_router(part.router)


# Not async: the framework calls these on a thread, and reading files may block.


@router.get("/", include_in_schema=False)
def show_page(here: Here) -> Response:
    return here.page.show()


@router.get(f"/{ASSETS}/{{name}}", include_in_schema=False)
def show_asset(here: Here, name: str) -> Response:
    return here.page.asset(name)
