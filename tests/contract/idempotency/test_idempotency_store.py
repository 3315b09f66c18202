"""What every idempotency store does: run on the one in memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.postgres import engine as engines
from adapters.postgres.idempotency import PostgresIdempotencyStore, idempotency_ddl
from domain.shared.idempotency import (
    KEEP_DAYS,
    LEASE_SECONDS,
    Answer,
    Begun,
    IdempotencyStore,
    InFlight,
    KeyOwner,
    OtherRequest,
    Replay,
)
from tests.contract.idempotency.memory import MemoryIdempotencyStore
from tests.support.vault import VAULT

OWNER = KeyOwner("u_1")
PRINT = b"\x01" * 32
ANSWER = Answer(201, b'{"orderId":"ord_1"}', (("ETag", '"1"'), ("Location", "/v1/orders/ord_1")))
KEEP_SECONDS = KEEP_DAYS * 86400


class House(Protocol):
    """A store, and a way to let its time pass."""

    store: IdempotencyStore

    async def wait(self, seconds: float) -> None: ...


class MemoryHouse:
    def __init__(self) -> None:
        self.memory = MemoryIdempotencyStore()
        self.store: IdempotencyStore = self.memory

    async def wait(self, seconds: float) -> None:
        self.memory.now += timedelta(seconds=seconds)


class PostgresHouse:
    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.store: IdempotencyStore = PostgresIdempotencyStore(engine, "orders")

    async def wait(self, seconds: float) -> None:
        # The store goes by the server's clock, so the rows are made older instead.
        async with self.engine.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE orders.idempotency_key SET lease_until = lease_until - :s * interval '1 second',"
                    " expires_at = expires_at - :s * interval '1 second'"
                ),
                {"s": seconds},
            )


@pytest.fixture(params=["memory", "postgres"])
def house(request: pytest.FixtureRequest) -> House:
    # Synchronous, because an asynchronous fixture cannot ask for another one by name.
    return (
        MemoryHouse()
        if request.param == "memory"
        else PostgresHouse(request.getfixturevalue("orders_engine"))
    )


@pytest.fixture
async def orders_engine(empty_database_url: str) -> AsyncIterator[AsyncEngine]:
    url = empty_database_url.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, pool_size=10, execution_options={engines.VAULT: VAULT})
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA orders"))
        for statement in idempotency_ddl("orders"):
            await connection.execute(text(statement))
    yield engine
    await engine.dispose()


async def begun(house: House, request_id: str = "r1") -> Begun:
    beginning = await house.store.begin(OWNER, "k", PRINT, request_id)
    assert isinstance(beginning, Begun)
    return beginning


async def test_a_new_key_is_ours(house: House) -> None:
    assert await house.store.begin(OWNER, "k", PRINT, "r1") == Begun("r1", 1)


async def test_a_running_request_is_not_run_again(house: House) -> None:
    await begun(house)
    repeated = await house.store.begin(OWNER, "k", PRINT, "r2")
    assert isinstance(repeated, InFlight)
    assert 1 <= repeated.retry_after_seconds <= LEASE_SECONDS


async def test_an_answer_is_replayed_byte_for_byte(house: House) -> None:
    await begun(house)
    assert await house.store.finish(OWNER, "k", "r1", ANSWER) == ANSWER
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Replay(ANSWER)


@pytest.mark.parametrize("answered", [True, False])
async def test_the_same_key_for_something_else_is_told(house: House, answered: bool) -> None:
    await begun(house)
    if answered:
        await house.store.finish(OWNER, "k", "r1", ANSWER)
    assert await house.store.begin(OWNER, "k", b"\x02" * 32, "r2") == OtherRequest()


async def test_a_key_belongs_to_its_owner(house: House) -> None:
    await begun(house)
    for number, owner in enumerate([KeyOwner("u_2"), KeyOwner("u_1", "svc"), KeyOwner("svc", "u_1")]):
        assert await house.store.begin(owner, "k", PRINT, f"r{number}") == Begun(f"r{number}", 1)


async def test_a_dead_runner_is_taken_over_with_its_request_id(house: House) -> None:
    await begun(house)
    await house.wait(LEASE_SECONDS - 2)
    assert isinstance(await house.store.begin(OWNER, "k", PRINT, "r2"), InFlight)
    await house.wait(3)
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Begun("r1", 2)
    assert isinstance(await house.store.begin(OWNER, "k", PRINT, "r3"), InFlight)


async def test_something_else_never_takes_over(house: House) -> None:
    await begun(house)
    await house.wait(LEASE_SECONDS + 1)
    assert await house.store.begin(OWNER, "k", b"\x02" * 32, "r2") == OtherRequest()
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Begun("r1", 2)


async def test_the_first_answer_stands(house: House) -> None:
    await begun(house)
    await house.wait(LEASE_SECONDS + 1)
    await begun(house)
    assert await house.store.finish(OWNER, "k", "r1", ANSWER) == ANSWER
    late = Answer(200, b"{}")
    assert await house.store.finish(OWNER, "k", "r1", late) == ANSWER
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Replay(ANSWER)


async def test_a_released_key_is_free_at_once_and_keeps_its_request_id(house: House) -> None:
    first = await begun(house)
    await house.store.release(OWNER, "k", first)
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Begun("r1", 2)


async def test_a_runner_that_was_taken_over_cannot_release(house: House) -> None:
    first = await begun(house)
    await house.wait(LEASE_SECONDS + 1)
    await begun(house)
    await house.store.release(OWNER, "k", first)
    assert isinstance(await house.store.begin(OWNER, "k", PRINT, "r3"), InFlight)


async def test_releasing_after_the_answer_changes_nothing(house: House) -> None:
    first = await begun(house)
    await house.store.finish(OWNER, "k", "r1", ANSWER)
    await house.store.release(OWNER, "k", first)
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Replay(ANSWER)


async def test_a_key_is_forgotten_seven_days_after_its_answer(house: House) -> None:
    await begun(house)
    await house.wait(10)
    await house.store.finish(OWNER, "k", "r1", ANSWER)
    await house.wait(KEEP_SECONDS - 5)
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Replay(ANSWER)
    await house.wait(6)
    assert await house.store.begin(OWNER, "k", b"\x02" * 32, "r2") == Begun("r2", 1)


async def test_finishing_what_was_forgotten_gives_the_answer(house: House) -> None:
    await begun(house)
    await house.wait(KEEP_SECONDS + 1)
    assert await house.store.delete_expired(10) == 1
    assert await house.store.finish(OWNER, "k", "r1", ANSWER) == ANSWER
    assert await house.store.begin(OWNER, "k", PRINT, "r2") == Begun("r2", 1)


async def test_expired_keys_are_deleted_in_batches(house: House) -> None:
    for number in range(5):
        await house.store.begin(OWNER, f"old-{number}", PRINT, f"r{number}")
    await house.wait(KEEP_SECONDS + 1)
    await begun(house)
    assert [await house.store.delete_expired(3) for _ in range(3)] == [3, 2, 0]
    assert isinstance(await house.store.begin(OWNER, "k", PRINT, "r2"), InFlight)


async def test_of_a_hundred_at_once_one_begins(house: House) -> None:
    beginnings = await asyncio.gather(
        *(house.store.begin(OWNER, "k", PRINT, f"r{number}") for number in range(100))
    )
    assert sum(isinstance(beginning, Begun) for beginning in beginnings) == 1
    assert sum(isinstance(beginning, InFlight) for beginning in beginnings) == 99


async def test_of_a_hundred_after_a_crash_one_takes_over(house: House) -> None:
    await begun(house)
    await house.wait(LEASE_SECONDS + 1)
    beginnings = await asyncio.gather(
        *(house.store.begin(OWNER, "k", PRINT, f"x{number}") for number in range(100))
    )
    assert [beginning for beginning in beginnings if isinstance(beginning, Begun)] == [Begun("r1", 2)]


async def test_long_names_and_odd_letters(house: House) -> None:
    owner = KeyOwner("\U0001f9fe" * 255, "\x00" * 255)
    assert await house.store.begin(owner, "~" * 255, PRINT, "r1") == Begun("r1", 1)
    assert isinstance(await house.store.begin(owner, "~" * 255, PRINT, "r1"), InFlight)
