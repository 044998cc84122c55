"""HTTP/1.1 over connections that are kept open, as many as are needed at once: cheaper than any client library."""

import asyncio
from dataclasses import dataclass, field


@dataclass
class Connections:
    """To one port of this machine."""

    port: int
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head, in small letters, and body of the answer. Servers close what was idle for long: then it asks anew."""
        while True:
            is_new = not self.idle
            reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if is_new:
                    raise
                continue
            body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            self.idle.append((reader, writer))
            return head, body
