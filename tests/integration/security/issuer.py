"""An outside issuer: keys, tokens, and a real HTTP server that publishes the keys, or does worse."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from adapters.security.issuers import TrustedIssuer

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Issuer:
    def __init__(self, name: str = "https://login.test") -> None:
        self.name = name
        self.keys: list[Key] = [RSAKey.generate_key(2048, {"kid": "k1"})]
        self.fetches = 0
        self.respond: Respond = self.publish
        self.port = 0
        self._held: list[asyncio.StreamWriter] = []

    def trusted(self, **changes: Any) -> TrustedIssuer:
        values: dict[str, Any] = {
            "issuer": self.name,
            "audience": "payonce-api",
            "jwks_url": f"http://127.0.0.1:{self.port}/jwks",
            "allow_http": True,
        }
        return TrustedIssuer(**{**values, **changes})

    def add_key(self, kid: str) -> None:
        self.keys.append(ECKey.generate_key("P-256", {"kid": kid}))

    def token(self, now: datetime, *, key: Key | None = None, kid: str | None = None, **claims: Any) -> str:
        key = key or self.keys[-1]
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        complete = {
            "iss": self.name,
            "aud": "payonce-api",
            "sub": "u_1",
            "exp": int((now + timedelta(minutes=5)).timestamp()),
            "scope": "orders:read",
            **claims,
        }
        header = {"alg": algorithm, "kid": kid or str(key.kid), "typ": "at+jwt"}
        return jwt.encode(header, complete, key)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writer in self._held:
                writer.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.fetches += 1
        await reader.readuntil(b"\r\n\r\n")
        try:
            await self.respond(writer)
        except ConnectionError:
            pass  # the client has had enough
        finally:
            writer.close()

    # What the server may do

    async def publish(self, writer: asyncio.StreamWriter) -> None:
        keys = [key.as_dict(private=False) for key in self.keys]
        await answer(writer, json.dumps({"keys": keys}).encode())

    async def say_nothing(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def trickle(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def flood(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()


async def answer(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK", more: str = "") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


def saying(body: bytes, status: str = "200 OK", more: str = "") -> Respond:
    async def respond(writer: asyncio.StreamWriter) -> None:
        await answer(writer, body, status, more)

    return respond
