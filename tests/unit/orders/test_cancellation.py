"""An order that is called off ends CANCELED once its money's side is known, whatever it was doing."""

from typing import Any

import pytest

from domain.orders.errors import CancellationRefunds, OrderNotFound, OrderStateForbids
from domain.orders.status import OrderStatus
from domain.payments.gateway import GatewayRefundStatus, IntentStatus
from domain.shared.errors import Refused
from tests.support.fake_gateway import Outcome
from tests.support.house import CUSTOMER, SERVICE, STRANGER, House, all_of, types

S = OrderStatus


async def ordered(house: House, token: str | None = "pm_card_visa", **changes: Any) -> str:
    """An order that is confirmed with this method, and has followed the events so far."""
    order = await house.order()
    await house.confirm(order.order_id, token, **changes)
    await house.deliver()
    return order.order_id


async def test_a_draft_is_canceled_at_once() -> None:
    house = House()
    order = await house.order()
    canceled = await house.call_off(order.order_id, reason="by mistake")
    assert canceled.status is S.CANCELED
    assert canceled.cancellation is not None
    assert (canceled.cancellation.reason, canceled.cancellation.requested_by) == ("by mistake", "u_1")
    assert not house.world.orders.rows["attempt"]
    with pytest.raises(OrderStateForbids):
        await house.confirm(order.order_id)


@pytest.mark.parametrize(
    ("token", "changes", "before"),
    [
        (None, {}, S.PENDING_PAYMENT),
        ("pm_card_chargeDeclined", {}, S.PAYMENT_FAILED),
        ("pm_card_authenticationRequired", {}, S.AWAITING_USER_PAYMENT_ACTION),
        ("pm_card_visa", {"capture_method": "MANUAL"}, S.AUTHORIZED),
    ],
)
async def test_what_is_not_paid_is_given_up(
    token: str | None, changes: dict[str, Any], before: OrderStatus
) -> None:
    house = House()
    order_id = await ordered(house, token, **changes)
    assert house.saved_order(order_id).status is before
    answered = await house.call_off(order_id)
    assert (answered.status, answered.is_canceling) == (before, True)
    await house.deliver()
    order = house.saved_order(order_id)
    assert (order.status, order.attention) == (S.CANCELED, None)
    assert [intent.status for intent in house.gateway.intents.values()] == [IntentStatus.CANCELED]
    assert types(house.log())[-1] == "PaymentCanceled"


@pytest.mark.parametrize("accepted", [False, True])
async def test_what_was_paid_is_given_back_to_the_cent(accepted: bool) -> None:
    house = House()
    order_id = await ordered(house)
    if accepted:
        await house.notify_warehouse(house.world.orders.effects[0], "key")
    with pytest.raises(CancellationRefunds):
        await house.call_off(order_id)
    answered = await house.call_off(order_id, caller=SERVICE)
    assert (answered.status is S.CANCELED, answered.is_canceling) == (False, True)
    await house.deliver()
    order = house.saved_order(order_id)
    assert (order.status, order.amount_paid, order.amount_refunded) == (S.CANCELED, 1000, 1000)
    [refund] = house.world.payments.rows["refund"].values()
    assert (refund.requested_by, refund.reason) == ("service", "changed their mind")


async def test_what_was_given_back_before_is_not_given_back_again() -> None:
    house = House()
    order_id = await ordered(house)
    await house.refund(house.payment(house.saved_order(order_id).payments[0].payment_id), 300)
    await house.deliver()
    await house.call_off(order_id, caller=SERVICE)
    await house.deliver()
    order = house.saved_order(order_id)
    assert (order.status, order.amount_refunded) == (S.CANCELED, 1000)
    assert sorted(refund.amount for refund in house.world.payments.rows["refund"].values()) == [300, 700]


async def test_a_refund_under_way_is_waited_for() -> None:
    house = House()
    order_id = await ordered(house, "pm_card_pendingRefund")
    payment = house.payment(house.saved_order(order_id).payments[0].payment_id)
    await house.refund(payment, 1000)
    order = await house.call_off(order_id, caller=SERVICE)
    await house.deliver()
    assert order.is_canceling
    assert house.saved_order(order_id).is_canceling
    [pending] = house.gateway.refunds
    settled = house.gateway.settle_refund(pending, GatewayRefundStatus.SUCCEEDED)
    await house.webhook(house.gateway.webhook("refund.updated", settled))
    await house.deliver()
    assert house.saved_order(order_id).status is S.CANCELED


async def test_another_refund_that_fails_meanwhile_is_made_up_for() -> None:
    house = House()
    order_id = await ordered(house, "pm_card_pendingRefund")
    await house.refund_by_order(order_id, amount=300)
    await house.call_off(order_id, caller=SERVICE)
    first, rest = house.gateway.refunds

    async def settle(refund_id: str, status: GatewayRefundStatus, type: str) -> None:
        settled = house.gateway.settle_refund(refund_id, status)
        await house.webhook(house.gateway.webhook(type, settled))
        await house.deliver()

    await settle(first, GatewayRefundStatus.FAILED, "refund.failed")
    assert house.saved_order(order_id).is_canceling
    await house.recover()
    _, _, again = house.gateway.refunds
    for refund_id in (rest, again):
        await settle(refund_id, GatewayRefundStatus.SUCCEEDED, "refund.updated")
    order = house.saved_order(order_id)
    assert (order.status, order.amount_paid, order.amount_refunded) == (S.CANCELED, 1000, 1000)


async def test_captured_in_part_the_rest_is_voided_and_the_part_given_back() -> None:
    house = House()
    house.gateway.multicapture = True
    order_id = await ordered(house, capture_method="MANUAL")
    await house.capture(house.payment(house.saved_order(order_id).payments[0].payment_id), 400, final=False)
    await house.deliver()
    await house.call_off(order_id, caller=SERVICE)
    await house.deliver()
    await house.recover()
    order = house.saved_order(order_id)
    assert (order.status, order.amount_paid, order.amount_refunded) == (S.CANCELED, 400, 400)


@pytest.mark.parametrize("token", ["pm_card_refundFail", "pm_card_pendingRefund"])
async def test_a_refund_that_fails_leaves_the_order_to_a_person(token: str) -> None:
    """Sent back by the bank after the order was canceled, it stays so; refused before, it is what its money says."""
    house = House()
    order_id = await ordered(house, token)
    await house.call_off(order_id, caller=SERVICE)
    await house.deliver()
    [refund_id] = house.gateway.refunds
    failed = house.gateway.settle_refund(refund_id, GatewayRefundStatus.FAILED)
    await house.webhook(house.gateway.webhook("refund.failed", failed))
    await house.deliver()
    order = house.saved_order(order_id)
    assert (order.attention, order.is_canceling, order.amount_kept) == ("REFUND_FAILED", False, 1000)
    assert order.status is (S.CANCELED if token == "pm_card_refundFail" else S.PAID)


async def test_a_disputed_charge_is_not_given_back() -> None:
    house = House()
    order_id = await ordered(house, "pm_card_createDispute")
    payment = house.payment(house.saved_order(order_id).payments[0].payment_id)
    dispute = house.gateway.open_dispute(payment.intent_id or "")
    await house.webhook(house.gateway.webhook("charge.dispute.created", dispute))
    await house.deliver()
    order = await house.call_off(order_id, caller=SERVICE)
    assert (order.status, order.cancellation) == (S.PAID, None)
    assert order.attentions == ("DISPUTED", "REFUND_FAILED")
    async with house.orders_uow() as uow:
        *_, answer = [row.entry for row in await uow.history.of(order_id, limit=20)]
    assert answer.attentions == ("DISPUTED", "REFUND_FAILED")


async def test_money_that_comes_while_it_is_being_canceled_is_given_back() -> None:
    """The customer paid through the client secret before the cancellation reached the gateway."""
    house = House()
    order_id = await ordered(house, "pm_card_authenticationRequired")
    payment = house.payment(house.saved_order(order_id).payments[0].payment_id)
    house.gateway.complete_action(payment.intent_id or "")
    answered = await house.call_off(order_id)
    assert answered.is_canceling
    effects = len(house.world.orders.effects)
    await house.deliver()
    assert house.saved_order(order_id).status is S.PAID
    assert len(house.world.orders.effects) == effects  # nothing is to be shipped
    await house.recover()
    order = house.saved_order(order_id)
    assert (order.status, order.amount_kept, order.attention) == (S.CANCELED, 0, None)


@pytest.mark.parametrize(("token", "paid"), [("pm_success_de", True), ("pm_failed_de", False)])
async def test_while_the_bank_is_at_work_the_cancellation_waits(token: str, paid: bool) -> None:
    house = House()
    order_id = await ordered(house, token)
    answered = await house.call_off(order_id)
    assert (answered.status, answered.is_canceling) == (S.PENDING_PAYMENT, True)
    payment = house.payment(answered.payments[0].payment_id)
    settled = house.gateway.settle_debit(payment.intent_id or "")
    kind = "payment_intent.succeeded" if paid else "payment_intent.payment_failed"
    await house.webhook(house.gateway.webhook(kind, settled))
    await house.deliver()
    assert house.saved_order(order_id).is_canceling
    await house.recover()
    order = house.saved_order(order_id)
    assert (order.status, order.amount_paid, order.amount_kept) == (S.CANCELED, 1000 if paid else 0, 0)


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER])
@pytest.mark.parametrize("call", [1, 2])
async def test_while_nobody_knows_of_the_payment_the_cancellation_waits(outcome: Outcome, call: int) -> None:
    house = House()
    order = await house.order()
    house.gateway.script(*[Outcome.NORMAL] * (call - 1), outcome)
    await house.confirm(order.order_id)
    assert (await house.call_off(order.order_id)).is_canceling
    await house.recover()
    await house.recover()
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.amount_kept) == (S.CANCELED, 0)
    assert not house.gateway.refunds or call == 2  # what was not confirmed yet is not confirmed any more


async def test_a_cancellation_whose_answer_is_lost_is_carried_out_once() -> None:
    for outcome in (Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER):
        for token, caller in (("pm_card_authenticationRequired", CUSTOMER), ("pm_card_visa", SERVICE)):
            house = House()
            order_id = await ordered(house, token)
            house.gateway.script(outcome)
            assert (await house.call_off(order_id, caller=caller)).is_canceling
            await house.recover()
            order = house.saved_order(order_id)
            assert (order.status, order.amount_kept) == (S.CANCELED, 0)
            assert len(house.gateway.refunds) == (caller is SERVICE)


async def test_a_gateway_that_is_down_delays_it() -> None:
    house = House()
    order_id = await ordered(house, "pm_card_authenticationRequired")
    house.gateway.down = True
    assert (await house.call_off(order_id)).is_canceling
    house.gateway.down = False
    await house.recover()
    assert house.saved_order(order_id).status is S.CANCELED


async def test_canceled_twice_is_the_same_answer() -> None:
    house = House()
    order_id = await ordered(house, "pm_card_authenticationRequired")
    results = await all_of(house.call_off(order_id, reason="one"), house.call_off(order_id, reason="two"))
    assert {order.cancellation.reason for order in results} == {"one"}
    await house.deliver()
    again = await house.call_off(order_id, reason="three")
    assert (again.status, again.cancellation and again.cancellation.reason) == (S.CANCELED, "one")
    assert types(house.log()).count("PaymentCanceled") == 1


async def test_an_order_that_is_being_canceled_is_not_paid_again() -> None:
    house = House()
    order_id = await ordered(house, "pm_success_de")
    await house.call_off(order_id)
    with pytest.raises(OrderStateForbids, match="being canceled"):
        await house.retry(order_id)
    assert not (await house.get_terms(SERVICE, order_id)).payable
    with pytest.raises(Refused):
        await house.pay(house.saved_order(order_id))


@pytest.mark.parametrize("is_refunded", [False, True])
async def test_once_shipped_it_is_too_late(is_refunded: bool) -> None:
    house = House()
    shipped = await ordered(house)
    await house.fulfil_order("req_1", SERVICE, shipped)
    if is_refunded:
        await house.refund(house.payment(house.saved_order(shipped).payments[0].payment_id), 1000)
        await house.deliver()
    assert house.saved_order(shipped).status is (S.REFUNDED if is_refunded else S.FULFILLED)
    with pytest.raises(OrderStateForbids):
        await house.call_off(shipped, caller=SERVICE)


async def test_nobody_cancels_what_is_another_s() -> None:
    house = House()
    order_id = await ordered(house)
    with pytest.raises(OrderNotFound):
        await house.call_off(order_id, caller=STRANGER)


async def test_a_canceled_draft_gives_up_the_payment_of_which_it_hears_late() -> None:
    """It was made by the payment side's own call: its funds are not to be held for nothing."""
    house = House()
    order = await house.order()
    await house.pay(order, capture_method="MANUAL")
    assert (await house.call_off(order.order_id)).status is S.CANCELED
    await house.recover()
    await house.recover()
    assert [intent.status for intent in house.gateway.intents.values()] == [IntentStatus.CANCELED]
    saved = house.saved_order(order.order_id)
    assert (saved.status, saved.attention) == (S.CANCELED, None)


@pytest.mark.parametrize("token", ["pm_success_de", "pm_failed_de"])
async def test_what_a_bank_is_at_work_on_when_a_canceled_draft_hears_of_it_is_ended_by_its_decision(
    token: str,
) -> None:
    house = House()
    order = await house.order()
    payment = await house.pay(order, "pm_card_chargeDeclined")
    assert (await house.call_off(order.order_id)).status is S.CANCELED
    intent_id = payment.intent_id or ""
    undecided = house.gateway.pay_by_client_secret(intent_id, token)
    await house.webhook(house.gateway.webhook("payment_intent.processing", undecided))
    await house.recover()
    await house.recover()
    assert house.gateway.intents[intent_id].status is IntentStatus.PROCESSING
    assert [attempt.error for attempt in house.world.orders.rows["attempt"].values()] == [
        "payment_state_forbids"
    ]
    decided = house.gateway.settle_debit(intent_id)
    await house.webhook(house.gateway.webhook("payment_intent.any", decided))
    await house.recover()
    await house.recover()
    saved, paid = house.saved_order(order.order_id), token == "pm_success_de"
    assert house.gateway.intents[intent_id].status is (
        IntentStatus.SUCCEEDED if paid else IntentStatus.CANCELED
    )
    assert (saved.status, saved.amount_paid, saved.amount_kept) == (S.CANCELED, 1000 if paid else 0, 0)
    assert saved.attention is None
