"""Raw SQL that goes around the domain: what we must not begin is refused, what the gateway did is kept."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from domain.orders.states import ORDER_TRANSITIONS
from domain.orders.status import OrderStatus
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.operation import OperationStatus
from domain.payments.payment import Occasion, Payment
from domain.payments.refund import RefundStatus
from domain.payments.states import INTENT_TRANSITIONS, OPERATION_TRANSITIONS, REFUND_TRANSITIONS
from domain.shared.states import S, Transitions, reachable
from outbox import Outbox
from tests.contract.repositories.conftest import Payments, no_trace
from tests.contract.repositories.rows import LATER, a_payment, a_refund, a_snapshot, ids, keep, pay


def _nobody() -> None:
    """No relay runs that could be woken."""


@pytest.fixture
def payments(engine: AsyncEngine) -> Payments:
    encode = partial(payment_events.encode, traceparent=no_trace)
    return Payments(partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, _nobody), engine)


@pytest.fixture
async def stored(payments: Payments) -> Payments:
    """`pay_1` took 1000; `pay_2` holds 1000; `pay_3` is begun."""
    await keep(
        payments,
        a_payment(),
        a_payment("pay_2", "ord_2", capture_method=CaptureMethod.MANUAL),
        a_payment("pay_3", "ord_3"),
    )
    await pay(payments)
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_2")
        assert payment is not None
        held = a_snapshot(
            "pay_2", status=IntentStatus.REQUIRES_CAPTURE, amount_capturable=1000, amount_captured=0
        )
        payment.record_intent(held, Occasion(LATER, ids.event_id))
        await uow.payments.save(payment)
        await uow.commit()
    return payments


async def refused(engine: AsyncEngine, constraint: str, *statements: str) -> None:
    """The statements, one transaction, are refused by this constraint at the latest when it commits."""

    async def run(connection: AsyncConnection) -> None:
        for statement in statements:
            await connection.execute(text(statement))
        await connection.commit()

    async with engine.connect() as connection:
        with pytest.raises(IntegrityError, match=constraint):
            await run(connection)


async def done(engine: AsyncEngine, *statements: str) -> None:
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
        await connection.commit()


def change(what: str, payment_id: str = "pay_1") -> str:
    return f"UPDATE payments.payment SET {what} WHERE payment_id = '{payment_id}'"


def refund(
    amount: int,
    name: str = "ref_1",
    *,
    by: str = "'u_1'",
    status: str = "PENDING",
    currency: str = "EUR",
    of: str = "pay_1",
) -> str:
    return f"""
        INSERT INTO payments.refund (refund_id, payment_id, amount, currency, status, requested_by,
            operation_unknown, version, created_at, updated_at)
        VALUES ('{name}', '{of}', {amount}, '{currency}', '{status}', {by}, false, 1, now(), now())
    """


def operation(
    kind: str,
    payment_id: str,
    name: str = "op_1",
    *,
    target: str = "NULL",
    refund_id: str = "NULL",
    status: str = "STARTED",
) -> str:
    return f"""
        INSERT INTO payments.operation (operation_id, payment_id, refund_id, kind, target_amount, request, status,
            checks, payment_version, created_at, next_check_at, finished_at)
        VALUES ('{name}', '{payment_id}', {refund_id}, '{kind}', {target}, '{{}}', '{status}',
            0, 1, now(), now(), CASE WHEN '{status}' IN ('SUCCEEDED', 'FAILED') THEN now() END)
    """


CHANGES = [
    ("payment_refunds_within_captured", "amount_refunding = 1001"),
    ("payment_refunds_within_captured", "amount_refunded = 400, amount_refunding = 601"),
    ("payment_captures_within_amount", "amount_captured = 1001"),
    ("payment_captures_within_amount", "amount_capturable = 1"),
    ("amount_capturable_check", "amount_capturable = -1"),
    ("amount_refunded_check", "amount_refunded = -1"),
    ("amount_refunding_check", "amount_refunding = -1"),
    ("capture_method_check", "capture_method = 'LATER'"),
    ("payment_transition", "status = 'PAID'"),
    ("payment_transition", "status = 'CANCELED'"),
    ("payment_transition", "status = 'REQUIRES_CAPTURE'"),
    ("payment_transition", "status = 'CANCELED', attention = 'SEEN'"),
    ("payment_history", "amount_captured = 999"),
    ("payment_history", "sequence = 0"),
    ("payment_history", "version = 1"),
    ("payment_history", "amount = 2000"),
    ("payment_history", "currency = 'USD'"),
    ("payment_history", "order_id = 'ord_9'"),
    ("payment_refund_totals", "amount_refunding = 10"),
    ("payment_refund_totals", "amount_refunded = 10"),
    ("payment_refund_totals", "amount_refunded = 10, attention = 'SEEN'"),
]
NEW = [
    ("payment_amount_check", "amount = 0"),
    ("payment_currency_check", "currency = 'eur'"),
    ("payment_currency_check", "currency = 'EURO'"),
    ("payment_live_order", "order_id = 'ord_1'"),
    ("payment_sequence_check", "sequence = -1"),
    ("payment_intent", "intent_id = 'pi_pay_1'"),
]


async def test_a_payment_is_never_brought_into_what_may_not_be(stored: Payments, engine: AsyncEngine) -> None:
    for constraint, what in CHANGES:
        await refused(engine, constraint, change(what))


async def test_a_payment_that_may_not_be_is_never_made(stored: Payments, engine: AsyncEngine) -> None:
    for constraint, what in NEW:
        await refused(
            engine,
            constraint,
            "CREATE TEMPORARY TABLE new ON COMMIT DROP AS "
            "SELECT * FROM payments.payment WHERE payment_id = 'pay_3'",
            "UPDATE new SET payment_id = 'pay_9', order_id = 'ord_9'",
            f"UPDATE new SET {what}",
            "INSERT INTO payments.payment SELECT * FROM new",
        )


async def test_a_refund_of_ours_stays_within_what_was_captured(stored: Payments, engine: AsyncEngine) -> None:
    await refused(engine, "refund_within_captured", refund(1001))
    # Whatever is flagged for another reason lifts nothing for what we begin.
    await refused(engine, "refund_within_captured", change("attention = 'DISPUTED'"), refund(1001))
    await refused(engine, "refund_within_captured", refund(1, of="pay_2"))
    await refused(engine, "refund_currency", refund(10, currency="USD"))
    await refused(engine, "refund_begins_pending", refund(10, status="SUCCEEDED"))
    await refused(engine, "refund_amount_check", refund(0))
    await refused(engine, "payment_refund_totals", refund(10))
    await done(engine, refund(600), change("amount_refunding = 600"))
    await refused(engine, "refund_within_captured", refund(401, "ref_2"))
    await done(engine, refund(401, "ref_2", status="PENDING_APPROVAL"))
    approve = "UPDATE payments.refund SET status = 'PENDING' WHERE refund_id = 'ref_2'"
    await refused(engine, "refund_within_captured", approve)
    for what in ("amount = 1", "currency = 'USD'", "payment_id = 'pay_2'"):
        await refused(
            engine, "refund_history", f"UPDATE payments.refund SET {what} WHERE refund_id = 'ref_1'"
        )
    for status in ("REJECTED", "PENDING_APPROVAL"):
        await refused(
            engine,
            "refund_transition",
            f"UPDATE payments.refund SET status = '{status}' WHERE refund_id = 'ref_1'",
        )


async def test_a_refund_leaves_failed_only_by_a_new_attempt_that_fits(
    stored: Payments, engine: AsyncEngine
) -> None:
    def move(what: str) -> str:
        return f"UPDATE payments.refund SET {what} WHERE refund_id = 'ref_1'"

    await done(engine, refund(600), change("amount_refunding = 600"))
    await done(engine, move("status = 'FAILED', gateway_refund_id = 're_1'"), change("amount_refunding = 0"))
    again = "attempt = 2, gateway_refund_id = NULL"
    for status in ("PENDING", "PENDING_APPROVAL"):
        for what in ("attempt = 1", "attempt = 2", "attempt = 3, gateway_refund_id = NULL"):
            await refused(engine, "refund_transition", move(f"status = '{status}', {what}"))
    for status in ("SUCCEEDED", "REJECTED", "CANCELED"):
        await refused(engine, "refund_transition", move(f"status = '{status}', {again}"))
    await done(engine, refund(401, "ref_2"), change("amount_refunding = 401"))
    await refused(engine, "refund_within_captured", move(f"status = 'PENDING', {again}"))
    await done(engine, move(f"status = 'PENDING_APPROVAL', {again}"))
    await refused(engine, "refund_within_captured", move("status = 'PENDING'"))
    await done(
        engine,
        "UPDATE payments.refund SET status = 'FAILED' WHERE refund_id = 'ref_2'",
        change("amount_refunding = 0"),
    )
    await done(engine, move("status = 'PENDING'"), change("amount_refunding = 600"))


async def test_of_two_refunds_begun_at_once_the_second_waits_and_is_refused(
    stored: Payments, engine: AsyncEngine
) -> None:
    async with engine.connect() as first:
        await first.execute(text(refund(600)))
        waiting = asyncio.create_task(refused(engine, "refund_within_captured", refund(600, "ref_2")))
        async with engine.connect() as watcher:
            while not await watcher.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                await watcher.rollback()
        await first.execute(text(change("amount_refunding = 600")))
        await first.commit()
    await waiting


async def test_an_operation_is_never_begun_where_it_may_not_be(stored: Payments, engine: AsyncEngine) -> None:
    for constraint, statement in (
        ("operation_allowed", operation("CAPTURE", "pay_2", target="1001")),
        ("operation_allowed", operation("CAPTURE", "pay_2", target="0")),
        ("operation_allowed", operation("CAPTURE", "pay_1")),
        ("operation_allowed", operation("CANCEL", "pay_1")),
        ("operation_allowed", operation("CONFIRM", "pay_1")),
        ("operation_allowed", operation("CONFIRM", "pay_2")),
        ("operation_allowed", operation("RELEASE", "pay_1")),
        ("operation_allowed", operation("UPDATE", "pay_2", target="900")),
        ("operation_allowed", operation("REFUND", "pay_1")),
        ("operation_allowed", operation("CAPTURE", "pay_2", target="1", status="SUCCEEDED")),
        ("operation_kind_check", operation("GUESS", "pay_3")),
    ):
        await refused(engine, constraint, statement)
    await done(engine, operation("CAPTURE", "pay_2", target="1000"))
    await refused(engine, "operation_in_flight", operation("CANCEL", "pay_2", "op_2"))
    end = "UPDATE payments.operation SET status = '{}', finished_at = now()"
    await done(engine, end.format("FAILED"))
    for status in ("SUCCEEDED", "UNKNOWN", "STARTED"):
        await refused(engine, "operation_transition", end.format(status))
    await done(engine, operation("CANCEL", "pay_2", "op_2"))


async def test_a_refund_s_operation_is_of_that_refund(stored: Payments, engine: AsyncEngine) -> None:
    await done(engine, refund(600), change("amount_refunding = 600"))
    await refused(engine, "operation_allowed", operation("REFUND", "pay_2", refund_id="'ref_1'"))
    # Several refunds may be with the gateway at once.
    await done(
        engine,
        operation("REFUND", "pay_1", "op_1", refund_id="'ref_1'"),
        refund(400, "ref_2"),
        change("amount_refunding = 1000"),
        operation("REFUND", "pay_1", "op_2", refund_id="'ref_2'"),
    )


async def test_disputes_and_orders_have_no_impossible_amounts(stored: Payments, engine: AsyncEngine) -> None:
    dispute = """
        INSERT INTO payments.dispute (gateway_dispute_id, payment_id, amount, currency, reason, status, closed,
            amount_withdrawn, opened_at, updated_at)
        VALUES ('du_1', 'pay_1', {}, '{}', 'fraudulent', 'lost', true, {}, now(), now())
    """
    await refused(engine, "dispute_amounts", dispute.format(-1, "EUR", 0))
    await refused(engine, "dispute_amounts", dispute.format(1, "EUR", -1))
    await refused(engine, "dispute_currency", dispute.format(1, "eur", 0))
    order = """
        INSERT INTO orders.orders (order_id, currency, lines, metadata, shipping_amount, total_amount, status,
            payments, amount_paid, amount_refunded, version, created_at, updated_at)
        VALUES ('ord_1', 'EUR', '[]', '{{}}', 0, 1000, '{}', '[]', {}, 0, 1, now(), now())
    """
    await refused(engine, "orders_amounts", order.format("PAID", -1))
    await done(engine, order.format("PAID", 1000))
    for before in ("PAID", "CANCELED", "REFUNDED"):
        for status in ("DRAFT", "PENDING_PAYMENT", "PAYMENT_FAILED", "AUTHORIZED"):
            await refused(engine, "order_transition", f"UPDATE orders.orders SET status = '{status}'")
        if before != "REFUNDED":
            after = "CANCELED" if before == "PAID" else "REFUNDED"
            await done(engine, f"UPDATE orders.orders SET status = '{after}'")


async def test_what_the_gateway_did_beyond_our_rules_is_kept_and_flagged(stored: Payments) -> None:
    """More captured than authorized, and more refunded than captured, from its dashboard."""
    occasion = Occasion(LATER, ids.event_id)
    async with stored.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_2")
        assert payment is not None
        payment.record_intent(a_snapshot("pay_2", amount_captured=1500, amount_capturable=0), occasion)
        await uow.payments.save(payment)
        await uow.commit()
    async with stored.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_2")
        assert payment is not None
        assert (payment.amount_captured, payment.attention) == (1500, "CAPTURE_EXCEEDS_AUTHORIZED")
        foreign = a_refund(
            "ref_f", payment_id="pay_2", amount=1600, gateway_refund_id="re_f", requested_by=None
        )
        payment.record_foreign_refund(foreign)
        payment.decide_refund(foreign, RefundStatus.SUCCEEDED, None, occasion)
        await uow.refunds.add(foreign)
        await uow.payments.save(payment)
        await uow.commit()
    async with stored.unit_of_work() as uow:
        payment = await uow.payments.get("pay_2")
        assert payment is not None
        assert (payment.amount_refunded, payment.attention) == (1600, "REFUND_EXCEEDS_CAPTURED")


async def test_a_refund_given_up_that_the_gateway_has_is_kept(stored: Payments, engine: AsyncEngine) -> None:
    await done(
        engine,
        refund(600),
        change("amount_refunding = 600"),
        "UPDATE payments.refund SET status = 'FAILED'",
        change("amount_refunding = 0"),
    )
    await refused(
        engine,
        "refund_transition",
        "UPDATE payments.refund SET status = 'SUCCEEDED'",
        change("amount_refunded = 600"),
    )
    await done(
        engine,
        "UPDATE payments.refund SET status = 'SUCCEEDED', gateway_refund_id = 're_1'",
        change("amount_refunded = 600, attention = 'GATEWAY_CONTRADICTS'"),
    )


def direct(machine: str, transitions: Transitions[S]) -> set[tuple[str, str, str]]:
    return {
        (machine, before.value, after.value)
        for before, steps in transitions.items()
        if before is not None
        for after in steps
    }


async def test_the_database_holds_the_domain_s_transitions(engine: AsyncEngine) -> None:
    async def held(schema: str, machine: str, states: type[StrEnum]) -> set[tuple[str, str, str]]:
        every = text(
            f"""
            SELECT before, after FROM unnest(CAST(:states AS text[])) AS before, unnest(CAST(:states AS text[])) AS after
            WHERE {schema}.{machine}_may_become(before, after)
            """
        )
        async with engine.connect() as connection:
            rows = await connection.execute(every, {"states": [state.value for state in states]})
            return {(machine, row.before, row.after) for row in rows}

    assert await held("payments", "payment", IntentStatus) == direct("payment", INTENT_TRANSITIONS)
    assert await held("payments", "refund", RefundStatus) == direct("refund", REFUND_TRANSITIONS)
    assert await held("payments", "operation", OperationStatus) == direct("operation", OPERATION_TRANSITIONS)
    # One change of an order may fold several events.
    assert await held("orders", "order", OrderStatus) == {
        ("order", before.value, after.value)
        for before, ahead in reachable(ORDER_TRANSITIONS).items()
        if before is not None
        for after in ahead
        if after is not before
    }


async def test_totals_beyond_our_rules_may_be_saved_once_a_person_has_acknowledged_them(
    stored: Payments,
) -> None:
    occasion = Occasion(LATER, ids.event_id)

    async def change(how: Callable[[Payment], None]) -> Payment:
        async with stored.unit_of_work() as uow:
            payment = await uow.payments.lock("pay_2")
            assert payment is not None
            how(payment)
            await uow.payments.save(payment)
            await uow.commit()
        return payment

    taken = a_snapshot("pay_2", amount_captured=1500, amount_capturable=0)
    await change(lambda payment: payment.record_intent(taken, occasion))
    await change(lambda payment: payment.acknowledge("CAPTURE_EXCEEDS_AUTHORIZED", [], LATER))
    saved = await change(lambda payment: None)
    assert (saved.attention, saved.acknowledged) == (None, ("CAPTURE_EXCEEDS_AUTHORIZED",))
