"""Security headers: every answer says what a browser may do with it.

Pages of the results page bring their own (site/routes.py), which stay. Everything else, from a payload to a 404, may
load nothing and be shown in no frame. The form of the API's documentation is Swagger's: its policy allows the files
of this server and, by its hash, the script within the page.
"""

import base64
import re
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING = "default-src 'none'; frame-ancestors 'none'"
EVERYWHERE = {
    "content-security-policy": NOTHING,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
RAW = [(name.encode(), value.encode()) for name, value in EVERYWHERE.items()]
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """Middleware that adds the headers that an answer does not have."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete the head of its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        more = [*RAW, HTTPS_ONLY] if scope["scheme"] == "https" else RAW

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [each for each in more if each[0] not in present]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, send_with_headers)


class DocsPolicy:
    """Middleware that gives one page a policy of its own, which allows the scripts within it.

    It comes last, so that HEAD is answered with the headers of GET: the policy follows from the page.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app = app
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and hold the head of the page's answer back until the page is there."""
        if scope["type"] != "http" or scope["path"] != self.path:
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def send_page(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                policy = (b"content-security-policy", policy_of(bytes(body)).encode())
                await send({**start, "headers": [*start["headers"], policy]})
                await send({"type": "http.response.body", "body": bytes(body)})

        await self.app(scope, receive, send_page)


def policy_of(page: bytes) -> str:
    """Return a policy that allows this server's files and the page's own inline scripts, by their hashes."""
    hashes = [base64.b64encode(sha256(script).digest()).decode() for script in INLINE_SCRIPT.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{each}'" for each in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
