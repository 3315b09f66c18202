"""A log in one database and its consumers in another: nothing here may rely on both being in one."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from entrypoints.local.postgres import EmbeddedPostgres
from outbox import (
    AntiEntropy,
    Consumer,
    Event,
    InboxView,
    Operations,
    OrderedInbox,
    Outbox,
    Pace,
    Relay,
    RetryPolicy,
    UnorderedInbox,
)
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import async_url, create
from tests.integration.outbox.ledger import CREATE_EFFECTS, Ledger
from tests.support.postgres import create_database, drop_database

AT_ONCE = Pace(grace_seconds=0.0)
Append = Callable[..., Awaitable[None]]


@pytest.fixture
async def consumer_engine(postgres_server: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    """A database of the consumer's own: nothing here may rely on both sides being in one."""
    url = await create_database(postgres_server)
    engine = create_async_engine(async_url(url))
    yield engine
    await engine.dispose()
    await drop_database(postgres_server, url)


@pytest.fixture
async def inbox(consumer_engine: AsyncEngine, ledger: Ledger) -> OrderedInbox:
    made = OrderedInbox("orders", "orders", ledger, retry=RetryPolicy(attempts=1, first_seconds=0.0))
    await create(consumer_engine, "orders", made.ddl())
    async with consumer_engine.begin() as connection:
        await connection.execute(text(CREATE_EFFECTS))
    return made


class World:
    def __init__(self) -> None:
        self.done: list[Event] = []
        self.refuses = False

    async def __call__(self, event: Event) -> None:
        if self.refuses:
            raise ConnectionError(f"no answer to {event.id}")
        self.done.append(event)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def warehouse(inbox: OrderedInbox, consumer_engine: AsyncEngine, world: World) -> UnorderedInbox:
    made = UnorderedInbox("orders", "warehouse", world, retry=RetryPolicy(attempts=1, first_seconds=0.0))
    await create(consumer_engine, "orders", made.ddl())
    return made


@pytest.fixture
def operations(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    inbox: OrderedInbox,
    warehouse: UnorderedInbox,
) -> Operations:
    consumers = [Consumer(consumer_engine, inbox, "facts"), Consumer(consumer_engine, warehouse, "effects")]
    return Operations(engine, outbox, ["memory"], consumers)


@pytest.fixture
def append(engine: AsyncEngine, outbox: Outbox) -> Append:
    async def append(*events: Event) -> None:
        async with engine.begin() as connection:
            await outbox.append(connection, events)

    return append


@pytest.fixture
def publisher() -> InMemoryPublisher:
    return InMemoryPublisher()


@pytest.fixture
def relay(engine: AsyncEngine, outbox: Outbox, publisher: InMemoryPublisher) -> Relay:
    return Relay(engine, outbox, publisher, page=10)


def anti_entropy(
    engine: AsyncEngine,
    consumer_engine: AsyncEngine,
    outbox: Outbox,
    publisher: InMemoryPublisher,
    inbox: OrderedInbox | UnorderedInbox,
    *,
    topic: str = "facts",
    pace: Pace = AT_ONCE,
) -> AntiEntropy:
    return AntiEntropy(engine, outbox, publisher, [InboxView(consumer_engine, inbox, topic)], pace=pace)


async def age(engine: AsyncEngine, outbox: Outbox, seconds: float, stream: str) -> None:
    """Let the stream's events have been made so long ago."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                f"UPDATE {outbox.schema}.outbox_event SET created_at = created_at - make_interval(secs => :s) WHERE stream = :n"
            ),
            {"s": seconds, "n": stream},
        )
