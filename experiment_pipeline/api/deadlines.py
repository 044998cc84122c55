"""Deadlines of bodies: a sender has so long in all, and brings a least number of bytes a second."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE_SECONDS = 10.0  # before the rate counts: a phone that changes networks takes seconds


class BodyDeadline:
    """Middleware that ends the wait for a body that comes too slowly: 408.

    seconds: from the moment that the application begins to read, whatever the rate
    rate: bytes a second, after `GRACE_SECONDS`
    """

    def __init__(self, app: ASGIApp, seconds: float, rate: int) -> None:
        self.app = app
        self.seconds = seconds
        self.rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body has to come in time."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, received, complete = -1.0, 0, False

        async def receive_in_time() -> Message:
            nonlocal begun, received, complete
            if complete:  # what is awaited is the end of the connection
                return await receive()
            if begun < 0:
                begun = asyncio.get_running_loop().time()
            until = begun + min(self.seconds, GRACE_SECONDS + received / self.rate)
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, self._reason(received)) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)

    def _reason(self, received: int) -> str:
        rule = f"within {self.seconds:g} s and, after {GRACE_SECONDS:g} s, bring {self.rate} bytes a second"
        return f"The body must end {rule}; {received} bytes have come. Send it again."
