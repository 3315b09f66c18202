"""A webhook endpoint: it keeps what it was sent and tells those who wait for it."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import stripe


class Receiver:
    """Answers `statuses` in turn, the last of them for ever. `events` are those it accepted."""

    def __init__(self) -> None:
        self.secret = ""
        self.statuses = [200]
        self.deliveries: list[tuple[bytes, str]] = []
        self.events: list[stripe.Event] = []
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    async def until(self, wanted: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for what the deliveries bring about. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(wanted)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        async with self._changed:
            signature = headers["stripe-signature"]
            self.deliveries.append((body, signature))
            if status == 200:
                self.events.append(stripe.Webhook.construct_event(body, signature, self.secret))
            self._changed.notify_all()
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
