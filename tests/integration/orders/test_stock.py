"""Stock on real PostgreSQL: many at once, and raw SQL that goes around the domain."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.cloudevents import order_effects
from adapters.postgres import engine as engines
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from domain.orders.cart import OrderLine
from domain.orders.errors import OnHandBelowReserved, OrderStateForbids, StockInsufficient
from domain.orders.history import carried_out, requested
from domain.orders.order import Order
from domain.orders.use_cases.apply_payment_events import apply_payment_events
from domain.orders.use_cases.count_stock import CountStock, CountStockHandler
from domain.shared.payment_events import (
    PaymentAuthorized,
    PaymentCanceled,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
)
from outbox import Outbox
from tests.integration.outbox.conftest import async_url
from tests.support.driver import Probe, ProbedConnection, probe
from tests.support.events import an_event
from tests.support.house import CUSTOMER, OPERATOR, START
from tests.support.plans import Explainer, wasteful
from tests.support.vault import VAULT

UnitOfWork = Callable[[], PostgresOrdersUnitOfWork]

WORKERS = 10
SKUS = "ABCDE"
EVENTS: Sequence[type[PaymentEvent]] = (
    PaymentRequiresAction,
    PaymentAuthorized,
    PaymentSucceeded,
    PaymentFailed,
    PaymentFailed,
    PaymentCanceled,
)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(
        async_url(database_url),
        connect_args={"connection_class": ProbedConnection},
        pool_size=WORKERS,
        max_overflow=0,
        execution_options={engines.VAULT: VAULT},
    )
    yield engine
    await engine.dispose()


@pytest.fixture
def unit_of_work(engine: AsyncEngine) -> UnitOfWork:
    encode = partial(order_effects.encode, event_id=SystemIds().event_id, traceparent=lambda: None)
    return partial(PostgresOrdersUnitOfWork, engine, Outbox("orders"), encode, lambda: None)


def order_of(order_id: str, quantities: dict[str, int]) -> Order:
    lines = [
        OrderLine(sku=sku, name=sku, quantity=quantity, unit_amount=1) for sku, quantity in quantities.items()
    ]
    return Order(
        order_id=order_id,
        user_id="u_1",
        currency="EUR",
        lines=tuple(lines),
        shipping_amount=1000 - sum(quantities.values()),
        created_at=START,
        updated_at=START,
    )


async def keep(unit_of_work: UnitOfWork, *orders: Order) -> None:
    async with unit_of_work() as uow:
        for order in orders:
            await uow.orders.add(order)
        await uow.commit()


async def begin(unit_of_work: UnitOfWork, order_id: str, *, again: bool = False) -> None:
    async with unit_of_work() as uow:
        order = (await uow.orders.lock([order_id]))[order_id]
        if again:
            order.attempt_again(START)
        else:
            order.confirm(START)
        order.note(requested("pay", "req_1", CUSTOMER))
        order.reserve(await uow.stock.lock(order.skus))
        await uow.orders.save([order])
        await uow.commit()


async def fulfil(unit_of_work: UnitOfWork, order_id: str) -> None:
    async with unit_of_work() as uow:
        order = (await uow.orders.lock([order_id]))[order_id]
        if order.fulfil(START):
            order.note(carried_out("fulfil", "req_1"))
        await uow.orders.save([order])
        await uow.commit()


async def follow(unit_of_work: UnitOfWork, events: Sequence[PaymentEvent]) -> None:
    async with unit_of_work() as uow:
        await apply_payment_events(uow.orders, uow.stock, events)
        await uow.commit()


async def held_and_summed(engine: AsyncEngine) -> tuple[dict[str, int], dict[str, int]]:
    """What orders say that they hold of each SKU, and what the stock says."""
    async with engine.connect() as connection:
        held = await connection.execute(
            text("""
                SELECT key, sum(value::bigint) AS held FROM orders.orders, jsonb_each_text(reserved)
                GROUP BY key ORDER BY key
            """)
        )
        summed = await connection.execute(
            text("SELECT sku, reserved FROM orders.inventory WHERE reserved > 0 ORDER BY sku")
        )
        return (
            {row.key: int(row.held) for row in held},
            {row.sku: row.reserved for row in summed},
        )


async def test_after_a_storm_orders_hold_what_the_stock_says(
    engine: AsyncEngine, unit_of_work: UnitOfWork
) -> None:
    """All that changes stock at once, on few SKUs in every order: nothing but refusals, and the sums agree."""
    names = [f"ord_{n:02}" for n in range(40)]
    chance = Random(5)
    carts = [
        {sku: chance.randint(1, 3) for sku in chance.sample(SKUS, k=chance.randint(1, len(SKUS)))}
        for _ in names
    ]
    await keep(unit_of_work, *map(order_of, names, carts))
    count = CountStockHandler(unit_of_work, SystemClock())
    for sku in SKUS[:3]:  # the others become tracked on the way
        await count(CountStock(caller=OPERATOR, sku=sku, on_hand=12))

    async def work(chance: Random) -> None:
        for _ in range(40):
            some = chance.sample(names, k=chance.randint(1, 5))
            step = chance.random()
            try:
                if step < 0.35:
                    await begin(unit_of_work, some[0], again=chance.random() < 0.5)
                elif step < 0.85:
                    events = [
                        an_event(
                            chance.choice(EVENTS),
                            order_id=name,
                            payment_id=f"pay_{name}",
                            event_id=SystemIds().event_id(),
                        )
                        for name in some * 2
                    ]
                    await follow(unit_of_work, events)
                elif step < 0.92:
                    await fulfil(unit_of_work, some[0])
                else:
                    await count(
                        CountStock(caller=OPERATOR, sku=chance.choice(SKUS), on_hand=chance.randint(5, 30))
                    )
            except (OrderStateForbids, StockInsufficient, OnHandBelowReserved):
                continue

    await asyncio.gather(*(work(Random(n)) for n in range(WORKERS)))
    held, summed = await held_and_summed(engine)
    assert held == summed
    assert held, "nothing was left to compare"


async def test_carts_that_cross_and_payment_events_never_deadlock(
    engine: AsyncEngine, unit_of_work: UnitOfWork
) -> None:
    """Confirmations of A and B, of B and A, and batches in which one order releases what another wants."""
    count = CountStockHandler(unit_of_work, SystemClock())
    for sku in "AB":
        await count(CountStock(caller=OPERATOR, sku=sku, on_hand=1000))
    names = [f"ord_{n:02}" for n in range(40)]
    carts = [{"A": 1, "B": 1} if n % 2 else {"B": 1, "A": 1} for n in range(20)]
    carts += [{"A": 1} if n % 2 else {"B": 1} for n in range(20)]
    await keep(unit_of_work, *map(order_of, names, carts))
    for name in names[20:30]:
        await begin(unit_of_work, name)

    def batch(giving: int, wanting: int) -> list[PaymentEvent]:
        kinds = {names[giving]: PaymentFailed, names[wanting]: PaymentSucceeded}
        return [
            an_event(kind, order_id=name, payment_id=f"pay_{name}", amount_captured=1000)
            for name, kind in kinds.items()
        ]

    await asyncio.gather(
        *(begin(unit_of_work, name) for name in names[:20]),
        *(follow(unit_of_work, batch(20 + n, 30 + (n + 1) % 10)) for n in range(10)),
    )
    held, summed = await held_and_summed(engine)
    assert held == summed == {"A": 25, "B": 25}


async def refused(engine: AsyncEngine, constraint: str, statement: str) -> None:
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError, match=constraint):
            await connection.execute(text(statement))


async def test_raw_sql_cannot_make_stock_wrong(engine: AsyncEngine, unit_of_work: UnitOfWork) -> None:
    count = CountStockHandler(unit_of_work, SystemClock())
    await count(CountStock(caller=OPERATOR, sku="A", on_hand=5))
    await count(CountStock(caller=OPERATOR, sku="FREE", on_hand=5))
    await keep(unit_of_work, order_of("ord_1", {"A": 2}), order_of("ord_2", {"A": 2}))
    await begin(unit_of_work, "ord_1")
    for change in (
        "SET reserved = 6",
        "SET reserved = -1",
        "SET on_hand = 1",
        "SET on_hand = -1, reserved = -1",
        "SET sku = 'B'",
    ):
        await refused(engine, "inventory_reserved", f"UPDATE orders.inventory {change} WHERE sku = 'A'")
    await refused(engine, "inventory_reserved", "DELETE FROM orders.inventory")
    for change in ("status = 'CANCELED'", "status = 'PAYMENT_FAILED'", "fulfilled_at = now()"):
        await refused(
            engine, "orders_reserved", f"UPDATE orders.orders SET {change} WHERE order_id = 'ord_1'"
        )
    await refused(
        engine,
        "orders_reserved",
        """UPDATE orders.orders SET reserved = '{"A": 1}' WHERE order_id = 'ord_2'""",
    )
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM orders.inventory WHERE sku = 'FREE'"))
    assert await held_and_summed(engine) == ({"A": 2}, {"A": 2})


@dataclass
class Statements:
    """A probe that keeps the first word of each round trip, and whether that touches the stock."""

    seen: list[tuple[str, bool]] = field(default_factory=list)

    async def around(
        self, connection: ProbedConnection, statement: str, arguments: Any, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        self.seen.append((statement.split()[0], "orders.inventory" in statement))
        return await call()


async def probed(by: Probe, work: Awaitable[None]) -> None:
    token = probe.set(by)
    try:
        await work
    finally:
        probe.reset(token)


async def test_stock_costs_a_look_at_a_confirmation_and_a_statement_where_it_changes(
    unit_of_work: UnitOfWork,
) -> None:
    count = CountStockHandler(unit_of_work, SystemClock())
    await count(CountStock(caller=OPERATOR, sku="A", on_hand=50))
    await keep(unit_of_work, *(order_of(f"ord_{sku}{n}", {sku: 1}) for sku in "UA" for n in range(4)))
    warming_up = ["ord_A2", "ord_A3"]  # on which the session learns the types of the statements
    for name in warming_up:
        await begin(unit_of_work, name)
    await follow(unit_of_work, [an_event(PaymentFailed, order_id=name) for name in warming_up])

    async def trips(work: Awaitable[None]) -> tuple[int, int]:
        """Round trips in all, and those for the stock."""
        statements = Statements()
        await probed(statements, work)
        return len(statements.seen), sum(touches for _, touches in statements.seen)

    def told(kind: type[PaymentEvent], sku: str) -> list[PaymentEvent]:
        return [
            an_event(kind, order_id=f"ord_{sku}{n}", payment_id=f"pay_{sku}{n}", amount_captured=1000)
            for n in range(2)
        ]

    assert await trips(begin(unit_of_work, "ord_U0")) == (5, 1)  # BEGIN, order, stock, save, COMMIT
    assert await trips(begin(unit_of_work, "ord_A0")) == (6, 2)
    await begin(unit_of_work, "ord_U1")
    await begin(unit_of_work, "ord_A1")
    for sku, failed in (("U", (4, 0)), ("A", (5, 1))):  # BEGIN, orders, save, COMMIT
        assert await trips(follow(unit_of_work, told(PaymentFailed, sku))) == failed
        await begin(unit_of_work, f"ord_{sku}0", again=True)
        await begin(unit_of_work, f"ord_{sku}1", again=True)
        assert await trips(follow(unit_of_work, told(PaymentSucceeded, sku))) == (4, 0)


async def test_stock_is_found_by_its_key_among_many(engine: AsyncEngine, unit_of_work: UnitOfWork) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO orders.inventory
                SELECT 'SKU-' || n, 1000, 0, 1, now() FROM generate_series(1, 30000) AS n
            """)
        )
        await connection.execute(text("ANALYZE orders.inventory"))
    await keep(unit_of_work, order_of("ord_1", {"SKU-77": 1, "SKU-29999": 2, "U": 1}))
    explainer = Explainer(("orders",))
    await probed(explainer, begin(unit_of_work, "ord_1"))
    await probed(explainer, follow(unit_of_work, [an_event(PaymentFailed, order_id="ord_1")]))

    async def read_a_page() -> None:
        async with unit_of_work() as uow:
            assert len(await uow.stock.list(after="SKU-5", limit=20)) == 20

    await probed(explainer, read_a_page())
    assert len(explainer.plans) >= 2 * 4
    assert wasteful(explainer.plans, never_scanned=("inventory",)) == []
