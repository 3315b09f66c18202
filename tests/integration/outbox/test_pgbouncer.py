"""Everything through PgBouncer in transaction mode, with fewer connections to the server than clients.

Only the listening connection goes to the server itself. The engine is the application's own.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import make_engine
from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from adapters.system.clock import SystemClock
from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.settings import Secret, Settings
from entrypoints.worker.relay import run_relay
from entrypoints.worker.worker import run_worker
from outbox import Event, OrderedInbox, Outbox, Received, RetryPolicy, UnorderedInbox, Waker
from outbox.signals import wait_any
from tests.integration.http.conftest import Api
from tests.integration.outbox.conftest import create
from tests.integration.outbox.events import event
from tests.integration.outbox.ledger import effects
from tests.integration.outbox.system import System
from tests.support.database import migrate
from tests.support.fake_gateway import FakeGateway
from tests.support.pgbouncer import SERVER_CONNECTIONS, PgBouncer
from tests.support.vault import VAULT

CLIENTS = 4 * SERVER_CONNECTIONS


@pytest.fixture
async def engine(empty_database_url: str, pgbouncer: PgBouncer) -> AsyncIterator[AsyncEngine]:
    """In place of the direct one that the other fixtures here would use."""
    made = make_engine(
        pgbouncer.url(empty_database_url), pool_size=CLIENTS, application="test", pooled=True, vault=VAULT
    )
    yield made
    await made.dispose()


async def test_relay_worker_anti_entropy_and_waker(
    engine: AsyncEngine, outbox: Outbox, inbox: OrderedInbox, valkey_url: str, empty_database_url: str
) -> None:
    system = System(engine, outbox, inbox, valkey_url, empty_database_url)
    streams = [f"s{n}" for n in range(8)]
    try:
        with redis.Redis.from_url(valkey_url) as client:
            async with system.running():
                for n in range(1, 16):
                    await asyncio.gather(*(system.append(event(stream, n)) for stream in streams))
                    if n == 8:
                        await asyncio.to_thread(client.flushall)
                await system.wait_for(120)
        for stream in streams:
            assert await effects(engine, stream) == list(range(1, 16))
    finally:
        system.close()


async def test_partitions_and_the_unordered_inbox(engine: AsyncEngine, outbox: Outbox) -> None:
    done: list[Event] = []

    async def effect(event: Event) -> None:
        done.append(event)

    inbox = UnorderedInbox("orders", "mail", effect, retry=RetryPolicy(attempts=2))
    await create(engine, "orders", inbox.ddl())
    events = [event("o", None) for _ in range(40)]
    batches = [events[start : start + 10] for start in range(0, 40, 10)]
    for _ in range(2):
        await asyncio.gather(*(inbox.receive(engine, batch) for batch in batches))
    assert await inbox.receive(engine, events) == Received(repeated=40)
    assert len(done) == 40

    async with engine.begin() as connection:
        await outbox.ensure_partitions(connection)
        await inbox.ensure_partitions(connection)
    await outbox.drop_partitions(engine, retention_days=1, consumers=())
    await inbox.drop_partitions(engine, retention_days=1)


async def test_a_notification_reaches_who_listens_at_the_server_itself(
    engine: AsyncEngine, outbox: Outbox, empty_database_url: str
) -> None:
    heard, stop = asyncio.Event(), asyncio.Event()
    waker = Waker(engine, outbox)
    listener = await asyncpg.connect(empty_database_url)
    await listener.add_listener(outbox.channel, lambda *_: heard.set())
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(waker.run(stop))
        waker.wake()
        await heard.wait()
        stop.set()
    await listener.close()


async def test_limits_begin_each_transaction_and_end_with_it(
    engine: AsyncEngine, empty_database_url: str, pgbouncer: PgBouncer
) -> None:
    limits = (
        "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    )
    stranger = await asyncpg.connect(pgbouncer.url(empty_database_url), statement_cache_size=0)
    for _ in range(2 * SERVER_CONNECTIONS):
        async with engine.connect() as connection:
            assert tuple((await connection.execute(text(limits))).one()) == ("10s", "10s")
        assert tuple(await stranger.fetchrow(limits)) == ("0", "0")
    await stranger.close()


async def test_migrations(empty_database_url: str, pgbouncer: PgBouncer) -> None:
    for revision in ("0001", "head", "head"):
        await asyncio.to_thread(migrate, pgbouncer.url(empty_database_url), revision)


async def test_checkouts_until_the_orders_know_that_they_are_paid(
    database_url: str, pgbouncer: PgBouncer, valkey_url: str, tmp_path: Path
) -> None:
    create_keys(tmp_path / "keys.json")
    create_data_keys(tmp_path / "data-keys.json")
    settings = Settings(
        home=tmp_path,
        database_url=Secret(pgbouncer.url(database_url)),
        database_pooler="transaction",
        database_pool_size=CLIENTS,
        listen_database_url=Secret(database_url),
        redis_url=Secret(valkey_url),
        stripe_api_key=Secret("sk_test_payonce"),
        stripe_webhook_secret=Secret("whsec_test"),
    )
    container = build_container(settings, Outside(gateway=FakeGateway(SystemClock())))
    await container.start()
    api = Api(create_app_of(container), container)
    stop = asyncio.Event()

    async def status_of(order_id: str) -> str:
        return str((await api.get(f"/v1/orders/{order_id}")).json()["status"])

    async def check_out(number: int) -> None:
        order_id = (await api.order())["orderId"]
        body = {"paymentMethodToken": "pm_card_visa"}
        for _ in range(2):  # the second time answered from the stored answer
            answer = await api.post(f"/v1/orders/{order_id}/confirm", body, key=f"key-{number}")
            assert answer.status_code == 200, answer.text
        while await status_of(order_id) != "PROCESSING_FULFILLMENT":
            await wait_any(stop, seconds=0.05)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_relay(settings, stop))
        tasks.create_task(run_worker(settings, stop))
        await asyncio.gather(*(check_out(number) for number in range(CLIENTS)))
        stop.set()
    async with container.orders.engine.connect() as connection:  # the relay process's housekeeping was here
        assert await connection.scalar(text("SELECT count(*) FROM orders.inbox_horizon")) == 1
    await api.http.aclose()
    await container.stop()
