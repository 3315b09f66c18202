"""An HTTP server that answers what a test tells it to, byte by byte, or does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Silence(Enum):
    HANG = "take the request and never answer"
    CLOSE = "take the request and close the connection"
    BREAK_OFF = "close in the middle of the answer"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    fields: dict[str, str]
    """The form of a POST, the query of a GET."""


@dataclass
class ScriptedServer:
    url: str = ""
    answers: list[tuple[int, Any] | Silence] = field(default_factory=list)
    """Used up in order; bytes are sent as they are, anything else as JSON. The last one stays."""
    headers: dict[str, str] = field(default_factory=dict)
    """Besides those that every answer has."""
    requests: list[Request] = field(default_factory=list)
    _open: dict[asyncio.StreamWriter, "asyncio.Task[Any] | None"] = field(default_factory=dict)

    async def close(self) -> None:
        """End the conversations, so that no socket outlives the test's event loop."""
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(task for task in self._open.values() if task), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has gone, as it does after a time-out.
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False where the connection is to be closed."""
        self.requests.append(await _read_request(reader))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is Silence.HANG:
            await reader.read()  # Until the client closes.
            return False
        if answer is Silence.BREAK_OFF:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        if isinstance(answer, Silence):
            return False
        status, content = answer
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Length": len(body), "Request-Id": "req_1", **self.headers}
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\n{''.join(lines)}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        return True


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    server = await asyncio.start_server(scripted._serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    scripted.url = f"http://{host}:{port}"
    try:
        yield scripted
    finally:
        server.close()
        await scripted.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    parts = urlsplit(target)
    return Request(method, parts.path, headers, dict(parse_qsl(body or parts.query)))
