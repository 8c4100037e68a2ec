"""A route that lets no query parameter by which it does not describe."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.queries import wrong_parameter


class StrictRoute(APIRoute):
    """A misspelt parameter would otherwise be ignored, and its answer be taken for another's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, behind the check."""
        handle = super().get_route_handler()
        described = (self.openapi_extra or {}).get("parameters", [])
        known = frozenset(p["name"] for p in described if p["in"] == "query")

        async def check_and_handle(request: Request) -> Response:
            given = request.query_params
            for name in given:
                if name not in known:
                    raise wrong_parameter(name, "is no parameter of this path")
                if len(given.getlist(name)) > 1:
                    raise wrong_parameter(name, "stands there twice")
            return await handle(request)

        return check_and_handle
