"""HTTP POSTs that only ask for the answer's status, over connections kept open.

A general client spends several times the sandbox's own work on each of them; here they are
many, small, and to very few places.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

_IDLE_PER_PLACE = 32
_MAX_ANSWER_BYTES = 1024 * 1024

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Place = tuple[str, str, int]


class PostFailed(Exception):
    """No answer, or one that is not HTTP."""


class Poster:
    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._idle: dict[Place, list[Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The answer's status. Raises PostFailed."""
        parts = urlsplit(url)
        if parts.hostname is None:
            raise PostFailed("the URL has no host")
        place = (parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(place, request)
        except (OSError, EOFError, ValueError, IndexError, TimeoutError, asyncio.LimitOverrunError) as failed:
            raise PostFailed(str(failed)) from failed

    async def _exchange(self, place: Place, request: bytes) -> int:
        """The other side may have closed a kept connection meanwhile: then a new one is tried."""
        idle = self._idle.setdefault(place, [])
        while idle:
            try:
                return await self._send(place, idle.pop(), request)
            except (OSError, EOFError):
                continue
        return await self._send(place, await self._connect(place), request)

    async def _connect(self, place: Place) -> Connection:
        scheme, host, port = place
        if scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        return await asyncio.open_connection(host, port, ssl=self._tls if scheme == "https" else None)

    async def _send(self, place: Place, connection: Connection, request: bytes) -> int:
        reader, writer = connection
        kept = False
        try:
            writer.write(request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(":", 1) for line in head[1:] if line)
            length = int(fields.get("content-length", -1))
            if 0 <= length <= _MAX_ANSWER_BYTES and fields.get("connection", "").strip() != "close":
                await reader.readexactly(length)
                kept = len(self._idle[place]) < _IDLE_PER_PLACE
            return int(head[0].split(" ")[1])
        finally:
            if kept:
                self._idle[place].append(connection)
            else:
                writer.close()

    def close(self) -> None:
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
