"""What the other repositories of the payment side do: in memory and on PostgreSQL."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.payments.dispute_status import DisputeStatus
from domain.payments.operation import Operation
from domain.payments.payment import Occasion
from domain.payments.refund import RefundStatus
from domain.payments.webhook import StoredWebhook, WebhookKept
from domain.shared.errors import Malformed
from tests.contract.repositories.conftest import Payments
from tests.contract.repositories.rows import (
    LATER,
    a_dispute,
    a_payment,
    a_refund,
    a_snapshot,
    a_webhook,
    an_operation,
    ids,
    keep,
    pay,
)
from tests.support.house import START


async def test_refunds_are_kept_changed_and_found(payments: Payments) -> None:
    await keep(payments, a_payment())
    await pay(payments)
    refund = a_refund(requested_by="u_1")
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        payment.promise_refund(refund.amount)
        await uow.refunds.add(refund)
        await uow.payments.save(payment)
        await uow.commit()
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        assert await uow.refunds.get("ref_1") == refund
        assert await uow.refunds.find_by_gateway_id("re_1") is None
        refund.status, refund.gateway_refund_id, refund.operation_unknown = (
            RefundStatus.FAILED,
            "re_1",
            True,
        )
        refund.failure_reason = "expired_or_canceled_card"
        payment.amount_refunding = 0
        await uow.refunds.save(refund)
        await uow.payments.save(payment)
        await uow.commit()
    async with payments.unit_of_work() as uow:
        found = await uow.refunds.find_by_gateway_id("re_1")
        assert found == refund
        assert found.version == 2
        assert await uow.refunds.get("ref_2") is None


async def test_disputes_are_put_and_changed(payments: Payments) -> None:
    await keep(payments, a_payment())
    dispute = a_dispute("dp_1", evidence_due_by=LATER)
    for status in (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.LOST):
        dispute.status = status
        async with payments.unit_of_work() as uow:
            await uow.disputes.put(dispute)
            await uow.commit()
        async with payments.unit_of_work() as uow:
            assert await uow.disputes.get("dp_1") == dispute
            assert await uow.disputes.get("dp_2") is None


async def test_a_payment_s_disputes_and_those_whose_evidence_is_due(payments: Payments) -> None:
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2"))
    soon, later = START + timedelta(days=1), START + timedelta(days=9)
    kept = [
        a_dispute("du_2", opened_at=LATER, evidence_due_by=later),
        a_dispute("du_1", evidence_due_by=soon),
        a_dispute("du_told", evidence_due_by=soon, reminded=True),
        a_dispute("du_over", evidence_due_by=soon, status=DisputeStatus.LOST),
        a_dispute("du_sent", evidence_due_by=soon, status=DisputeStatus.UNDER_REVIEW),
        a_dispute("du_none"),
        a_dispute("du_other", payment_id="pay_2", evidence_due_by=soon - timedelta(hours=1)),
    ]
    async with payments.unit_of_work() as uow:
        for dispute in kept:
            await uow.disputes.put(dispute)
        await uow.commit()
    async with payments.unit_of_work() as uow:
        mine = await uow.disputes.of_payment("pay_1")
        assert [one.gateway_dispute_id for one in mine] == [
            *("du_1", "du_none", "du_over", "du_sent", "du_told", "du_2")
        ]
        due = await uow.disputes.due_for_evidence(before=START + timedelta(days=3), limit=10)
        assert [one.gateway_dispute_id for one in due] == ["du_other", "du_1"]
        assert len(await uow.disputes.due_for_evidence(before=START + timedelta(days=30), limit=2)) == 2


async def test_an_operation_comes_back_as_it_was_saved(payments: Payments) -> None:
    await keep(payments, a_payment())
    operation = an_operation()
    async with payments.unit_of_work() as uow:
        await uow.operations.add(operation)
        await uow.commit()
    async with payments.unit_of_work() as uow:
        assert await uow.operations.get("op_1") == operation
        assert await uow.operations.get("op_2") is None
        operation.unknown("no answer", LATER)
        await uow.operations.save(operation)
        operation.succeeded(LATER)
        await uow.operations.save(operation)
        await uow.commit()
    async with payments.unit_of_work() as uow:
        assert await uow.operations.get("op_1") == operation


async def keep_open(payments: Payments, *operations: Operation) -> None:
    """Save these operations, each of a payment of its own."""
    for operation in operations:
        await keep(payments, a_payment(operation.payment_id, f"ord_{operation.payment_id}"))
        async with payments.unit_of_work() as uow:
            await uow.operations.add(operation)
            await uow.commit()


async def test_due_operations_are_taken_oldest_first_and_put_off(payments: Payments) -> None:
    done = an_operation("op_done", "pay_done")
    await keep_open(
        payments,
        *(an_operation(f"op_{n}", f"pay_{n}", next_check_at=START - timedelta(seconds=n)) for n in range(4)),
        done,
        an_operation("op_later", "pay_later", next_check_at=LATER),
    )
    async with payments.unit_of_work() as uow:
        done.succeeded(START)
        await uow.operations.save(done)
        await uow.commit()

    async def take(limit: int) -> set[str]:
        async with payments.unit_of_work() as uow:
            taken = await uow.operations.take_due(now=START, until=LATER, limit=limit)
            await uow.commit()
            assert all(operation.next_check_at == LATER for operation in taken)
            return {operation.operation_id for operation in taken}

    assert await take(2) == {"op_3", "op_2"}
    assert await take(10) == {"op_1", "op_0"}
    assert await take(10) == set()


async def test_two_takers_never_have_the_same_operation(payments: Payments) -> None:
    await keep_open(payments, *(an_operation(f"op_{n}", f"pay_{n}") for n in range(6)))
    async with payments.unit_of_work() as first, payments.unit_of_work() as second:
        one = await first.operations.take_due(now=START, until=LATER, limit=4)
        two = await second.operations.take_due(now=START, until=LATER, limit=4)
        await first.commit()
        await second.commit()
    taken = [operation.operation_id for operation in (*one, *two)]
    assert len(taken) == len(set(taken)) == 6


async def test_the_first_customer_kept_wins(payments: Payments) -> None:
    async with payments.unit_of_work() as uow:
        assert await uow.customers.find("fake", "u_1") is None
        assert await uow.customers.put("fake", "u_1", "cus_1") == "cus_1"
        await uow.commit()
    async with payments.unit_of_work() as uow:
        assert await uow.customers.put("fake", "u_1", "cus_2") == "cus_1"
        assert await uow.customers.put("other", "u_1", "cus_3") == "cus_3"
        await uow.commit()
    async with payments.unit_of_work() as uow:
        assert await uow.customers.find("fake", "u_1") == "cus_1"
        assert await uow.customers.find("fake", "u_2") is None
        assert await uow.customers.user_of("fake", "cus_1") == "u_1"
        assert await uow.customers.user_of("other", "cus_1") is None


async def test_customers_made_at_once_become_one(payments: Payments) -> None:
    async def put(n: int) -> str:
        async with payments.unit_of_work() as uow:
            kept = await uow.customers.put("fake", "u_1", f"cus_{n}")
            await uow.commit()
            return kept

    assert len(set(await asyncio.gather(*(put(n) for n in range(5))))) == 1


async def test_a_webhook_is_kept_once(payments: Payments) -> None:
    async def insert(*webhooks: StoredWebhook) -> None:
        async with payments.unit_of_work() as uow:
            for webhook in webhooks:
                await uow.webhooks.insert(webhook)
            await uow.commit()

    async def kept(event_id: str) -> bool:
        async with payments.unit_of_work() as uow:
            return (await uow.webhooks.look("fake", event_id, None))[0]

    await insert(a_webhook(body=b"\x00\xff"))
    for several in (
        [a_webhook()],
        [a_webhook("evt_2"), a_webhook()],
        [a_webhook("evt_3"), a_webhook("evt_3")],
    ):
        with pytest.raises(WebhookKept):
            await insert(*several)
    assert [await kept(f"evt_{number}") for number in (1, 2, 3)] == [True, False, False]


async def test_a_webhook_and_its_payment_are_looked_at_together(payments: Payments) -> None:
    await keep(payments, a_payment())
    async with payments.unit_of_work() as uow:
        assert await uow.webhooks.look("fake", "evt_1", None) == (False, None)
        assert await uow.webhooks.look("fake", "evt_1", "pay_2") == (False, None)
        assert await uow.webhooks.look("fake", "evt_1", "pay_1") == (False, a_payment())
        await uow.webhooks.insert(a_webhook())
        assert await uow.webhooks.look("fake", "evt_1", "pay_1") == (True, a_payment())
        assert await uow.webhooks.look("other", "evt_1", "pay_1") == (False, a_payment())


async def test_an_operation_is_locked_with_its_payment(payments: Payments) -> None:
    await keep(payments, a_payment())
    async with payments.unit_of_work() as uow:
        await uow.operations.add(an_operation("op_1"))
        await uow.commit()
    order: list[str] = []

    async def second() -> None:
        async with payments.unit_of_work() as uow:
            found = await uow.operations.lock("op_1")
            assert found is not None
            order.append(f"second sees version {found[0].version}, {found[1].error}")

    async with payments.unit_of_work() as uow:
        assert await uow.operations.lock("op_2") is None
        found = await uow.operations.lock("op_1")
        assert found == (a_payment(), an_operation("op_1"))
        waiting = asyncio.create_task(second())
        payment, operation = found
        operation.failed("refused", LATER)
        await uow.payments.save(payment)
        await uow.operations.save(operation)
        order.append("first")
        await uow.commit()
    await waiting
    assert order == ["first", f"second sees version {payment.version}, refused"]


async def test_operations_of_some_accounts_are_left_out(payments: Payments) -> None:
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2"))
    async with payments.unit_of_work() as uow:
        await uow.operations.add(an_operation("op_1", gateway="broken"))
        await uow.operations.add(an_operation("op_2", "pay_2"))
        taken = await uow.operations.take_due(now=START, until=LATER, limit=5, besides=["broken", "other"])
        assert [operation.operation_id for operation in taken] == ["op_2"]
        [other] = await uow.operations.take_due(now=START, until=LATER, limit=5)
        assert (other.operation_id, other.gateway) == ("op_1", "broken")


async def test_a_payment_is_forgotten_with_its_operations(payments: Payments) -> None:
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2"))
    async with payments.unit_of_work() as uow:
        await uow.operations.add(an_operation("op_1"))
        await uow.operations.add(an_operation("op_2", "pay_2"))
        await uow.commit()
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        await uow.payments.forget(payment)
        assert await uow.payments.get("pay_1") is None
        await uow.commit()
    async with payments.unit_of_work() as uow:
        assert await uow.payments.get("pay_1") is None
        assert await uow.operations.get("op_1") is None
        assert await uow.operations.get("op_2") is not None
        await uow.payments.add(a_payment())
        await uow.commit()


async def test_webhooks_wait_for_their_payment(payments: Payments) -> None:
    await keep(payments, a_payment())
    async with payments.unit_of_work() as uow:
        await uow.webhooks.insert(a_webhook("evt_1"))
        await uow.webhooks.insert(a_webhook("evt_2"))
        await uow.webhooks.insert(a_webhook("evt_3", intent_id="pi_other"))
        await uow.webhooks.insert(a_webhook("evt_4", intent_id=None))
        await uow.webhooks.insert(a_webhook("evt_5", payment_id="pay_1"))
        assert await uow.webhooks.waiting_for_known_payments(limit=10) == []
        await uow.commit()
    await pay(payments)
    async with payments.unit_of_work() as uow:
        assert await uow.webhooks.waiting_for_known_payments(limit=10) == ["pay_1"]
        assert await uow.webhooks.waiting_for_known_payments(limit=10, besides=["fake"]) == []
        assert await uow.webhooks.waiting_for_known_payments(limit=10, besides=["other"]) == ["pay_1"]
        assert await uow.webhooks.has_waiting("fake", "pi_pay_1")
        taken = await uow.webhooks.take_waiting("fake", "pi_pay_1", "pay_1")
        assert sorted(webhook.event_id for webhook in taken) == ["evt_1", "evt_2"]
        assert {webhook.payment_id for webhook in taken} == {"pay_1"}
        assert await uow.webhooks.take_waiting("fake", "pi_pay_1", "pay_1") == []
        assert not await uow.webhooks.has_waiting("fake", "pi_pay_1")
        assert await uow.webhooks.waiting_for_known_payments(limit=10) == []
        await uow.commit()


async def test_what_two_accounts_call_the_same_is_two_things(payments: Payments) -> None:
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2", gateway="other"))
    await pay(payments)
    async with payments.unit_of_work() as uow:
        await uow.webhooks.insert(a_webhook("evt_1", gateway="other"))
        await uow.webhooks.insert(a_webhook("evt_1"))
        assert await uow.payments.find_by_intent("fake", "pi_pay_1") == "pay_1"
        assert await uow.payments.find_by_intent("other", "pi_pay_1") is None
        [taken] = await uow.webhooks.take_waiting("fake", "pi_pay_1", "pay_1")
        assert taken.gateway == "fake"
        assert await uow.webhooks.has_waiting("other", "pi_pay_1")
        assert await uow.webhooks.waiting_for_known_payments(limit=10) == []
        second = await uow.payments.lock("pay_2")
        assert second is not None
        second.record_intent(a_snapshot("pay_2", intent_id="pi_pay_1"), Occasion(LATER, ids.event_id))
        await uow.payments.save(second)
        assert await uow.payments.find_by_intent("other", "pi_pay_1") == "pay_2"
        assert await uow.webhooks.waiting_for_known_payments(limit=10) == ["pay_2"]
        await uow.commit()


async def test_binding_an_intent_is_serialized(payments: Payments) -> None:
    """A webhook that waits and the outcome that binds its intent cannot miss one another."""
    started = asyncio.Event()

    async def outcome() -> int:
        async with payments.unit_of_work() as uow:
            started.set()
            await uow.webhooks.lock_intent("fake", "pi_pay_1")
            return len(await uow.webhooks.take_waiting("fake", "pi_pay_1", "pay_1"))

    async with payments.unit_of_work() as uow:
        await uow.webhooks.lock_intent("fake", "pi_pay_1")
        await uow.webhooks.lock_intent("fake", "pi_pay_1")
        task = asyncio.create_task(outcome())
        await started.wait()
        await uow.webhooks.insert(a_webhook())
        assert not task.done()
        await uow.commit()
    assert await task == 1


async def test_the_event_log_is_read_in_pages(payments: Payments) -> None:
    await keep(payments, *(a_payment(f"pay_{n}", f"ord_{n}") for n in range(5)))
    for n in range(5):
        await pay(payments, f"pay_{n}")

    async def page(after: str | None, **wanted: Any) -> tuple[str | None, list[str]]:
        async with payments.unit_of_work() as uow:
            fields: dict[str, Any] = {"type": None, "order_id": None, "limit": 2, **wanted}
            events = await uow.events.list(after=after, **fields)
        return (events[-1].cursor if events else after), [event.envelope["subject"] for event in events]

    cursor, seen = await page(None)
    assert seen == ["pay_0", "pay_1"]
    cursor, seen = await page(cursor)
    assert seen == ["pay_2", "pay_3"]
    cursor, seen = await page(cursor)
    assert seen == ["pay_4"]
    assert await page(cursor) == (cursor, [])
    assert (await page(None, order_id="ord_3"))[1] == ["pay_3"]
    assert (await page(None, type="PaymentSucceeded"))[1] == ["pay_0", "pay_1"]
    assert (await page(None, type="PaymentFailed"))[1] == []


async def test_a_cursor_that_the_log_never_gave_is_malformed(payments: Payments) -> None:
    for cursor in ("x", "1", "-1-2", "1-2-3", "1-" + "9" * 30, "0-١"):
        async with payments.unit_of_work() as uow:
            with pytest.raises(Malformed):
                await uow.events.list(after=cursor, type=None, order_id=None, limit=1)
