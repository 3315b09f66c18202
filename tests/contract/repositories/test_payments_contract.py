"""What every implementation of payments does inside its unit of work: in memory and on PostgreSQL."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.payments.errors import OperationInFlight, PaymentInProgress
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.operation import OperationKind
from domain.payments.payment import Occasion, Payment
from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType
from tests.contract.repositories.conftest import Payments
from tests.contract.repositories.rows import (
    LATER,
    a_payment,
    a_refund,
    a_snapshot,
    a_webhook,
    an_operation,
    ids,
    keep,
    load,
    pay,
)
from tests.support.house import START


async def test_a_payment_comes_back_as_it_was_kept(payments: Payments) -> None:
    payment = a_payment(
        description="Order 1",
        gateway_customer_id="cus_1",
        intent_id="pi_1",
        client_secret="secret",
        status=IntentStatus.REQUIRES_ACTION,
        next_action=NextAction(NextActionType.REDIRECT, "https://bank.test"),
        last_error=LastError("card_declined", "generic_decline", "Declined."),
        failed_charge_id="ch_0",
        charge_id="ch_1",
        method=CardMethod("visa", "4242"),
        capture_before=LATER,
        in_flight="op_1",
        operation_unknown=True,
        attention="AMOUNT_MISMATCH",
        amount=2**53 - 1,
    )
    await keep(payments, payment)
    assert await load(payments) == payment
    assert await load(payments, "pay_2") is None


async def test_what_is_not_committed_never_was(payments: Payments) -> None:
    async with payments.unit_of_work() as uow:
        await uow.payments.add(a_payment())
        assert await uow.payments.get("pay_1") is not None
    assert await load(payments) is None

    await keep(payments, a_payment())

    async def fail() -> None:
        async with payments.unit_of_work() as uow:
            payment = await uow.payments.lock("pay_1")
            assert payment is not None
            payment.record_intent(a_snapshot(), Occasion(LATER, ids.event_id))
            await uow.payments.save(payment)
            await uow.refunds.add(a_refund())
            await uow.operations.add(an_operation(kind=OperationKind.CREATE))
            await uow.webhooks.insert(a_webhook())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await load(payments) == a_payment()
    assert await payments.committed_events() == []
    async with payments.unit_of_work() as uow:
        assert await uow.refunds.get("ref_1") is None
        assert await uow.operations.get("op_1") is None
        await uow.webhooks.insert(a_webhook())


async def test_nothing_is_seen_before_the_commit(payments: Payments) -> None:
    async with payments.unit_of_work() as uow:
        await uow.payments.add(a_payment())
        assert await load(payments) is None
        await uow.commit()
    assert await load(payments) is not None


async def test_a_state_and_its_events_are_committed_together(payments: Payments) -> None:
    await keep(payments, a_payment())
    await pay(payments)
    saved = await load(payments)
    assert saved is not None
    assert (saved.status, saved.version, saved.sequence) == (IntentStatus.SUCCEEDED, 2, 1)
    assert await payments.committed_events() == [("PaymentSucceeded", 1)]


async def test_changing_a_copy_changes_nothing_kept(payments: Payments) -> None:
    await keep(payments, a_payment())
    read = await load(payments)
    assert read is not None
    read.attention = "CHANGED"
    assert (await load(payments)) == a_payment()


async def test_an_order_has_one_live_payment(payments: Payments) -> None:
    await keep(payments, a_payment("pay_1"), a_payment("pay_2", "ord_2"))
    with pytest.raises(PaymentInProgress):
        await keep(payments, a_payment("pay_3", "ord_1"))
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        payment.status = IntentStatus.CANCELED
        await uow.payments.save(payment)
        await uow.commit()
    await keep(payments, a_payment("pay_3", "ord_1"))


async def test_the_same_payment_is_not_added_twice(payments: Payments) -> None:
    await keep(payments, a_payment())
    with pytest.raises(OperationInFlight):
        await keep(payments, a_payment())


async def test_of_two_payments_begun_at_once_one_is_kept(payments: Payments) -> None:
    results = await asyncio.gather(
        *(keep(payments, a_payment(f"pay_{n}")) for n in range(5)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, PaymentInProgress) for result in results) == 4


async def test_a_locked_payment_waits_for_its_holder(payments: Payments) -> None:
    await keep(payments, a_payment())
    waiting = asyncio.Event()

    async def second() -> Payment | None:
        async with payments.unit_of_work() as uow:
            waiting.set()
            return await uow.payments.lock("pay_1")

    async with payments.unit_of_work() as uow:
        first = await uow.payments.lock("pay_1")
        assert first is not None
        task = asyncio.create_task(second())
        await waiting.wait()
        first.attention = "FIRST"
        await uow.payments.save(first)
        assert not task.done()
        await uow.commit()
    seen = await task
    assert seen is not None
    assert seen.attention == "FIRST"


async def test_concurrent_changes_under_the_lock_are_all_kept(payments: Payments) -> None:
    await keep(payments, a_payment())

    async def change() -> None:
        async with payments.unit_of_work() as uow:
            payment = await uow.payments.lock("pay_1")
            assert payment is not None
            payment.sequence += 1
            await uow.payments.save(payment)
            await uow.commit()

    await asyncio.gather(*(change() for _ in range(8)))
    saved = await load(payments)
    assert saved is not None
    assert (saved.sequence, saved.version) == (8, 9)


async def test_an_unknown_operation_leaves_the_version(payments: Payments) -> None:
    await keep(payments, a_payment())
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        payment.operation_unknown = True
        payment.attention = "OPERATION_UNKNOWN"
        payment.amount_refunded = 1  # is not written
        await uow.payments.mark_operation_unknown(payment)
        await uow.commit()
    assert await load(payments) == a_payment(operation_unknown=True, attention="OPERATION_UNKNOWN")


async def test_a_payment_is_found_by_its_intent(payments: Payments) -> None:
    await keep(payments, a_payment(intent_id="pi_1"), a_payment("pay_2", "ord_2"))
    async with payments.unit_of_work() as uow:
        assert await uow.payments.find_by_intent("fake", "pi_1") == "pay_1"
        assert await uow.payments.find_by_intent("fake", "pi_2") is None


async def test_payments_are_listed_newest_first_in_pages(payments: Payments) -> None:
    await keep(
        payments, *(a_payment(f"pay_{n}", f"ord_{n % 3}", status=IntentStatus.CANCELED) for n in range(6))
    )
    await keep(payments, a_payment("pay_7", "ord_9", user_id=None))

    async def listed(**wanted: Any) -> list[str]:
        async with payments.unit_of_work() as uow:
            fields: dict[str, Any] = {"order_id": None, "user_id": None, "after": None, "limit": 10, **wanted}
            return [payment.payment_id for payment in await uow.payments.list(**fields)]

    assert await listed(limit=2) == ["pay_7", "pay_5"]
    assert await listed(limit=2, after="pay_5") == ["pay_4", "pay_3"]
    assert await listed(order_id="ord_1") == ["pay_4", "pay_1"]
    assert await listed(user_id="u_1", after="pay_2") == ["pay_1", "pay_0"]
    assert await listed(user_id="u_2") == []
    assert await listed(after="pay_0") == []


async def authorize(payments: Payments, payment_id: str, lapse: datetime) -> None:
    """A new payment with an authorization that lapses then."""
    await keep(payments, a_payment(payment_id, f"ord_{payment_id}", capture_method=CaptureMethod.MANUAL))
    snapshot = a_snapshot(
        payment_id,
        status=IntentStatus.REQUIRES_CAPTURE,
        amount_capturable=1000,
        amount_captured=0,
        capture_before=lapse,
    )
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock(payment_id)
        assert payment is not None
        payment.record_intent(snapshot, Occasion(LATER, ids.event_id))
        await uow.payments.save(payment)
        await uow.commit()


async def test_each_expiring_authorization_is_taken_by_one_and_once_warned_by_none(
    payments: Payments,
) -> None:
    for number in range(4):
        await authorize(payments, f"pay_{number}", START + timedelta(days=number + 1))
    async with payments.unit_of_work() as one, payments.unit_of_work() as other:
        taken = await one.payments.take_expiring(before=START + timedelta(days=3), limit=2)
        assert [payment.payment_id for payment in taken] == ["pay_0", "pay_1"]
        beside = await other.payments.take_expiring(before=START + timedelta(days=3), limit=2)
        assert [payment.payment_id for payment in beside] == ["pay_2"]
        taken[0].warn_of_lapse(LATER)
        await one.payments.save(taken[0])
        await one.commit()
    async with payments.unit_of_work() as uow:
        left = await uow.payments.take_expiring(before=START + timedelta(days=9), limit=9)
    assert [payment.payment_id for payment in left] == ["pay_1", "pay_2", "pay_3"]
    warned = await load(payments, "pay_0")
    assert warned is not None
    assert (warned.authorization_warned, warned.attention) == (True, "AUTHORIZATION_EXPIRING")


async def test_due_payments_are_taken_and_put_off_without_a_new_version(payments: Payments) -> None:
    await keep(payments, a_payment("pay_quiet", "ord_quiet"))
    for number in range(3):
        await authorize(payments, f"pay_{number}", START + timedelta(days=number + 1))
    now = START + timedelta(days=2, hours=1)
    async with payments.unit_of_work() as one, payments.unit_of_work() as other:
        (first,) = await one.payments.take_due(now=now, limit=1)
        (second,) = await other.payments.take_due(now=now, limit=9)
        assert (first.payment_id, second.payment_id) == ("pay_0", "pay_1")
        await one.payments.put_off("pay_0", now + timedelta(hours=1))
        await one.commit()
    async with payments.unit_of_work() as uow:
        assert [one.payment_id for one in await uow.payments.take_due(now=now, limit=9)] == ["pay_1"]
    put_off = await load(payments, "pay_0")
    assert put_off is not None
    assert (put_off.check_at, put_off.version) == (now + timedelta(hours=1), first.version)


async def test_a_look_up_begins_once_in_its_time(payments: Payments) -> None:
    await keep(payments, a_payment())
    begun = []
    for second in (0, 1, 2, 3):
        now = START + timedelta(seconds=second)
        async with payments.unit_of_work() as uow:
            begun.append(
                await uow.payments.begin_look_up("pay_1", now=now, not_since=now - timedelta(seconds=2))
            )
            await uow.commit()
    assert begun == [True, False, True, False]


async def test_two_look_ups_at_once_are_one(payments: Payments) -> None:
    await keep(payments, a_payment())

    async def begin() -> bool:
        async with payments.unit_of_work() as uow:
            begun = await uow.payments.begin_look_up("pay_1", now=LATER, not_since=START)
            await uow.commit()
            return begun

    assert sorted(await asyncio.gather(begin(), begin())) == [False, True]


async def test_attentions_are_counted(payments: Payments) -> None:
    await keep(
        payments,
        a_payment("pay_1", "ord_1", attention="DISPUTED"),
        a_payment("pay_2", "ord_2", attention="DISPUTED"),
        a_payment("pay_3", "ord_3", attention="AMOUNT_MISMATCH"),
        a_payment("pay_4", "ord_4"),
    )
    async with payments.unit_of_work() as uow:
        assert await uow.payments.count_attentions() == {"DISPUTED": 2, "AMOUNT_MISMATCH": 1}
