"""Refunds in parts, several at once, ours and the dashboard's, against what was captured and not yet given back."""

from dataclasses import replace
from typing import Any

import pytest

from domain.orders.status import OrderStatus
from domain.payments.errors import CurrencyDiffers, PaymentStateForbids, RefundExceedsCaptured
from domain.payments.gateway import GatewayRefundStatus as G
from domain.payments.gateway import GatewayRefused, IntentStatus, RefundSnapshot
from domain.payments.payment import Payment
from domain.payments.refund import RefundStatus
from tests.support.house import House, types


def from_the_dashboard(payment: Payment, name: str, amount: int, **changes: Any) -> RefundSnapshot:
    fields: dict[str, Any] = {
        "status": G.SUCCEEDED,
        "currency": "EUR",
        "failure_reason": None,
        "reason": None,
        **changes,
    }
    return RefundSnapshot(
        gateway_refund_id=name,
        intent_id=payment.intent_id,
        charge_id=payment.charge_id,
        amount=amount,
        refund_id=None,
        **fields,
    )


def totals(house: House, payment: Payment) -> tuple[int, int]:
    saved = house.payment(payment.payment_id)
    return saved.amount_refunded, saved.amount_refunding


async def refused(house: House, payment: Payment, amount: int) -> None:
    with pytest.raises(RefundExceedsCaptured) as error:
        await house.refund(payment, amount)
    assert error.value.pointer == "/amount"


async def test_parts_add_up_to_what_was_captured_and_no_more() -> None:
    house = House()
    payment = await house.paid(1000)
    for amount in (300, 300, 399):
        assert (await house.refund(payment, amount)).status is RefundStatus.SUCCEEDED
    await refused(house, payment, 2)
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.PARTIALLY_REFUNDED
    await house.refund(payment, 1)
    await refused(house, payment, 1)
    await house.deliver()
    assert house.saved_order(payment.order_id).status is OrderStatus.REFUNDED
    assert totals(house, payment) == (1000, 0)
    amounts = [event.amount_refunded for event in house.log() if event.type == "RefundProcessed"]
    assert amounts == [300, 600, 999, 1000]


async def test_what_is_promised_counts_until_the_gateway_decides() -> None:
    house = House()
    payment = await house.paid(1000, "pm_card_pendingRefund")
    first = await house.refund(payment, 700)
    assert first.status is RefundStatus.PENDING
    await refused(house, payment, 301)
    second = await house.refund(payment, 300)
    assert totals(house, payment) == (0, 1000)
    for refund, status in ((first, G.FAILED), (second, G.SUCCEEDED)):
        settled = house.gateway.settle_refund(refund.gateway_refund_id or "", status)
        await house.webhook(house.gateway.webhook("refund.updated", settled))
    assert totals(house, payment) == (300, 0)
    assert (await house.refund(payment, 700)).status is RefundStatus.PENDING


async def test_a_refund_canceled_at_the_gateway_frees_its_amount() -> None:
    house = House()
    payment = await house.paid(1000, "pm_card_pendingRefund")
    refund = await house.refund(payment, 700)
    canceled = house.gateway.settle_refund(refund.gateway_refund_id or "", G.CANCELED)
    await house.webhook(house.gateway.webhook("refund.updated", canceled))
    assert totals(house, payment) == (0, 0)
    assert types(house.log()) == ["PaymentSucceeded", "RefundFailed"]


async def test_the_dashboard_s_refunds_count_like_ours() -> None:
    house = House()
    payment = await house.paid(1000)
    pending = from_the_dashboard(payment, "re_1", 400, status=G.PENDING)
    await house.webhook(house.gateway.webhook("refund.created", pending))
    assert totals(house, payment) == (0, 400)
    await refused(house, payment, 601)
    await house.refund(payment, 600)
    await house.webhook(
        house.gateway.webhook("refund.updated", replace(pending, status=G.SUCCEEDED, reason="duplicate"))
    )
    assert totals(house, payment) == (1000, 0)
    await house.webhook(
        house.gateway.webhook("refund.failed", replace(pending, status=G.FAILED, failure_reason="expired"))
    )
    assert totals(house, payment) == (600, 0)
    await house.deliver()
    order = house.saved_order(payment.order_id)
    assert (order.status, order.attention) == (OrderStatus.PARTIALLY_REFUNDED, "REFUND_FAILED")


async def test_the_dashboard_may_do_what_we_may_not() -> None:
    house = House()
    payment = await house.paid(1000)
    await house.refund(payment, 800)
    for snapshot in (
        from_the_dashboard(payment, "re_1", 300),
        from_the_dashboard(payment, "re_2", 10, currency="USD"),
    ):
        await house.webhook(house.gateway.webhook("refund.created", snapshot))
    saved = house.payment(payment.payment_id)
    assert (saved.amount_refunded, saved.attention) == (1110, "REFUND_EXCEEDS_CAPTURED")
    await refused(house, payment, 1)


async def test_another_currency_and_a_payment_that_took_nothing_are_refused() -> None:
    house = House()
    payment = await house.paid()
    with pytest.raises(CurrencyDiffers) as error:
        await house.refund(payment, 100, currency="USD")
    assert error.value.pointer == "/currency"
    canceled = await house.authorized()
    with pytest.raises(PaymentStateForbids):
        await house.refund(canceled, 100)
    await house.cancel(canceled)
    assert house.payment(canceled.payment_id).status is IntentStatus.CANCELED
    with pytest.raises(PaymentStateForbids):
        await house.refund(canceled, 100)
    assert not house.gateway.refunds


async def test_a_refusal_of_this_one_refund_frees_its_amount() -> None:
    house = House()
    payment = await house.paid()
    house.gateway.script(GatewayRefused("balance_insufficient", "Not now."))
    failed = await house.refund(payment, 1000)
    assert (failed.status, failed.failure_reason) == (RefundStatus.FAILED, "balance_insufficient")
    assert (await house.refund(payment, 1000)).status is RefundStatus.SUCCEEDED
