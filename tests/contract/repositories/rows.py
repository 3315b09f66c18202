"""Rows of the payment side for the repository suites, with the values that most tests want."""

from datetime import timedelta
from typing import Any

from domain.payments.dispute import Dispute
from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    CaptureMethod,
    GatewayRequest,
    IntentSnapshot,
    IntentStatus,
)
from domain.payments.operation import Operation, OperationKind
from domain.payments.payment import Occasion, Payment
from domain.payments.refund import Refund, RefundStatus
from domain.payments.webhook import StoredWebhook, WebhookOutcome
from domain.shared.payment_events import CardMethod
from tests.contract.repositories.conftest import Payments
from tests.support.house import START, CountedIds

LATER = START + timedelta(minutes=1)
ids = CountedIds()


def a_payment(payment_id: str = "pay_1", order_id: str = "ord_1", **changes: Any) -> Payment:
    fields: dict[str, Any] = {
        "amount": 1000,
        "currency": "EUR",
        "capture_method": CaptureMethod.AUTOMATIC,
        "gateway": "fake",
        "created_at": START,
        "updated_at": START,
        "user_id": "u_1",
        **changes,
    }
    return Payment(payment_id=payment_id, order_id=order_id, **fields)


def a_snapshot(payment_id: str = "pay_1", **changes: Any) -> IntentSnapshot:
    fields: dict[str, Any] = {
        "intent_id": f"pi_{payment_id}",
        "status": IntentStatus.SUCCEEDED,
        "amount": 1000,
        "currency": "EUR",
        "amount_capturable": 0,
        "amount_captured": 1000,
        "client_secret": "secret",
        "next_action": None,
        "last_error": None,
        "failed_charge_id": None,
        "charge_id": "ch_1",
        "method": CardMethod("visa", "4242"),
        "capture_before": None,
        "multicapture": None,
        "cancellation_reason": None,
        "customer_id": None,
        "payment_id": payment_id,
        "order_id": "ord_1",
        **changes,
    }
    return IntentSnapshot(**fields)


def an_operation(operation_id: str = "op_1", payment_id: str = "pay_1", **changes: Any) -> Operation:
    fields: dict[str, Any] = {
        "gateway": "fake",
        "kind": OperationKind.CONFIRM,
        "request": GatewayRequest("confirm", {"a": 1, "b": {"c": None, "d": ["e"]}}),
        "created_at": START,
        "next_check_at": START,
        "payment_version": 1,
        **changes,
    }
    return Operation(operation_id=operation_id, payment_id=payment_id, **fields)


def a_refund(refund_id: str = "ref_1", **changes: Any) -> Refund:
    fields: dict[str, Any] = {
        "payment_id": "pay_1",
        "amount": 300,
        "currency": "EUR",
        "reason": "broken",
        "status": RefundStatus.PENDING,
        "created_at": START,
        "updated_at": START,
        **changes,
    }
    return Refund(refund_id=refund_id, **fields)


def a_dispute(dispute_id: str = "du_1", **changes: Any) -> Dispute:
    fields: dict[str, Any] = {
        "payment_id": "pay_1",
        "amount": 1000,
        "currency": "EUR",
        "reason": "fraudulent",
        "status": DisputeStatus.NEEDS_RESPONSE,
        "charge_refundable": False,
        "evidence_due_by": None,
        "amount_withdrawn": 1000,
        "opened_at": START,
        "updated_at": START,
        **changes,
    }
    return Dispute(gateway_dispute_id=dispute_id, **fields)


def a_webhook(event_id: str = "evt_1", **changes: Any) -> StoredWebhook:
    fields: dict[str, Any] = {
        "gateway": "fake",
        "type": "payment_intent.succeeded",
        "created_at": START,
        "received_at": START,
        "body": b'{"id": "evt_1"}',
        "intent_id": "pi_pay_1",
        "payment_id": None,
        "outcome": WebhookOutcome.WAITING,
        "is_known": True,
        **changes,
    }
    return StoredWebhook(event_id=event_id, **fields)


async def keep(payments: Payments, *new: Payment) -> None:
    async with payments.unit_of_work() as uow:
        for payment in new:
            await uow.payments.add(payment)
        await uow.commit()


async def pay(payments: Payments, payment_id: str = "pay_1") -> None:
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock(payment_id)
        assert payment is not None
        payment.record_intent(a_snapshot(payment_id), Occasion(LATER, ids.event_id))
        await uow.payments.save(payment)
        await uow.commit()


async def load(payments: Payments, payment_id: str = "pay_1") -> Payment | None:
    async with payments.unit_of_work() as uow:
        return await uow.payments.get(payment_id)
