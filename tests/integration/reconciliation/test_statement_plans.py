"""Statements are read by index, however many orders, payments and streams there are."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.postgres.orders import row_of
from adapters.postgres.rows import to_row
from adapters.postgres.statements import PostgresOrderStatements, PostgresPaymentStatements
from adapters.postgres.tables import orders as orders_table
from adapters.postgres.tables import payment as payments_table
from domain.orders.order_payment import OrderPayment
from tests.contract.repositories.rows import a_payment
from tests.contract.repositories.test_orders_contract import an_order
from tests.integration.outbox.conftest import async_url
from tests.support.driver import ProbedConnection, probe
from tests.support.house import START
from tests.support.plans import Explainer, wasteful

ORDERS = 3_000
_FILL = (
    """
    INSERT INTO orders.orders SELECT (jsonb_populate_record(o, jsonb_build_object(
        'order_id', 'ord_' || n,
        'payments', jsonb_build_array(o.payments -> 0 || jsonb_build_object('payment_id', 'pay_' || n))
    ))).* FROM orders.orders AS o, generate_series(1, :orders) AS n WHERE order_id = 'ord_0'
    """,
    "INSERT INTO orders.inbox_stream (consumer, stream, applied) SELECT 'orders', 'pay_' || n, 1 FROM generate_series(0, :orders) AS n",
    """
    INSERT INTO orders.history (order_id, entry)
    SELECT 'ord_' || n, '{"kind": "EVENT", "name": "PaymentSucceeded", "after": "PAID"}'
    FROM generate_series(0, :orders) AS n, generate_series(1, 3)
    """,
    """
    INSERT INTO payments.payment SELECT (jsonb_populate_record(p, jsonb_build_object(
        'payment_id', 'pay_' || n, 'order_id', 'ord_' || n
    ))).* FROM payments.payment AS p, generate_series(1, :orders) AS n WHERE payment_id = 'pay_0'
    """,
)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """With one order, and as many more, each with its payment, stream and history."""
    engine = create_async_engine(async_url(database_url), connect_args={"connection_class": ProbedConnection})
    paid = OrderPayment(payment_id="pay_0", gateway_payment_intent_id=None, status="SUCCEEDED")
    async with engine.begin() as connection:
        payment = a_payment("pay_0", "ord_0", sequence=1)
        await connection.execute(payments_table.insert().values(to_row(payment)))
        await connection.execute(orders_table.insert().values(row_of(an_order("ord_0", payments=[paid]))))
        for statement in _FILL:
            await connection.execute(text(statement), {"orders": ORDERS})
    yield engine
    await engine.dispose()


async def test_a_page_costs_what_is_on_it(engine: AsyncEngine) -> None:
    explainer = Explainer(("orders", "payments"))
    orders, payments = PostgresOrderStatements(engine, "orders"), PostgresPaymentStatements(engine, 8)
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE orders.orders, orders.inbox_stream, orders.history"))
        await connection.execute(text("ANALYZE payments.payment"))
    some = [f"ord_{number}" for number in range(100, 110)]
    token = probe.set(explainer)
    try:
        assert len(await orders.of_orders(some)) == 10
        page = await orders.page(after="ord_1", since=None, until=None, limit=20)
        assert [one.payments[f"pay_{one.order_id[4:]}"].applied for one in page] == [1] * 20
        assert len(await orders.newest(20)) == 20
        assert await orders.existing(["ord_7", "nothing"]) == {"ord_7"}
        assert await orders.places(["pay_7"]) == {"pay_7": 1}
        assert await orders.held_events(["pay_7"]) == []
        assert await orders.open_attempts(before=START + timedelta(days=1), limit=20) == []
        assert len(await payments.of_orders(some)) == 10
        assert len(await payments.page(after="pay_1", since=None, until=None, limit=20)) == 20
        assert (await payments.changed(after=None, before=START, limit=20)).is_last
    finally:
        probe.reset(token)
    assert len({plan.statement for plan in explainer.plans}) == 10
    found = wasteful(explainer.plans)
    assert not found, "\n".join(found)
