"""What each side states of its books: the same from memory and from PostgreSQL."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from adapters.postgres.statements import PostgresOrderStatements, PostgresPaymentStatements
from domain.orders.attempt import AttemptStatus
from domain.orders.following import follow
from domain.orders.status import OrderStatus
from domain.payments.payment import Occasion
from domain.reconciliation.order_ports import OrderBook, PaymentBook
from domain.shared.errors import Malformed
from domain.shared.payment_events import PaymentSucceeded
from domain.shared.statements import FollowedPayment
from outbox import Outbox
from tests.contract.repositories.conftest import Orders, Payments
from tests.contract.repositories.rows import a_payment, a_snapshot, ids, keep, pay
from tests.contract.repositories.test_orders_contract import CONFIRMED, an_attempt, an_order
from tests.contract.repositories.test_orders_contract import keep as keep_orders
from tests.support.house import START
from tests.support.memory_statements import MemoryOrderStatements, MemoryPaymentStatements

LATER = START + timedelta(minutes=1)
LONG_AFTER = START + timedelta(days=3650)
FOLLOWER = "orders"


@dataclass
class PaymentSide:
    payments: Payments
    book: PaymentBook


@pytest.fixture
def side(payments: Payments) -> PaymentSide:
    if payments.engine is None:
        assert payments.database is not None
        return PaymentSide(payments, MemoryPaymentStatements(payments.database))
    return PaymentSide(payments, PostgresPaymentStatements(payments.engine, Outbox("payments").lanes))


@pytest.fixture
def order_book(orders: Orders) -> OrderBook:
    if orders.engine is None:
        assert orders.database is not None
        return MemoryOrderStatements(orders.database)
    return PostgresOrderStatements(orders.engine, FOLLOWER)


async def test_payments_are_stated_as_they_were_saved(side: PaymentSide) -> None:
    await keep(side.payments, a_payment(), a_payment("pay_2", "ord_2"), a_payment("pay_3", "ord_3"))
    await pay(side.payments)
    first, second = await side.book.of_orders(["ord_1", "ord_2", "ord_9"])
    assert (first.payment_id, first.order_id, first.status, first.sequence) == (
        "pay_1",
        "ord_1",
        "SUCCEEDED",
        1,
    )
    assert (first.amount, first.amount_captured, first.amount_refunded, first.currency) == (
        1000,
        1000,
        0,
        "EUR",
    )
    assert (second.sequence, second.is_live) == (0, True)


async def test_pages_of_payments_go_by_id_and_within_the_time(side: PaymentSide) -> None:
    rows = [
        a_payment(f"pay_{n}", f"ord_{n}", created_at=START + timedelta(minutes=n), updated_at=START)
        for n in range(5)
    ]
    await keep(side.payments, *rows)
    page = partial(side.book.page, since=START + timedelta(minutes=1), until=START + timedelta(minutes=4))
    assert [one.payment_id for one in await page(after="", limit=2)] == ["pay_1", "pay_2"]
    assert [one.payment_id for one in await page(after="pay_2", limit=2)] == ["pay_3"]
    whole = await side.book.page(after="", since=None, until=None, limit=10)
    assert len(whole) == 5


async def test_changes_are_told_once_each_from_the_cursor_on(side: PaymentSide) -> None:
    for number in range(3):
        await keep(side.payments, a_payment(f"pay_{number}", f"ord_{number}"))
        await pay(side.payments, f"pay_{number}")
    first = await side.book.changed(after=None, before=LONG_AFTER, limit=2)
    assert (len(first.order_ids), first.is_last) == (2, False)
    second = await side.book.changed(after=first.cursor, before=LONG_AFTER, limit=2)
    assert second.is_last
    assert {*first.order_ids, *second.order_ids} == {"ord_0", "ord_1", "ord_2"}
    nothing = await side.book.changed(after=second.cursor, before=LONG_AFTER, limit=2)
    assert (nothing.order_ids, nothing.cursor, nothing.is_last) == ((), second.cursor, True)


async def test_changes_that_are_too_young_are_left_for_later(side: PaymentSide) -> None:
    await keep(side.payments, a_payment())
    await pay(side.payments)
    young = await side.book.changed(after=None, before=START - timedelta(days=1), limit=10)
    assert (young.order_ids, young.cursor, young.is_last) == ((), None, True)


async def test_what_commits_late_is_told_after_what_committed_before_it(payments: Payments) -> None:
    """The first transaction writes its event first and commits last: nobody has passed it meanwhile."""
    if payments.engine is None:
        pytest.skip("transactions in memory commit at once")
    book = PostgresPaymentStatements(payments.engine, Outbox("payments").lanes)
    await keep(payments, a_payment("pay_1", "ord_1"), a_payment("pay_2", "ord_2"))
    written, may_commit = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with payments.unit_of_work() as uow:
            payment = await uow.payments.lock("pay_1")
            assert payment is not None
            payment.record_intent(a_snapshot("pay_1"), Occasion(LATER, ids.event_id))
            await uow.payments.save(payment)
            await uow.payments.get("pay_2")  # a read: what waits to be written is written
            written.set()
            await may_commit.wait()
            await uow.commit()

    task = asyncio.create_task(late())
    await written.wait()
    await pay(payments, "pay_2")
    early = await book.changed(after=None, before=LONG_AFTER, limit=10)
    may_commit.set()
    await task
    rest = await book.changed(after=early.cursor, before=LONG_AFTER, limit=10)
    assert sorted([*early.order_ids, *rest.order_ids]) == ["ord_1", "ord_2"]


async def test_a_cursor_that_is_none_is_refused(payments: Payments) -> None:
    if payments.engine is None:
        pytest.skip("the one in memory has cursors of its own")
    book = PostgresPaymentStatements(payments.engine, Outbox("payments").lanes)
    for cursor in ("x", "1", "1-x", "-", f"{'9' * 20}-1"):
        with pytest.raises(Malformed):
            await book.changed(after=cursor, before=LONG_AFTER, limit=10)


async def _followed(orders: Orders) -> None:
    """`ord_1`, confirmed and paid by the only event of `pay_1`, of which the inbox has taken note."""
    async with orders.unit_of_work() as uow:
        order = (await uow.orders.lock(["ord_1"]))["ord_1"]
        order.confirm(LATER)
        order.note(CONFIRMED)
        event = PaymentSucceeded(
            event_id=ids.event_id(),
            sequence=1,
            occurred_at=LATER,
            payment_id="pay_1",
            order_id="ord_1",
            gateway_payment_intent_id=None,
            currency="EUR",
            amount=1000,
            amount_captured=1000,
            amount_refunded=0,
            method=None,
        )
        follow(order, event)
        await uow.orders.save([order])
        await uow.commit()
    if orders.engine is not None:
        async with orders.engine.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO orders.inbox_stream (consumer, stream, applied) VALUES ('orders', 'pay_1', 1)"
                )
            )


async def test_an_order_is_stated_with_its_history_and_its_places(
    orders: Orders, order_book: OrderBook
) -> None:
    await keep_orders(orders, an_order(), an_order("ord_2"))
    await _followed(orders)
    stated = {one.order_id: one for one in await order_book.of_orders(["ord_1", "ord_2", "ord_9"])}
    assert set(stated) == {"ord_1", "ord_2"}
    paid = stated["ord_1"]
    assert (paid.status, paid.noted_status, paid.currency) == ("PAID", "PAID", "EUR")
    assert (paid.total_amount, paid.amount_paid, paid.amount_refunded) == (1000, 1000, 0)
    assert paid.payments == {
        "pay_1": FollowedPayment(status="SUCCEEDED", amount_captured=1000, amount_refunded=0, applied=1)
    }
    assert (stated["ord_2"].payments, stated["ord_2"].noted_status) == ({}, None)
    assert await order_book.places(["pay_1", "pay_9"]) == {"pay_1": 1}
    assert set(await order_book.existing(["ord_1", "ord_9"])) == {"ord_1"}


async def test_pages_of_orders_go_by_id_and_the_newest_come_first(
    orders: Orders, order_book: OrderBook
) -> None:
    made = [an_order(f"ord_{n}", created_at=START + timedelta(minutes=n)) for n in range(5)]
    await keep_orders(orders, *made)
    page = partial(order_book.page, since=START + timedelta(minutes=1), until=START + timedelta(minutes=4))
    assert [one.order_id for one in await page(after="", limit=2)] == ["ord_1", "ord_2"]
    assert [one.order_id for one in await page(after="ord_2", limit=2)] == ["ord_3"]
    assert [one.order_id for one in await order_book.newest(2)] == ["ord_4", "ord_3"]


async def test_attempts_that_stay_open_are_stated(orders: Orders, order_book: OrderBook) -> None:
    await keep_orders(orders, an_order())
    async with orders.unit_of_work() as uow:
        await uow.attempts.put(replace(an_attempt("att_1"), status=AttemptStatus.DONE))
        await uow.attempts.put(an_attempt("att_2"))
        await uow.commit()
    [stuck] = await order_book.open_attempts(before=LATER, limit=10)
    assert (stuck.work_id, stuck.kind, stuck.order_id, stuck.since) == ("att_2", "CREATE", "ord_1", START)
    assert await order_book.open_attempts(before=START, limit=10) == []


async def test_events_that_the_inbox_holds_are_stated(orders: Orders) -> None:
    if orders.engine is None:
        pytest.skip("there is no inbox in memory")
    event_id = ids.event_id()
    async with orders.engine.begin() as connection:
        await connection.execute(
            text(
                """
                INSERT INTO orders.inbox_waiting
                    (consumer, id, topic, stream, sequence, type, payload, headers, attempts, parked_at, cause)
                VALUES ('orders', :id, 'payment.events', 'pay_1', 2, 'RefundProcessed', '{}', '{}', 10, now(), 'why')
                """
            ),
            {"id": event_id},
        )
    [held] = await PostgresOrderStatements(orders.engine, FOLLOWER).held_events(["pay_1", "pay_2"])
    assert (held.event_id, held.payment_id) == (str(event_id), "pay_1")
    assert (held.attempts, held.is_parked, held.cause) == (10, True, "why")


async def test_a_status_that_a_hand_has_changed_is_not_the_one_noted(
    orders: Orders, order_book: OrderBook
) -> None:
    if orders.engine is None:
        pytest.skip("what it keeps in memory needs no SQL")
    await keep_orders(orders, an_order())
    await _followed(orders)
    async with orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.orders SET status = 'FULFILLED'"))
    [altered] = await order_book.of_orders(["ord_1"])
    assert (altered.status, altered.noted_status) == (OrderStatus.FULFILLED.value, OrderStatus.PAID.value)
