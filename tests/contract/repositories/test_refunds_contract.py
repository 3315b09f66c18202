"""What counts towards limits, what waits, and which tokens are used up: in memory and on PostgreSQL."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.payments.errors import TokenUsed
from domain.payments.operation import OperationKind, OperationStatus
from domain.payments.ports import PaymentsUnitOfWork
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import Usage
from tests.contract.repositories.conftest import Payments
from tests.contract.repositories.rows import LATER, a_payment, a_refund, an_operation, keep, pay
from tests.support.house import START

P = RefundStatus
MORNING = START - timedelta(hours=24)


async def add(uow: PaymentsUnitOfWork, refund_id: str, amount: int, **changes: Any) -> Refund:
    """A refund with its promise: by `u_1` on their own authority, unless it waits."""
    fields: dict[str, Any] = {"requested_by": "u_1", "amount": amount, **changes}
    refund = a_refund(refund_id, **fields)
    payment = await uow.payments.lock(refund.payment_id)
    assert payment is not None
    if refund.status is P.PENDING:
        refund.decided_by = refund.decided_by or "u_1"
        refund.decided_at = refund.decided_at or START
        payment.promise_refund(amount)
        await uow.payments.save(payment)
    await uow.refunds.add(refund)
    return refund


@pytest.fixture
async def stored(payments: Payments) -> Payments:
    """Two payments of two orders with refunds of all kinds."""
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2", user_id="u_2"))
    await pay(payments)
    await pay(payments, "pay_2")
    async with payments.unit_of_work() as uow:
        await add(uow, "ref_1", 100)
        await add(uow, "ref_2", 200, payment_id="pay_2", decided_at=MORNING)
        await add(uow, "ref_3", 40, payment_id="pay_2", decided_by="boss")
        waits = P.PENDING_APPROVAL
        await add(uow, "ref_4", 300, status=waits, updated_at=LATER, policy_rule="staff", actor="orders")
        await add(uow, "ref_5", 50, status=waits, payment_id="pay_2", comment=None)
        await uow.commit()
    return payments


async def test_what_is_on_its_way_counts_and_what_waits_does_not(stored: Payments) -> None:
    async with stored.unit_of_work() as uow:
        assert await uow.refunds.used("u_1", "EUR", "ord_1", since=MORNING) == Usage(100, 100)
        before = MORNING - timedelta(microseconds=1)
        assert await uow.refunds.used("u_1", "EUR", "ord_2", since=before) == Usage(300, 240)
        assert await uow.refunds.used("boss", "EUR", "ord_9", since=MORNING) == Usage(40, 0)
        assert await uow.refunds.used("u_1", "USD", "ord_1", since=MORNING) == Usage(0, 0)
        assert await uow.refunds.waiting_amount("pay_1") == 300
        assert await uow.refunds.waiting_amount("pay_3") == 0
        payment, refund = await uow.payments.lock("pay_1"), await uow.refunds.get("ref_1")
        assert payment
        assert refund
        refund.status, payment.amount_refunding = P.FAILED, 0
        await uow.refunds.save(refund)
        await uow.payments.save(payment)
        await uow.commit()
    async with stored.unit_of_work() as uow:
        assert await uow.refunds.used("u_1", "EUR", "ord_1", since=MORNING) == Usage(0, 0)


async def test_refunds_are_listed_newest_first(stored: Payments) -> None:
    async def listed(**wanted: Any) -> list[str]:
        fields: dict[str, Any] = {
            **dict.fromkeys(("status", "payment_id", "order_id", "user_id", "after")),
            "limit": 9,
            **wanted,
        }
        async with stored.unit_of_work() as uow:
            return [refund.refund_id for refund in await uow.refunds.list(**fields)]

    assert await listed() == ["ref_5", "ref_4", "ref_3", "ref_2", "ref_1"]
    assert await listed(after="ref_4", limit=2) == ["ref_3", "ref_2"]
    assert await listed(status=P.PENDING_APPROVAL) == ["ref_5", "ref_4"]
    assert await listed(payment_id="pay_1") == ["ref_4", "ref_1"]
    assert await listed(order_id="ord_2", status=P.PENDING) == ["ref_3", "ref_2"]
    assert await listed(user_id="u_2", limit=1) == ["ref_5"]
    assert await listed(user_id="u_9") == []


async def test_what_waits_is_counted_and_given_oldest_first(stored: Payments) -> None:
    async with stored.unit_of_work() as uow:
        assert await uow.refunds.count_waiting() == (2, START)
        waiting = await uow.refunds.waiting_since(before=LATER, limit=9)
        assert [refund.refund_id for refund in waiting] == ["ref_5", "ref_4"]
        assert (waiting[1].policy_rule, waiting[1].actor, waiting[1].attempt) == ("staff", "orders", 1)
        before = LATER - timedelta(microseconds=1)
        assert len(await uow.refunds.waiting_since(before=before, limit=9)) == 1
        assert len(await uow.refunds.waiting_since(before=LATER, limit=1)) == 1


async def test_whoever_locks_the_same_limits_waits(stored: Payments) -> None:
    order: list[str] = []
    locked = asyncio.Event()

    async def first() -> None:
        async with stored.unit_of_work() as uow:
            await uow.refunds.lock_limits("u_1", "EUR", "ord_1")
            locked.set()
            for subject, order_id in (("u_2", "ord_2"), ("u_3", "ord_3")):
                async with stored.unit_of_work() as other:  # nobody waits for other limits
                    await other.refunds.lock_limits(subject, "EUR", order_id)
            async with stored.unit_of_work() as other:
                await other.refunds.lock_limits("u_1", "USD", "ord_1")
            order.append("first")
            await uow.commit()

    async def second(subject: str, order_id: str) -> None:
        await locked.wait()
        async with stored.unit_of_work() as uow:
            await uow.refunds.lock_limits(subject, "EUR", order_id)
            order.append("second")

    await asyncio.gather(first(), second("u_1", "ord_4"), second("u_4", "ord_1"))
    assert order == ["first", "second", "second"]


async def test_a_token_is_used_once_until_it_is_forgotten(stored: Payments) -> None:
    async def use(token_id: str, refund_id: str = "ref_4", subject: str = "boss") -> None:
        async with stored.unit_of_work() as uow:
            await uow.approval_tokens.use(subject, token_id, refund_id, LATER)
            await uow.commit()

    await use("one")
    await use("two")
    await use("one", subject="another")
    with pytest.raises(TokenUsed):
        await use("one", "ref_5")
    async with stored.unit_of_work() as uow:
        assert await uow.approval_tokens.forget(expired_before=LATER) == 0
        assert await uow.approval_tokens.forget(expired_before=LATER + timedelta(seconds=1)) == 3
        await uow.commit()
    await use("one", "ref_5")


async def test_of_two_who_use_a_token_at_once_one_is_refused(stored: Payments) -> None:
    async def use(refund_id: str) -> None:
        async with stored.unit_of_work() as uow:
            await uow.approval_tokens.use("boss", "one", refund_id, LATER)
            await uow.commit()

    told = await asyncio.gather(use("ref_4"), use("ref_5"), return_exceptions=True)
    assert sorted(type(one).__name__ for one in told) == ["NoneType", "TokenUsed"]


async def test_an_operation_of_a_refund_is_open_until_it_is_concluded(stored: Payments) -> None:
    operation = an_operation("op_r", kind=OperationKind.REFUND, refund_id="ref_1")
    async with stored.unit_of_work() as uow:
        await uow.operations.add(operation)
        await uow.commit()
    async with stored.unit_of_work() as uow:
        assert await uow.operations.has_open("pay_1", "ref_1")
        assert not await uow.operations.has_open("pay_1", "ref_4")
        assert operation.status is OperationStatus.STARTED
        operation.succeeded(LATER)
        await uow.operations.save(operation)
        await uow.commit()
    async with stored.unit_of_work() as uow:
        assert not await uow.operations.has_open("pay_1", "ref_1")
