"""Every hot statement of the outbox finds its rows by index: on a log of 50,000 rows in several partitions,
with the planner's statistics from before it grew, and with fresh ones; and by the plans of sessions that have
worked since the log was empty.

What is explained is what the operations really send, whatever it is and wherever it is written.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.cloudevents import order_effects, payment_events
from adapters.postgres import engine as engines
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from outbox import (
    AntiEntropy,
    Event,
    InboxView,
    OrderedInbox,
    Outbox,
    Pace,
    Relay,
    RetryPolicy,
    UnorderedInbox,
)
from outbox.testing.memory import InMemoryPublisher
from tests.contract.repositories.conftest import no_trace
from tests.contract.repositories.rows import a_payment
from tests.contract.repositories.test_orders_contract import an_order
from tests.integration.outbox.conftest import async_url, create
from tests.integration.outbox.events import event, stream_of
from tests.integration.outbox.ledger import CREATE_EFFECTS, Ledger
from tests.support.driver import ProbedConnection, probe
from tests.support.house import CountedIds
from tests.support.plans import Explainer, Plan, wasteful
from tests.support.vault import VAULT

LOGGED = 50_000
STREAMS = 10_000

# One transaction per hundred events, as if written over a week; each stream has five.
FILL_LOG = f"""
DO $$ BEGIN
    FOR i IN 0..{LOGGED // 100 - 1} LOOP
        INSERT INTO shop.outbox_event (created_at, id, topic, stream, sequence, lane, type, payload, headers)
        SELECT clock_timestamp() + make_interval(days => i * 7 / {LOGGED // 100}), uuidv7(), 'facts',
            'old-' || n % {STREAMS}, n / {STREAMS} + 1, n % 4, 'Happened', '{{"n": 1}}', '{{}}'
        FROM generate_series(i * 100, i * 100 + 99) AS n;
        COMMIT;
    END LOOP;
END $$
"""
FILL_INBOX = (
    f"""
    INSERT INTO orders.inbox_stream (consumer, stream, applied)
    SELECT 'orders', 'old-' || n, 5 FROM generate_series(0, {STREAMS - 1}) AS n ON CONFLICT DO NOTHING
    """,
    f"""
    INSERT INTO orders.inbox_waiting (consumer, stream, sequence, id, topic, type, payload, headers, parked_at, cause)
    SELECT 'orders', 'parked-' || n, 1, uuidv7(), 'facts', 'Happened', '{{}}', '{{}}', now(), 'no'
    FROM generate_series(1, {STREAMS}) AS n
    """,
    f"""
    INSERT INTO orders.inbox_event (consumer, id, topic, stream, type, done_at, due_at)
    SELECT 'mail', uuidv7(), 'facts', 'old-' || n, 'Happened', now(), NULL FROM generate_series(1, {LOGGED}) AS n
    """,
)


def recent_id() -> UUID:
    """A UUID of version 7, which tells the unordered inbox its day."""
    return UUID(int=time.time_ns() // 1_000_000 << 80 | 0x7 << 76 | 0b10 << 62 | uuid4().int >> 66)


class House:
    """Producer and consumers over one large database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.outbox = Outbox("shop", lanes=4)
        self.ledger = Ledger()
        retry = RetryPolicy(attempts=2, first_seconds=0.0)
        self.orders = OrderedInbox("orders", "orders", self.ledger, retry=retry)
        self.mail = UnorderedInbox("orders", "mail", self.tell, retry=retry)
        self.broker = InMemoryPublisher()
        self.numbers = itertools.count(1)

    async def tell(self, told: Event) -> None:
        if told.type == "Refused":
            raise RuntimeError("nobody is there")

    async def make(self) -> None:
        await create(self.engine, "shop", self.outbox.ddl())
        await create(self.engine, "orders", [*self.orders.ddl(), *self.mail.ddl(), CREATE_EFFECTS])

    async def fill(self) -> None:
        """Plans of empty tables, no statistics, and nobody who brings them up to date."""
        await self.work()
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for statement in (FILL_LOG, *FILL_INBOX):
                await connection.execute(text(statement))

    async def work(self) -> None:
        await self.relay()
        await self.receive()
        await self.tell_the_world()
        await self.compare()

    async def analyze(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))

    async def append(self, *events: Event) -> None:
        async with self.engine.begin() as connection:
            await self.outbox.append(connection, events)

    async def relay(self) -> None:
        """New events beside a transaction that stays open, then its own, in pages of several sizes."""
        await Relay(
            self.engine, self.outbox, self.broker, page=2_000
        ).drain()  # the backlog, or what came since
        late = stream_of(f"late-{next(self.numbers)}", 3)
        async with self.engine.begin() as connection:
            await self.outbox.append(connection, late)
            await self.append(*stream_of(f"new-{next(self.numbers)}", 40))
            await Relay(self.engine, self.outbox, self.broker, page=10).drain()
        await Relay(self.engine, self.outbox, self.broker, page=10).drain()
        for _ in range(34):  # until cursors are trimmed
            await self.append(event(f"one-{next(self.numbers)}", 1))
            await Relay(self.engine, self.outbox, self.broker).drain()

    async def receive(self) -> None:
        n = next(self.numbers)
        known = [event(f"old-{n * 50 + i}", 6) for i in range(50)]
        await self.append(*known)
        await self.orders.receive(self.engine, known)
        await self.orders.receive(self.engine, known)
        one, two, three = stream_of(f"gap-{n}", 3)
        await self.orders.receive(self.engine, [three])
        await self.orders.receive(self.engine, [one, two])
        bad = stream_of(f"bad-{n}", 2)
        self.ledger.fails = lambda e: e.stream == bad[0].stream
        await self.orders.receive(self.engine, bad)
        await self.orders.run_due(self.engine)

    async def tell_the_world(self) -> None:
        told = [replace(event(f"mail-{n}", None), id=recent_id()) for n in range(50)]
        await self.mail.receive(self.engine, told)
        await self.mail.receive(self.engine, told)
        refused = replace(told[0], id=recent_id(), type="Refused")
        await self.mail.receive(self.engine, [refused])
        await self.mail.run_due(self.engine)
        await self.mail.run_due(self.engine)

    async def compare(self) -> None:
        """A window that has the old log behind it and new events, known and missing, before it."""
        await self._anti_entropy(page=5_000).run_once()
        anti_entropy = self._anti_entropy(page=50)
        await self.append(*(event(f"missing-{next(self.numbers)}", 1) for _ in range(60)))
        for _ in range(3):
            await anti_entropy.run_once()

    def _anti_entropy(self, page: int) -> AntiEntropy:
        view = InboxView(self.engine, self.orders, "facts")
        pace = Pace(grace_seconds=0.0, page=page, gaps=50, published=20)
        return AntiEntropy(self.engine, self.outbox, InMemoryPublisher(), [view], pace=pace)


@pytest.fixture
async def house(empty_database_url: str) -> AsyncIterator[House]:
    engine = create_async_engine(
        async_url(empty_database_url),
        connect_args={"connection_class": ProbedConnection},
        pool_use_lifo=True,  # the same few sessions, which remember their plans
    )
    house = House(engine)
    await house.make()
    await house.fill()
    yield house
    await engine.dispose()


async def explained(house: House, work: Callable[[], Awaitable[object]] | None = None) -> list[Plan]:
    """The plans of what a house does; of all that it does, unless told otherwise."""
    explainer = Explainer(("shop", "orders"))
    token = probe.set(explainer)
    try:
        await (work or house.work)()
    finally:
        probe.reset(token)
    return explainer.plans


async def test_no_hot_statement_reads_a_large_table(house: House) -> None:
    stale = await explained(house)
    await house.analyze()
    fresh = await explained(house)

    for plans in (stale, fresh):
        statements = {plan.statement for plan in plans}
        assert len(statements) > 25  # or the probe saw nothing
        found = wasteful(plans, never_scanned=("outbox_event",))
        assert not found, "\n".join(found)

    async with house.engine.begin() as connection:
        await connection.execute(text("DROP INDEX shop.outbox_event_by_xid"))
    assert wasteful(await explained(house, house.relay))


async def test_a_relay_reads_what_was_open_and_not_the_log(house: House) -> None:
    """Whoever was open in a relay's base is looked up by transaction, however long the lanes are."""
    relay = Relay(house.engine, house.outbox, house.broker)
    await relay.drain()
    for is_analyzed in (False, True):
        if is_analyzed:
            await house.analyze()
        async with house.engine.begin() as connection:
            await house.outbox.append(connection, stream_of(f"open-{next(house.numbers)}", 3))
            await house.append(*stream_of(f"done-{next(house.numbers)}", 3))
            assert await relay.drain() == 3  # the others are open in its base from now on

        plans = await explained(house, relay.drain)

        assert any("pg_snapshot_xip" in plan.statement and plan.rows == 3 for plan in plans)
        assert not [str(plan) for plan in plans if plan.buffers > 500]


async def test_no_hot_statement_of_the_application_reads_a_large_table(database_url: str) -> None:
    engine = create_async_engine(
        async_url(database_url),
        connect_args={"connection_class": ProbedConnection},
        execution_options={engines.VAULT: VAULT},
    )
    none = asyncio.Event()  # is set, and heard by nobody
    encode_payment = partial(payment_events.encode, traceparent=no_trace)
    encode_order = partial(order_effects.encode, event_id=CountedIds().event_id, traceparent=no_trace)
    payments = partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode_payment, none.set)
    orders = partial(PostgresOrdersUnitOfWork, engine, Outbox("orders"), encode_order, none.set)
    try:
        async with payments() as unit:
            await unit.payments.add(a_payment("pay_1", "ord_1"))
            await unit.commit()
        async with orders() as unit:
            await unit.orders.add(an_order("ord_1"))
            await unit.commit()
        async with engine.begin() as connection:
            for table, columns in (
                ("payments.payment", ("payment_id", "order_id")),
                ("orders.orders", ("order_id",)),
            ):
                keys = ", ".join(f"'{column}', 'copy_' || n" for column in columns)
                # Sealed values open in their own row alone.
                keys += ", 'customer', null, 'metadata', '{}'::jsonb" if table == "orders.orders" else ""
                await connection.execute(
                    text(
                        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({keys}))).*"
                        f" FROM {table} AS t, generate_series(1, {STREAMS}) AS n"
                    )
                )
        explainer = Explainer(("payments", "orders"))
        token = probe.set(explainer)
        try:
            for number in ("1", "2"):
                async with payments() as unit:
                    payment = await unit.payments.lock(f"copy_{number}")
                    assert payment is not None
                    await unit.payments.save(payment)
                    await unit.commit()
                async with orders() as unit:
                    found = await unit.orders.lock([f"copy_{number}", f"copy_{number}0"])
                    await unit.orders.save(list(found.values()))
                    await unit.commit()
        finally:
            probe.reset(token)
    finally:
        await engine.dispose()

    assert len({plan.statement for plan in explainer.plans}) == 4
    assert not wasteful(explainer.plans), "\n".join(wasteful(explainer.plans))
