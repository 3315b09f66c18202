"""An engine on a database of the test's own, with the producer's and the consumer's tables in it."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outbox import Outbox


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
