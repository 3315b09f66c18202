"""An engine on a database of the test's own, with the producer's and the consumer's tables in it."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outbox import OrderedInbox, Outbox, RetryPolicy
from tests.integration.outbox.ledger import CREATE_EFFECTS, Ledger


def async_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture
async def engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(async_url(empty_database_url), pool_size=20)
    yield engine
    await engine.dispose()


@pytest.fixture
async def outbox(engine: AsyncEngine) -> Outbox:
    log = Outbox("shop", lanes=4)
    await create(engine, "shop", log.ddl())
    return log


async def create(engine: AsyncEngine, schema: str, ddl: list[str]) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        for statement in ddl:
            await connection.execute(text(statement))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def inbox(engine: AsyncEngine, ledger: Ledger) -> OrderedInbox:
    made = OrderedInbox("orders", "orders", ledger, retry=RetryPolicy(attempts=3, first_seconds=0.0))
    await create(engine, "orders", made.ddl())
    async with engine.begin() as connection:
        await connection.execute(text(CREATE_EFFECTS))
    return made
