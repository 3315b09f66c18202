"""How a unit of work begins, reads and writes on the driver: seen statement by statement."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.cloudevents import payment_events
from adapters.postgres import engine as engines
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.postgres.transaction import AFTER, NothingWritten, Transaction, Write
from domain.payments.errors import PaymentInProgress
from outbox import Outbox
from tests.contract.repositories.conftest import no_trace
from tests.contract.repositories.rows import LATER, a_payment, a_webhook, an_operation
from tests.integration.outbox.conftest import async_url
from tests.support.driver import ProbedConnection, probe
from tests.support.vault import VAULT


class Seen:
    """The statements that a task sent, each a round trip."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    async def around(
        self, connection: ProbedConnection, statement: str, arguments: Any, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        self.statements.append(" ".join(statement.split()))
        return await call()

    @property
    def begins(self) -> list[str]:
        return [statement.split()[0] for statement in self.statements]


@contextmanager
def watched() -> Any:
    seen = Seen()
    token = probe.set(seen)
    try:
        yield seen
    finally:
        probe.reset(token)


@pytest.fixture
async def probed(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(
        async_url(database_url),
        connect_args={"connection_class": ProbedConnection},
        execution_options={engines.VAULT: VAULT},
    )
    async with engine.connect():  # what a new connection says is not what is looked at here
        pass
    yield engine
    await engine.dispose()


@pytest.fixture
def unit_of_work(probed: AsyncEngine) -> Callable[[], PostgresPaymentsUnitOfWork]:
    encode = partial(payment_events.encode, traceparent=no_trace)
    return partial(PostgresPaymentsUnitOfWork, probed, Outbox("payments"), encode, lambda: None)


UnitOfWork = Callable[[], PostgresPaymentsUnitOfWork]


async def test_what_is_only_read_takes_one_round_trip(unit_of_work: UnitOfWork) -> None:
    with watched() as seen:
        async with unit_of_work() as uow:
            assert await uow.payments.get("pay_1") is None
    assert seen.begins == ["SELECT"]


async def test_what_is_only_written_is_one_statement(unit_of_work: UnitOfWork) -> None:
    with watched() as seen:
        async with unit_of_work() as uow:
            await uow.payments.add(a_payment())
            await uow.operations.add(an_operation())
            await uow.webhooks.insert(a_webhook())
            await uow.commit()
    assert seen.begins == ["WITH"]
    async with unit_of_work() as uow:
        assert await uow.payments.get("pay_1") == a_payment()
        assert await uow.operations.get("op_1") == an_operation()


async def test_what_is_locked_is_written_in_four_round_trips(unit_of_work: UnitOfWork) -> None:
    async with unit_of_work() as uow:
        await uow.payments.add(a_payment())
        await uow.operations.add(an_operation())
        await uow.commit()
    with watched() as seen:
        async with unit_of_work() as uow:
            found = await uow.operations.lock("op_1")
            assert found is not None
            payment, operation = found
            payment.description = "changed"
            operation.succeeded(LATER)
            await uow.operations.save(operation)
            await uow.payments.save(payment)
            await uow.operations.add(an_operation("op_2"))  # allowed only once the first one is concluded
            await uow.commit()
    assert seen.begins == ["BEGIN", "SELECT", "WITH", "COMMIT"]


async def test_nothing_of_what_is_refused_stays(unit_of_work: UnitOfWork) -> None:
    async with unit_of_work() as uow:
        await uow.payments.add(a_payment())
        await uow.commit()
    async with unit_of_work() as uow:
        await uow.webhooks.insert(a_webhook())
        await uow.payments.add(a_payment("pay_2"))
        with pytest.raises(PaymentInProgress):
            await uow.commit()
    async with unit_of_work() as uow:
        assert await uow.webhooks.look("fake", "evt_1", "pay_2") == (False, None)


async def test_two_writes_of_one_row_never_travel_together(unit_of_work: UnitOfWork) -> None:
    with watched() as seen:
        async with unit_of_work() as uow:
            payment = a_payment()
            await uow.payments.add(payment)
            payment.description = "changed"
            await uow.payments.save(payment)
            await uow.commit()
    assert seen.begins == ["BEGIN", "WITH", "UPDATE", "COMMIT"]
    async with unit_of_work() as uow:
        saved = await uow.payments.get("pay_1")
        assert saved is not None
        assert saved.description == "changed"


async def test_a_row_that_is_not_there_is_told_of(unit_of_work: UnitOfWork) -> None:
    async with unit_of_work() as uow:
        await uow.payments.add(a_payment())
        await uow.payments.save(a_payment("pay_2", "ord_2"))
        with pytest.raises(NothingWritten):
            await uow.commit()


async def test_each_statement_finds_what_the_ones_before_have_done(probed: AsyncEngine) -> None:
    """Whatever order PostgreSQL would have chosen: here the last part would come first."""
    async with probed.begin() as connection:
        await connection.execute(text("CREATE TABLE seat (number integer PRIMARY KEY, is_free boolean)"))
        await connection.execute(text("CREATE UNIQUE INDEX one_free ON seat (is_free) WHERE is_free"))
        await connection.execute(text("INSERT INTO seat VALUES (0, true)"))
    transaction = await Transaction.take(probed)
    for number in range(1, 20):
        taken = Write(
            f"{number - 1}", f"UPDATE seat SET is_free = false WHERE number = $1 AND {AFTER}", [number - 1]
        )
        added = Write(f"{number}", f"INSERT INTO seat SELECT $1::integer, true WHERE {AFTER}", [number])
        await transaction.write(taken, added)
        await transaction.commit()
    await transaction.end(trusted=True)


async def test_an_intent_is_locked_by_the_message_that_begins(unit_of_work: UnitOfWork) -> None:
    strange = "it's; \\ DROP TABLE ü"
    with watched() as seen:
        async with unit_of_work() as uow:
            await uow.webhooks.lock_intent("fake", strange)
            async with unit_of_work() as other:
                driver = await other.webhooks.transaction.reading()
                held = await driver.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert held == 1
    assert seen.begins[0] == "BEGIN;"
    assert "pg_advisory_xact_lock" in seen.statements[0]
