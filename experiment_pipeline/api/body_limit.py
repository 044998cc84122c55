"""Limit on the size of a request's body."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Middleware that stops reading a body once it is too large, whatever its headers say of its length: 413.

    exempt: the path of an endpoint that has a limit of its own
    """

    def __init__(self, app: ASGIApp, largest: int, exempt: str) -> None:
        self.app = app
        self.largest = largest
        self.exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and refuse it once its body is larger than the limit."""
        if scope.get("path") == self.exempt:
            await self.app(scope, receive, send)
            return
        received = 0

        async def receive_at_most() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.largest:
                raise HTTPException(413, f"The body must not be larger than {self.largest} bytes.")
            return message

        await self.app(scope, receive_at_most, send)
