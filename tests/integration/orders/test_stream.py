"""The live timeline over a real server process: nothing is missed or told twice, whatever ends in between."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import order_effects
from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.security.keys import KeyFile, create_keys
from adapters.system.clock import SystemClock
from domain.orders.history import Entry, EntryKind
from domain.orders.ports import UnitOfWorkFactory
from entrypoints.local.ports import free_port
from entrypoints.local.ready import token_issuer
from outbox import Outbox
from tests.contract.repositories.conftest import no_trace
from tests.contract.repositories.test_orders_contract import an_order
from tests.support.house import CountedIds
from tests.support.sse import EventStream
from tests.support.vault import DATA_KEYS, VAULT

ORDERS = ("ord_1", "ord_2")
WRITERS, ENTRIES = 4, 30


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=8, application="test", vault=VAULT)
    yield engine
    await engine.dispose()


@pytest.fixture
def unit_of_work(engine: AsyncEngine) -> UnitOfWorkFactory:
    encode = partial(order_effects.encode, event_id=CountedIds().event_id, traceparent=no_trace)
    return partial(PostgresOrdersUnitOfWork, engine, Outbox("orders"), encode, lambda: None)


class Server:
    """`payonce serve` as a process of its own, again and again on one port."""

    def __init__(self, home: Path, database_url: str, valkey_url: str) -> None:
        self.port = free_port()
        self.home = home
        create_keys(home / "keys.json")
        self.environment = os.environ | {
            "PAYONCE_HOME": str(home),
            "PAYONCE_DATA_KEYS": DATA_KEYS,
            "PAYONCE_DATABASE_URL": database_url,
            "PAYONCE_REDIS_URL": valkey_url,
            "PAYONCE_STRIPE_API_KEY": "sk_test_payonce",
            "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_test",
            "PAYONCE_STREAMS": "30",
        }
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._spawn()
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while True:
                try:
                    await client.get(f"{self.url}/livez")
                    return
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    def _spawn(self) -> None:
        command = [sys.executable, "-P", "-m", "entrypoints.cli", "serve", "--port", str(self.port)]
        with (self.home / "serve.log").open("ab") as output:
            self.process = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, *, seconds: float = 600, sub: str = "u_1") -> dict[str, str]:
        issuer = token_issuer(KeyFile(self.home / "keys.json"), "payonce", "payonce")
        expires = SystemClock().now() + timedelta(seconds=seconds)
        return {"Authorization": f"Bearer {issuer.issue(sub, ['orders:read', 'operations:read'], expires)}"}


@contextmanager
def _ended(server: Server) -> Iterator[None]:
    try:
        yield
    finally:
        if server.process is not None and server.process.poll() is None:
            server.end(signal.SIGKILL)


@pytest.fixture
async def server(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path, database_url, valkey_url)
    with _ended(server):
        await server.start()
        yield server


async def keep_orders(unit_of_work: UnitOfWorkFactory) -> None:
    async with unit_of_work() as uow:
        for order_id in ORDERS:
            await uow.orders.add(an_order(order_id))
        await uow.commit()


async def write(unit_of_work: UnitOfWorkFactory, writer: int) -> None:
    """Entries of both orders in turn, each in a transaction that stays open for a moment."""
    for number in range(ENTRIES):
        async with unit_of_work() as uow:
            order = (await uow.orders.lock([ORDERS[number % 2]]))[ORDERS[number % 2]]
            order.note(Entry(kind=EntryKind.SWEEP, name=f"{writer}-{number}"))
            await uow.orders.save([order])
            await asyncio.sleep(0.002 * (writer % 3))
            await uow.commit()


async def follow(server: Server, order_id: str, last: asyncio.Event, expected: int) -> list[int]:
    """The ids that a client sees until it has so many, coming back as often as it takes."""
    seen: list[int] = []
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        while len(seen) < expected:
            headers = server.token() | ({"Last-Event-ID": str(seen[-1])} if seen else {})
            try:
                async with client.stream("GET", f"/v1/orders/{order_id}/stream", headers=headers) as response:
                    assert response.status_code == 200, await response.aread()
                    async for position, entry in EventStream(response):
                        assert entry["position"] == position
                        seen.append(position)
                        if len(seen) == 10:
                            last.set()
                        if len(seen) == expected:
                            break
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    return seen


async def test_each_listener_sees_exactly_the_rows_over_a_killed_server(
    server: Server, unit_of_work: UnitOfWorkFactory, engine: AsyncEngine
) -> None:
    await keep_orders(unit_of_work)
    expected = WRITERS * ENTRIES // 2
    under_way = asyncio.Event()
    async with asyncio.timeout(90):
        following = [
            asyncio.create_task(follow(server, ORDERS[number % 2], under_way, expected))
            for number in range(6)
        ]
        writing = [asyncio.create_task(write(unit_of_work, writer)) for writer in range(WRITERS)]
        await under_way.wait()
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        await server.start()
        await asyncio.gather(*writing)
        seen = await asyncio.gather(*following)
    async with engine.connect() as connection:
        for number, positions in enumerate(seen):
            rows = await connection.scalars(
                text("SELECT position FROM orders.history WHERE order_id = :id ORDER BY position"),
                {"id": ORDERS[number % 2]},
            )
            assert positions == list(rows)


async def test_a_stream_says_how_to_come_back_and_ends_with_the_server(
    server: Server, unit_of_work: UnitOfWorkFactory
) -> None:
    await keep_orders(unit_of_work)
    await write(unit_of_work, 0)
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        path = "/v1/orders/ord_1/stream"
        async with client.stream("GET", path, headers=server.token()) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            assert response.headers["x-accel-buffering"] == "no"
            events = EventStream(response)
            got = []
            async for position, entry in events:
                got.append((position, entry["title"]))
                if len(got) == ENTRIES // 2:
                    server.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
            assert events.retry == 2000
        assert [title for _, title in got] == [f"0-{number}." for number in range(0, ENTRIES, 2)]
        assert server.process is not None
        assert await asyncio.to_thread(server.process.wait, 30) == 0
        await server.start()
        async with client.stream(
            "GET", f"{path}?lastEventId={got[-2][0]}", headers=server.token()
        ) as response:
            async for position, _ in EventStream(response):
                assert position == got[-1][0]
                break


async def test_a_stream_ends_when_the_token_expires(server: Server, unit_of_work: UnitOfWorkFactory) -> None:
    await keep_orders(unit_of_work)
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        headers = server.token(seconds=2)
        async with client.stream("GET", "/v1/orders/ord_1/stream", headers=headers) as response:
            events = EventStream(response)
            assert [event async for event in events] == []
            assert events.comments == 0


async def test_what_is_refused(server: Server, unit_of_work: UnitOfWorkFactory) -> None:
    await keep_orders(unit_of_work)
    path = "/v1/orders/ord_1/stream"
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        bad = await client.get(path, headers=server.token() | {"Last-Event-ID": "x1"})
        assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (400, "Last-Event-ID")
        assert (await client.get(f"{path}?lastEventId=-1", headers=server.token())).status_code == 400
        assert (await client.get(path, headers=server.token(sub="u_2"))).status_code == 404
        assert (await client.get(path)).status_code == 401

    async def hold(order_id: str, sub: str, opened: asyncio.Semaphore) -> None:
        async with (
            httpx.AsyncClient(base_url=server.url, timeout=60) as client,
            client.stream("GET", path, headers=server.token(sub=sub)) as response,
        ):
            opened.release()
            async for _ in EventStream(response):
                continue

    opened = asyncio.Semaphore(0)
    held = [asyncio.create_task(hold("ord_1", "u_1", opened)) for _ in range(20)]
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client, asyncio.timeout(30):
        for _ in held:
            await opened.acquire()
        refused = await client.get(path, headers=server.token())
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert refused.headers["retry-after"] == "5"
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        # Whoever leaves makes room.
        while (await _opens(client, path, server)) != 200:  # noqa: ASYNC110  # It is another process.
            await asyncio.sleep(0.05)


async def _opens(client: httpx.AsyncClient, path: str, server: Server) -> int:
    async with client.stream("GET", path, headers=server.token()) as response:
        return response.status_code
