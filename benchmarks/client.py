"""An HTTP client that costs little, so that two cores are left to what is measured."""

import asyncio
import json
from typing import Any


class Client:
    """One connection to one place, kept open; a call at a time."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1:{port}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        """The answer's status and body; `headers` are whole lines of the request."""
        if self._streams is None or self._streams[0].at_eof():  # the server ends what was idle for long
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        answer = await reader.readexactly(int(fields.get("content-length", 0)))
        return int(lines[0].split(" ")[1]), answer

    async def post(self, path: str, body: Any, key: str, expected: int) -> dict[str, Any]:
        """A JSON body with an idempotency key, and the answer's JSON. Raises RuntimeError for another status."""
        sent = json.dumps(body).encode()
        headers = f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\n"
        status, answer = await self.call("POST", path, sent, headers)
        if status != expected:
            raise RuntimeError(f"{path}: {status} {answer.decode()}")
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
