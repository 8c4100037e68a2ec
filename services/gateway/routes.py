"""Every path: those of the REST interface by subject, and here those of the page."""

from functools import cache

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway import (
    account_routes,
    admin_routes,
    drift_routes,
    health_routes,
    market_routes,
    order_routes,
    status_routes,
)
from services.gateway.answers import json_answer
from services.gateway.asyncapi import describe_messages
from services.gateway.page import ASSETS
from services.gateway.parts import Here
from services.gateway.views import View

router = APIRouter()
for part in (
    order_routes,
    account_routes,
    market_routes,
    drift_routes,
    health_routes,
    status_routes,
    admin_routes,
):
    router.include_router(part.router)


@router.get("/asyncapi.json", include_in_schema=False)
async def show_asyncapi() -> Response:
    return json_answer(_messages())


@cache
def _messages() -> View:
    """Made once: nothing of it changes while the process runs."""
    return describe_messages()


# Not async: the framework calls these on a thread, and reading files may block.


@router.get("/", include_in_schema=False)
def show_page(here: Here) -> Response:
    return here.page.show()


@router.get(f"/{ASSETS}/{{name}}", include_in_schema=False)
def show_asset(here: Here, name: str) -> Response:
    return here.page.asset(name)
