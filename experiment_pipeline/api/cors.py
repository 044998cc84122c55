"""CORS of the event collector: pages of other origins send to it, with headers that somebody else added.

By hand, not by Starlette's CORSMiddleware: that answers a preflight with a 200 and a text where ours is an empty 204,
leaves an OPTIONS without `Access-Control-Request-Method` to a 405, and refuses headers that it does not know with a
400. Monitoring adds headers of its own to every request of a page (`traceparent`, `baggage`, `sentry-trace`), and a
browser drops the request when one of them is not allowed: so what is asked for is allowed.
"""

import re

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KNOWN_HEADERS = "Content-Type, Content-Encoding, X-Environment-Key, Flagsmith-SDK-User-Agent"
ASKED_HEADERS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*", re.ASCII)
LONGEST = 8_192  # characters of asked headers that are answered with themselves
EXPOSED_HEADERS = "Retry-After, X-Request-ID"


def preflight_headers(request: Request) -> dict[str, str]:
    """Return the headers that allow a page to send: the method, and whatever headers it asks for."""
    asked = request.headers.get("access-control-request-headers", "")
    usable = len(asked) <= LONGEST and ASKED_HEADERS.fullmatch(asked)
    return {
        "Access-Control-Allow-Methods": "POST, OPTIONS",
        "Access-Control-Allow-Headers": asked if usable else KNOWN_HEADERS,
        "Access-Control-Max-Age": "86400",
        "Vary": "Access-Control-Request-Headers",
    }


class CollectorCors:
    """Outermost middleware: every answer of the collector's path, failures too, can be read by a page of an origin."""

    def __init__(self, app: ASGIApp, path: str, origins: str) -> None:
        self.app = app
        self.path = path
        self.origins = frozenset(origin.strip() for origin in origins.split(","))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight of the event path, and add CORS headers to its other answers."""
        if scope["type"] != "http" or scope["path"] != self.path:
            await self.app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin", "")

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._allow(origin, MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_readable)

    def _allow(self, origin: str, headers: MutableHeaders) -> None:
        if "*" in self.origins:
            headers["Access-Control-Allow-Origin"] = "*"
        else:
            headers.add_vary_header("Origin")
            if origin not in self.origins:
                return
            headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
