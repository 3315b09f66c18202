"""The ASGI application: it reads a request, hands it to the part that answers, and keeps the parts running."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from sandbox import checkout, mailbox
from sandbox.api import Api
from sandbox.chaos import Chaos, ChaosMonkey
from sandbox.checkout import Checkout
from sandbox.clock import Clock
from sandbox.control import Control
from sandbox.errors import ApiError
from sandbox.events import set_given_endpoints
from sandbox.http import Request, Response, json_response
from sandbox.later import run_due
from sandbox.mailbox import Mailbox
from sandbox.pages import PREFIX, Pages
from sandbox.session import Session
from sandbox.smtp import MailServer
from sandbox.store import Store
from sandbox.webhooks import Deliverer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

FIRST_ACCOUNT = "payonce"  # of the key sk_test_payonce
_MAX_BODY_BYTES = 1024 * 1024


class Sandbox:
    """`webhooks` are (URL, secret) pairs; each is an endpoint of the first account for every event type.

    `smtp` is the host and port where mails are taken, if they are.
    """

    def __init__(
        self, data_path: Path, webhooks: list[tuple[str, str]], smtp: tuple[str, int] | None = None
    ) -> None:
        self._data_path = data_path
        self._webhooks = webhooks
        self._smtp = smtp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                response = await self._answer(scope, receive)
            except _ClientGone:
                return
            if not response.held_back_seconds or await _still_waits(receive, response.held_back_seconds):
                await _send(send, response)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._open()
        tasks = [asyncio.create_task(self._deliverer.run()), asyncio.create_task(self._run_later())]
        for task in tasks:
            task.add_done_callback(_end_the_process)
        mails = await self._mail_server.listen(*self._smtp) if self._smtp else None
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if mails is not None:
            mails.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._store.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        """Everything as the last run left it: objects, deliveries, the clock and the chaos."""
        self._store = Store(self._data_path)
        clock = Clock(float(self._store.setting("clock_offset_seconds") or 0))
        chaos = msgspec.json.decode(self._store.setting("chaos") or "{}", type=Chaos)
        self._chaos = ChaosMonkey(clock, chaos)
        self._deliverer = Deliverer(self._store, clock)
        self._something_later = asyncio.Event()
        self._api = Api(self._store, self._chaos)
        self._mailbox = Mailbox(self._store, clock)
        self._mail_server = MailServer(self._mailbox, self._chaos)
        self._pages = Pages(self._store, self._chaos)
        self._checkout = Checkout(self._store, self._chaos)
        self._control = Control(self._store, self._chaos, self._wake, self._set_webhooks)
        self._set_webhooks()

    def _set_webhooks(self) -> None:
        with self._store.transaction():
            session = Session(self._store, FIRST_ACCOUNT, int(self._chaos.clock.now()), self._chaos)
            set_given_endpoints(session, self._webhooks)

    def _wake(self) -> None:
        self._deliverer.wake()
        self._something_later.set()

    async def _run_later(self) -> None:
        while True:
            self._something_later.clear()
            run_due(self._store, self._chaos)
            self._deliverer.wake()
            due = self._store.next_due("later")
            seconds = None if due is None else max(0.0, due - self._chaos.clock.now())
            try:
                await asyncio.wait_for(self._something_later.wait(), seconds)
            except TimeoutError:
                continue

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        request = await _read(scope, receive)
        if request is None:
            error = ApiError("The request body is larger than 1 MiB.", status=413)
            return json_response(413, error.body("req_too_large"))
        if request.path.startswith("/v1/"):
            response = await self._api.answer(request)
        elif request.path.startswith(PREFIX) and request.method in ("GET", "POST"):
            response = self._pages.answer(request)
        elif request.path == checkout.PATH and request.method in ("GET", "POST"):
            response = self._checkout.answer(request)
        elif request.path.startswith(mailbox.PREFIX) and request.method == "GET":
            response = self._mailbox.answer(request)
        elif request.path == "/healthz" and request.method == "GET":
            response = json_response(200, {"status": "ok"})
        else:
            response = self._control.answer(request)
        if request.method != "GET":
            self._wake()
        return response


def _end_the_process(task: asyncio.Task[None]) -> None:
    """Without its background work the sandbox would look alive and deliver nothing."""
    if not task.cancelled() and task.exception() is not None:
        raise SystemExit(1) from task.exception()


class _ClientGone(Exception):
    """The client left before its request was complete: there is nothing to do, and nobody to tell."""


async def _read(scope: Scope, receive: Receive) -> Request | None:
    """The whole request; None where it is too large. Raises _ClientGone."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        more = message.get("more_body", False)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        headers=headers,
        body=b"".join(chunks),
        base_url=f"{scope['scheme']}://{headers.get('host', '127.0.0.1')}",
    )


async def _still_waits(receive: Receive, seconds: float) -> bool:
    """Whether the client is there after that time. Once the request is read, all it can do is leave."""
    try:
        await asyncio.wait_for(receive(), seconds)
    except TimeoutError:
        return True
    return False


async def _send(send: Send, response: Response) -> None:
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        **response.headers,
    }
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    await send({"type": "http.response.body", "body": response.body})
