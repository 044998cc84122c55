"""Methods that HTTP has for every path: HEAD where there is a GET, OPTIONS, and an `Allow` that names all of them."""

from fastapi import Request
from fastapi.responses import Response
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FOUND_BY_ROUTING = ("route", "path_params", "endpoint", "state")  # RequestLogging reads them afterwards


def allowed_methods(request: Request) -> list[str]:
    """Return the methods of a request's path, in order; empty where there is no such path."""
    routed = set(filter(lambda method: _answers(request, method), METHODS))
    if not routed:
        return []
    return sorted(routed | {"OPTIONS"} | ({"HEAD"} if "GET" in routed else set()))


class Methods:
    """Middleware that answers HEAD as GET without its body, and OPTIONS with the path's methods."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD and OPTIONS, and pass every other request on."""
        if scope["type"] != "http" or scope["method"] not in ("HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._options(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, send_without_body)
        finally:
            scope.update({name: as_get[name] for name in FOUND_BY_ROUTING if name in as_get})

    async def _options(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        allowed = allowed_methods(request)
        if scope["path"] == "*":  # of the server as a whole
            allowed = sorted({*METHODS, "HEAD"})
        if not allowed or _answers(request, "OPTIONS"):
            await self.app(scope, receive, send)
            return
        await Response(status_code=204, headers={"Allow": ", ".join(allowed)})(scope, receive, send)


def _answers(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(
        route.matches(scope)[0] is Match.FULL and (method == "GET" or not isinstance(route, Mount))
        for route in request.app.routes
    )
