"""The units of work that the repository suites run on: the ones in memory and PostgreSQL's."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import order_effects, payment_events
from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from domain.orders.ports import OrdersUnitOfWork
from domain.payments.ports import PaymentsUnitOfWork
from outbox import Outbox
from tests.support.house import CountedIds
from tests.support.memory import Database, MemoryOrdersUnitOfWork, MemoryPaymentsUnitOfWork
from tests.support.vault import VAULT


@dataclass
class Payments:
    """The payment side's storage: its transactions, and the ids of the events it has committed."""

    unit_of_work: Callable[[], PaymentsUnitOfWork]
    engine: AsyncEngine | None
    database: Database | None = None

    async def committed_events(self) -> Sequence[tuple[str, int]]:
        """Type and number of each event in the outbox."""
        if self.database is not None:
            return [(event.type, event.sequence) for event in self.database.log]
        assert self.engine is not None
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT type, sequence FROM payments.outbox_event ORDER BY position")
            )
            return [(row.type, row.sequence) for row in rows]


@dataclass
class Orders:
    """The order side's storage."""

    unit_of_work: Callable[[], OrdersUnitOfWork]
    engine: AsyncEngine | None
    database: Database | None = None

    async def committed_effects(self) -> Sequence[tuple[str, str]]:
        """Type and order of each effect in the outbox."""
        if self.database is not None:
            return [(effect.type, effect.order_id) for effect in self.database.effects]
        assert self.engine is not None
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                text("SELECT type, stream FROM orders.outbox_event ORDER BY position")
            )
            return [(row.type, row.stream) for row in rows]


def _nobody() -> None:
    """No relay runs that could be woken."""


def no_trace() -> None:
    return None


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=8, application="test", vault=VAULT)
    yield engine
    await engine.dispose()


@pytest.fixture(params=["memory", "postgres"])
def payments(request: pytest.FixtureRequest) -> Payments:
    return payments_in(request.param, request)


def payments_in(kind: str, request: pytest.FixtureRequest) -> Payments:
    if kind == "memory":
        database = Database()
        return Payments(partial(MemoryPaymentsUnitOfWork, database), None, database)
    engine: AsyncEngine = request.getfixturevalue("engine")
    encode = partial(payment_events.encode, traceparent=no_trace)
    return Payments(partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, _nobody), engine)


@pytest.fixture(params=["memory", "postgres"])
def orders(request: pytest.FixtureRequest) -> Orders:
    return orders_in(request.param, request)


def orders_in(kind: str, request: pytest.FixtureRequest) -> Orders:
    if kind == "memory":
        database = Database()
        return Orders(partial(MemoryOrdersUnitOfWork, database), None, database)
    engine: AsyncEngine = request.getfixturevalue("engine")
    encode = partial(order_effects.encode, event_id=CountedIds().event_id, traceparent=no_trace)
    return Orders(partial(PostgresOrdersUnitOfWork, engine, Outbox("orders"), encode, _nobody), engine)
