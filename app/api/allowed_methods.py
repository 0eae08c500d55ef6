"""Which methods a path has, over all routers: what an answer of 405 has to say."""

from typing import Final

from starlette.requests import Request
from starlette.routing import Match

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")


def allowed_methods(request: Request) -> str:
    """Return the value of the Allow header for a request's path.

    Starlette names the methods of the first route alone that has the path, where another one may
    have more.
    """
    routes = request.app.router.routes
    return ", ".join(
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    )
