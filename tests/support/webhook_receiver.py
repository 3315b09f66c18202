"""Somebody's webhook endpoint: a real server that answers as it is told, and a sender in memory that does the same."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import web

from domain.orders.webhooks.delivery import SendResult
from domain.orders.webhooks.errors import EndpointUrlRefused
from domain.orders.webhooks.ports import Message

HANG = "hang"
RESET = "reset"


@dataclass(frozen=True)
class Say:
    """What it answers: a status, or `HANG` or `RESET` instead of any."""

    status: int | str = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


class WebhookReceiver:
    """Answers `answers` in turn, the last of them for ever; a path may have answers of its own in `by_path`."""

    def __init__(self) -> None:
        self.answers: list[Say] = [Say()]
        self.by_path: dict[str, Say] = {}
        self.received: list[Received] = []
        self.url = ""
        self.let_go = asyncio.Event()
        """Ends what hangs."""
        self._changed = asyncio.Condition()

    def ids(self) -> list[str]:
        return [one.webhook_id for one in self.received]

    async def until(self, wanted: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for what is received. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(wanted)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with self._changed:
            self.received.append(Received(request.path, headers, body))
            self._changed.notify_all()
        say = self.by_path.get(request.path)
        if say is None:
            say = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if say.status == HANG:
            await self.let_go.wait()
            return web.Response()
        if isinstance(say.status, str):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=say.status, headers=say.headers, body=say.body)


@asynccontextmanager
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """A receiver that listens on 127.0.0.1."""
    receiver = WebhookReceiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(application, shutdown_timeout=1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    receiver.let_go.set()
    await runner.cleanup()


class FakeSender:
    """The port in memory: the contract suite holds it to what the real one does."""

    def __init__(self) -> None:
        self.answers: list[Say] = [Say()]
        self.by_path: dict[str, Say] = {}
        self.sent: list[Message] = []
        self.let_go = asyncio.Event()

    async def check(self, url: str) -> None:
        if not url.startswith("https://") and not url.startswith("http://127.0.0.1"):
            raise EndpointUrlRefused(pointer="/url")

    async def send(self, message: Message) -> SendResult:
        self.sent.append(message)
        await asyncio.sleep(0)
        say = self.by_path.get("/" + message.url.partition("//")[2].partition("/")[2])
        if say is None:
            say = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(say.status, str):
            return SendResult(status=None, latency_ms=1, error=say.status)
        given = say.headers.get("Retry-After")
        return SendResult(
            status=say.status,
            latency_ms=1,
            error="a redirect, which is not followed" if 300 <= say.status < 400 else None,
            answer=say.body.decode()[:1024],
            retry_after=timedelta(seconds=int(given)) if given and say.status in (429, 503) else None,
        )
