"""Refunds above their requester's limits: who may let them go, who may not, and what they keep from others."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.orders.refunds import OrderRefundStatus
from domain.orders.status import OrderStatus
from domain.payments.errors import (
    ApprovalLimitExceeded,
    ApproverIsRequester,
    ChargeDisputed,
    NothingToRefund,
    PaymentTooOld,
    RefundExceedsCaptured,
    RefundLimitExceeded,
    RefundNoLongerFits,
    RefundNotPermitted,
    RefundReasonUnknown,
    RefundStateForbids,
    TokenIdMissing,
    TokenUsed,
)
from domain.payments.refund import RefundStatus
from domain.payments.refund_policy import Beyond, Cause, Limits, RefundPolicy, Rule, Ruling
from domain.payments.use_cases.create_refund import CreateRefund
from domain.shared.callers import Caller
from tests.support.house import APPROVER, CUSTOMER, SERVICE, House, World, types

P, R = RefundStatus, OrderRefundStatus
LIMITS = Limits(per_refund={"EUR": 500}, per_day={"EUR": 800}, per_order={"EUR": 700})
ORDERS_RULE = Rule(name="order service", subjects=frozenset({"orders"}))


def a_house(**changes: object) -> House:
    rule = Rule(name="staff", limits=LIMITS)
    policy = RefundPolicy(rules=(ORDERS_RULE, replace(rule, **changes)))  # type: ignore[arg-type]
    return House(World(refund_policy=policy))


def decisions(house: House) -> list[tuple[str, str, object]]:
    return [
        (record.entry.action, record.entry.subject, record.entry.after.get("status"))
        for record in house.world.payments.audit
    ]


async def test_above_the_limit_nothing_is_sent_until_a_second_person_approves() -> None:
    house = a_house()
    payment = await house.paid(1000)
    refund = await house.refund(payment, 501)
    assert (refund.status, refund.policy_rule, refund.decided_by) == (P.PENDING_APPROVAL, "staff", None)
    assert not house.gateway.refunds
    assert house.payment(payment.payment_id).amount_refunding == 0
    approved = await house.approve(refund)
    assert (approved.status, approved.decided_by, approved.comment) == (P.SUCCEEDED, "boss", "looked at it")
    assert len(house.gateway.refunds) == 1
    await house.deliver()
    assert house.saved_order(payment.order_id).amount_refunded == 501
    assert decisions(house) == [
        ("refund.request", "service", "PENDING_APPROVAL"),
        ("refund.approve", "boss", "PENDING"),
        ("refund.settle", f"gateway:{house.gateway.name}", "SUCCEEDED"),
    ]


async def test_who_asked_never_decides_whoever_acts_for_them() -> None:
    house = a_house()
    refund = await house.refund(await house.paid(1000), 600)
    for actor in (None, "orders"):
        same = replace(APPROVER, subject=SERVICE.subject, actor=actor)
        for decide in (house.approve, house.reject):
            with pytest.raises(ApproverIsRequester):
                await decide(refund, caller=same)
    assert (await house.get_refund(SERVICE, refund.refund_id)).status is P.PENDING_APPROVAL
    assert house.world.payments.audit[-1].entry.after["refused"] == "approver_is_requester"


async def test_a_token_approves_one_refund_and_must_have_an_id() -> None:
    house = a_house()
    first, second = [await house.refund(await house.paid(1000), 600) for _ in range(2)]
    await house.approve(first, caller=APPROVER, request_id="one")
    with pytest.raises(TokenUsed):
        await house.approve(second, caller=APPROVER)
    with pytest.raises(TokenIdMissing):
        await house.approve(second, caller=replace(APPROVER, token_id=None))
    assert (await house.approve(first, caller=APPROVER, request_id="one")).status is P.SUCCEEDED
    assert (await house.reject(second, caller=APPROVER)).status is P.REJECTED
    assert len(house.gateway.refunds) == 1


async def test_an_approver_has_limits_of_their_own() -> None:
    house = a_house(approves=Limits(per_refund={"EUR": 700}, per_day={"EUR": 1200}))
    refunds = [await house.refund(await house.paid(1000), amount) for amount in (701, 600, 600, 501)]
    with pytest.raises(ApprovalLimitExceeded, match="PER_REFUND"):
        await house.approve(refunds[0])
    await house.approve(refunds[1])
    await house.approve(refunds[2])
    with pytest.raises(ApprovalLimitExceeded, match="PER_DAY"):
        await house.approve(refunds[3])
    house.clock.advance(hours=24)
    assert (await house.approve(refunds[3])).status is P.SUCCEEDED


async def test_the_limit_of_a_day_is_of_any_24_hours_and_of_one_s_own_authority() -> None:
    house = a_house()
    payments = [await house.paid(1000) for _ in range(4)]
    assert (await house.refund(payments[0], 400)).status is P.SUCCEEDED
    approved = await house.approve(await house.refund(payments[1], 600))
    assert approved.status is P.SUCCEEDED  # on the approver's authority
    assert (await house.refund(payments[2], 400)).status is P.SUCCEEDED
    waiting = await house.refund(payments[3], 1)
    assert waiting.status is P.PENDING_APPROVAL
    other = replace(SERVICE, subject="another")
    assert (await house.refund(payments[3], 400, caller=other)).status is P.SUCCEEDED
    house.clock.advance(hours=24)
    assert (await house.refund(payments[3], 1)).status is P.SUCCEEDED


async def test_an_order_has_a_limit_whoever_asks() -> None:
    house = a_house()
    payment = await house.paid(1000)
    await house.refund(payment, 400)
    other = replace(SERVICE, subject="another")
    assert (await house.refund(payment, 301, caller=other)).status is P.PENDING_APPROVAL
    assert (await house.refund(payment, 299, caller=other)).status is P.SUCCEEDED


async def test_what_waits_is_not_promised_twice_and_may_no_longer_fit() -> None:
    house = a_house()
    payment = await house.paid(1000)
    refund = await house.refund(payment, 700)
    with pytest.raises(RefundExceedsCaptured, match="300"):
        await house.refund(payment, 301)
    elsewhere = house.gateway.prepare_refund(
        payment.intent_id or "",
        refund_id="",
        payment_id="",
        order_id="",
        amount=400,
        currency="EUR",
        reason="x",
    )
    snapshot = await house.gateway.execute(elsewhere, "dashboard")
    await house.webhook(house.gateway.webhook("refund.created", snapshot))
    with pytest.raises(RefundNoLongerFits):
        await house.approve(refund)
    assert (await house.reject(refund)).status is P.REJECTED
    assert (await house.refund(payment, 300)).status is P.SUCCEEDED


async def test_a_dispute_stops_the_approval_too() -> None:
    house = a_house()
    payment = await house.paid(1000)
    refund = await house.refund(payment, 700)
    await house.webhook(
        house.gateway.webhook("charge.dispute.created", house.gateway.open_dispute(payment.intent_id or ""))
    )
    with pytest.raises(ChargeDisputed):
        await house.approve(refund)


async def test_rejected_or_forgotten_the_order_hears_of_it_and_may_ask_again() -> None:
    house = a_house()
    order = await house.order(1000)
    await house.confirm(order.order_id)
    await house.deliver()
    asked = await house.refund_by_order(order.order_id, amount=600)
    assert (asked.view.status, asked.refund.status) == ("PENDING_APPROVAL", R.PENDING)
    assert house.saved_order(order.order_id).refunds[0].status is R.PENDING_APPROVAL
    refund = await house.get_refund(SERVICE, asked.view.refund_id)
    assert (refund.requested_by, refund.actor) == ("service", "orders")
    assert (await house.reject(refund)).status is P.REJECTED
    assert (await house.reject(refund)).status is P.REJECTED
    await house.deliver()
    saved = house.saved_order(order.order_id)
    assert (saved.refunds[0].status, saved.status, saved.attention) == (R.REJECTED, OrderStatus.PAID, None)
    again = await house.refund_by_order(order.order_id, amount=1000)
    house.clock.advance(days=14)
    assert await house.expire_approvals() == 1
    assert await house.expire_approvals() == 0
    expired = await house.get_refund(SERVICE, again.view.refund_id)
    assert (expired.status, expired.decided_by) == (P.REJECTED, None)
    assert types(house.log()) == ["PaymentSucceeded", "RefundRejected", "RefundRejected"]
    with pytest.raises(RefundStateForbids):
        await house.approve(expired)


async def test_nobody_approves_what_has_waited_for_too_long() -> None:
    house = a_house()
    refund = await house.refund(await house.paid(1000), 600)
    house.clock.advance(days=14)
    with pytest.raises(RefundStateForbids, match="too long"):
        await house.approve(refund)


async def test_a_cancellation_waits_for_the_approval_of_its_refund() -> None:
    for approve in (True, False):
        house = a_house()
        order = await house.order(1000)
        await house.confirm(order.order_id)
        await house.deliver()
        await house.call_off(order.order_id, caller=SERVICE)
        saved = house.saved_order(order.order_id)
        assert (saved.status, saved.is_canceling) == (OrderStatus.PAID, True)
        assert saved.refunds[0].status is R.PENDING_APPROVAL
        refund = await house.get_refund(SERVICE, saved.refunds[0].refund_id)
        await (house.approve if approve else house.reject)(refund)
        await house.deliver()
        saved = house.saved_order(order.order_id)
        expected = (OrderStatus.CANCELED, False) if approve else (OrderStatus.PAID, False)
        assert (saved.status, saved.is_canceling) == expected


async def test_money_that_comes_after_a_cancellation_goes_back_by_the_order_service_s_own_rule() -> None:
    house = a_house()
    order = await house.order(1000)
    await house.confirm(order.order_id, "pm_card_authenticationRequired")
    await house.deliver()
    payment = house.payment(house.saved_order(order.order_id).payments[0].payment_id)
    succeeded = house.gateway.complete_action(payment.intent_id or "")
    await house.call_off(order.order_id, caller=CUSTOMER)
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", succeeded))
    await house.deliver()
    await house.recover()
    refunds = [*house.world.payments.rows["refund"].values()]
    assert [(one.status, one.requested_by, one.policy_rule) for one in refunds] == [
        (P.SUCCEEDED, "orders", "order service")
    ]
    assert house.saved_order(order.order_id).status is OrderStatus.CANCELED


async def test_scopes_of_a_person_count_through_the_order_service_too() -> None:
    trainee = Rule(name="trainees", scopes=frozenset({"role:trainee"}), limits=Limits(per_refund={"EUR": 10}))
    house = House(World(refund_policy=RefundPolicy(rules=(trainee, Rule(name="staff")))))
    order = await house.order(1000)
    await house.confirm(order.order_id)
    await house.deliver()
    person = Caller(subject="tim", scopes=SERVICE.scopes | {"role:trainee"})
    asked = await house.refund_by_order(order.order_id, amount=11, caller=person)
    assert asked.view.status == "PENDING_APPROVAL"
    refund = await house.get_refund(SERVICE, asked.view.refund_id)
    assert (refund.policy_rule, refund.requested_by) == ("trainees", "tim")


async def test_refusals_of_the_policy() -> None:
    house = a_house(above_limits=Beyond.REFUSE, max_age=timedelta(days=30))
    payment = await house.paid(1000)
    with pytest.raises(RefundLimitExceeded, match="PER_REFUND"):
        await house.refund(payment, 501)
    house.clock.advance(days=31)
    with pytest.raises(PaymentTooOld, match="staff"):
        await house.refund(payment, 1)
    refused = [record.entry.after["refused"] for record in house.world.payments.audit]
    assert refused == ["refund_limit_exceeded", "payment_too_old"]
    nobody = House(World(refund_policy=RefundPolicy(rules=(ORDERS_RULE,), reasons=frozenset({"late"}))))
    payment = await nobody.paid(1000)
    with pytest.raises(RefundReasonUnknown):
        await nobody.refund(payment, 1)
    with pytest.raises(RefundNotPermitted):
        await nobody.refund(payment, 1, reason="late")
    assert not nobody.world.payments.rows["refund"]
    assert not nobody.gateway.refunds


async def test_a_simulation_says_what_would_happen_and_leaves_no_trace() -> None:
    house = a_house()
    payment = await house.paid(1000)
    await house.refund(payment, 300)
    rows = {name: dict(table) for name, table in house.world.payments.rows.items()}
    calls, entries = len(house.gateway.sent), len(house.world.payments.audit)

    async def simulate(amount: int, currency: str = "EUR") -> tuple[Ruling, str | None, tuple[Cause, ...]]:
        command = CreateRefund(
            request_id="",
            caller=SERVICE,
            payment_id=payment.payment_id,
            amount=amount,
            currency=currency,
            reason="x",
        )
        simulated = await house.simulate_refund(command)
        causes = simulated.decision.causes if simulated.decision else ()
        return simulated.ruling, simulated.refusal.code if simulated.refusal else None, causes

    assert await simulate(400) == (Ruling.ALLOWED, None, ())
    assert await simulate(401) == (Ruling.NEEDS_APPROVAL, None, (Cause.PER_ORDER,))
    assert await simulate(501) == (
        Ruling.NEEDS_APPROVAL,
        None,
        (Cause.PER_REFUND, Cause.PER_DAY, Cause.PER_ORDER),
    )
    assert await simulate(701) == (Ruling.REFUSED, "refund_exceeds_captured", ())
    assert await simulate(1, "USD") == (Ruling.REFUSED, "currency_differs", ())
    assert {name: dict(table) for name, table in house.world.payments.rows.items()} == rows
    assert (len(house.gateway.sent), len(house.world.payments.audit)) == (calls, entries)


async def test_a_cancellation_beside_a_waiting_refund_asks_for_the_rest_and_then_for_what_was_rejected() -> (
    None
):
    house = a_house()
    order = await house.order(1000)
    await house.confirm(order.order_id)
    await house.deliver()
    payment_id = house.saved_order(order.order_id).payments[0].payment_id
    waiting = await house.refund(house.payment(payment_id), 600, caller=replace(SERVICE, subject="ann"))
    await house.call_off(order.order_id, caller=SERVICE)
    assert house.payment(payment_id).amount_refunded == 400
    await house.reject(waiting)
    await house.deliver()
    await house.recover()
    last = house.saved_order(order.order_id).refunds[-1]
    assert (last.amount, last.status) == (600, R.PENDING_APPROVAL)
    await house.approve(await house.get_refund(SERVICE, last.refund_id))
    await house.recover()
    assert house.saved_order(order.order_id).status is OrderStatus.CANCELED
    with pytest.raises(NothingToRefund):
        await house.refund(house.payment(payment_id), None)  # type: ignore[arg-type]
