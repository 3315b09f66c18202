"""Each way in which payments and gateway part is found, repaired where the policy says so, and found once."""

from dataclasses import replace
from typing import Any

import pytest

from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    CaptureMethod,
    GatewayRefundStatus,
    GatewayRefused,
    IntentStatus,
)
from domain.payments.use_cases.retry_refund import RetryRefund
from domain.reconciliation.finding import Action, FindingStatus, FindingType
from domain.reconciliation.use_cases.examine_objects import MOST_TRIES, Examined, Ref
from domain.shared.gateway_objects import GatewayObject, ObjectKind
from tests.support.fake_gateway import Outcome
from tests.support.house import SERVICE
from tests.unit.reconciliation.desk import GRACE, Desk

T, S = FindingType, FindingStatus


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.round()
    return desk


async def waiting_for_the_customer(desk: Desk) -> str:
    """A payment that the customer must authenticate; its intent."""
    payment = await desk.paid(token="pm_card_authenticationRequired")
    assert payment.intent_id is not None
    return payment.intent_id


async def test_nothing_is_found_where_the_books_agree(desk: Desk) -> None:
    for token in ("pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_authenticationRequired"):
        await desk.paid(token=token)
    held = await desk.paid(capture_method=CaptureMethod.MANUAL)
    assert held.status is IntentStatus.REQUIRES_CAPTURE
    paid = await desk.paid()
    await desk.house.refund(paid, 300)
    await desk.settle(4)
    assert await desk.findings() == []


async def test_a_webhook_that_never_came_is_made_up_for(desk: Desk) -> None:
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    await desk.settle(1)
    (finding,) = await desk.findings()
    assert (finding.type, finding.status) == (T.MISSING_WEBHOOK, S.REPAIRED)
    assert finding.action is Action.APPLY
    assert str(finding.found["gatewayEventId"]).startswith("evt_")
    (payment,) = desk.payments.values()
    assert (payment.status, payment.amount_captured) == (IntentStatus.SUCCEEDED, 1000)
    entries = [record.entry for record in desk.house.world.payments.audit]
    assert [(one.action, one.subject, one.object_id) for one in entries] == [
        ("payment.take_over", "reconciler", payment.payment_id)
    ]
    assert entries[0].reason == f"{finding.finding_id} MISSING_WEBHOOK of {payment.payment_id}"
    events = len(desk.house.world.payments.log)
    await desk.settle()
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.REPAIRED)]
    assert len(desk.house.world.payments.log) == events


async def test_what_may_be_on_its_way_is_not_found(desk: Desk) -> None:
    intent_id = await waiting_for_the_customer(desk)
    desk.clock.advance(seconds=100)
    desk.gateway.complete_action(intent_id)
    event = desk.gateway.lists.events[-1].event
    desk.clock.advance(seconds=GRACE.total_seconds() - 1)
    await desk.round()
    await desk.round()
    assert await desk.findings() == []
    await desk.house.webhook(event)
    await desk.settle()
    assert await desk.findings() == []


async def test_a_call_in_flight_explains_a_difference(desk: Desk) -> None:
    held = await desk.paid(capture_method=CaptureMethod.MANUAL)
    desk.gateway.script(Outcome.UNKNOWN_AFTER)
    await desk.house.capture(held)
    await desk.settle()
    assert await desk.findings() == []


async def test_success_is_found_by_looking_where_no_event_tells_of_it(desk: Desk) -> None:
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    desk.gateway.lists.events.clear()
    await desk.settle(2)
    assert await desk.told() == [(T.GATEWAY_SUCCEEDED, S.REPAIRED)]


async def test_a_cancellation_behind_our_back_is_taken_over(desk: Desk) -> None:
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.cancel_in_dashboard(intent_id)
    await desk.settle(1)
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.REPAIRED)]
    (payment,) = desk.payments.values()
    assert payment.status is IntentStatus.CANCELED


async def test_a_hold_that_is_gone_is_a_stale_authorization(desk: Desk) -> None:
    held = await desk.paid(capture_method=CaptureMethod.MANUAL)
    desk.gateway.lapse(held.intent_id or "")
    desk.gateway.lists.events.clear()
    await desk.settle(2)
    assert await desk.told() == [(T.STALE_AUTHORIZATION, S.REPAIRED)]
    assert desk.payment(held.payment_id).status is IntentStatus.CANCELED


async def test_a_capture_in_the_dashboard_is_taken_over(desk: Desk) -> None:
    held = await desk.paid(capture_method=CaptureMethod.MANUAL)
    desk.gateway.put_intent(
        held.intent_id or "", status=IntentStatus.SUCCEEDED, amount_captured=700, amount_capturable=0
    )
    await desk.settle(2)
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.REPAIRED)]
    assert desk.payment(held.payment_id).amount_captured == 700


async def test_a_refund_in_the_dashboard_is_taken_over(desk: Desk) -> None:
    paid = await desk.paid()
    desk.gateway.refund_in_dashboard(paid.intent_id or "", 400)
    await desk.settle(1)
    (finding,) = await desk.findings()
    assert (finding.type, finding.status) == (T.REFUND_AT_GATEWAY, S.REPAIRED)
    assert (finding.payment_id, finding.order_id) == (paid.payment_id, paid.order_id)
    assert desk.payment(paid.payment_id).amount_refunded == 400


async def test_a_refund_that_failed_later_is_taken_over(desk: Desk) -> None:
    paid = await desk.paid()
    await desk.house.refund(paid, 300)
    (refund_id,) = desk.gateway.refunds
    desk.gateway.settle_refund(refund_id, GatewayRefundStatus.FAILED, "expired_or_canceled_card")
    await desk.settle(1)
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.REPAIRED)]
    assert desk.payment(paid.payment_id).amount_refunded == 0


async def test_an_attempt_at_a_refund_that_another_one_followed_is_none(desk: Desk) -> None:
    paid = await desk.paid()
    refund = await desk.house.refund(paid, 300)
    (first_id,) = desk.gateway.refunds
    failed = desk.gateway.settle_refund(first_id, GatewayRefundStatus.FAILED, "expired_or_canceled_card")
    await desk.house.webhook(desk.gateway.webhook("refund.failed", failed))
    await desk.house.retry_refund(
        RetryRefund(request_id=desk.house.ids.request_id(), caller=SERVICE, refund_id=refund.refund_id)
    )
    assert len(desk.gateway.refunds) == 2
    await desk.settle(2)
    await desk.sweep_all()
    assert await desk.findings() == []


async def test_disputes_are_taken_over(desk: Desk) -> None:
    paid = await desk.paid()
    dispute = desk.gateway.open_dispute(paid.intent_id or "")
    await desk.settle(1)
    assert await desk.told() == [(T.UNKNOWN_DISPUTE, S.REPAIRED)]
    assert desk.payment(paid.payment_id).attention == "DISPUTED"
    desk.gateway.move_dispute(dispute.gateway_dispute_id, DisputeStatus.UNDER_REVIEW)
    await desk.settle(1)
    assert (await desk.told())[1:] == [(T.MISSING_WEBHOOK, S.REPAIRED)]


@pytest.mark.parametrize(
    ("altered", "found"),
    [
        ({"amount_captured": 900}, [T.PAYMENT_ALTERED, T.AMOUNT_DIFFERS]),
        ({"amount_refunded": 10}, [T.PAYMENT_ALTERED]),
        ({"status": IntentStatus.REQUIRES_ACTION}, [T.PAYMENT_ALTERED, T.GATEWAY_SUCCEEDED]),
        ({"sequence": 7}, [T.PAYMENT_ALTERED]),
        ({"amount": 1}, [T.AMOUNT_DIFFERS]),
        ({"currency": "USD"}, [T.CURRENCY_DIFFERS]),
    ],
)
async def test_a_row_altered_by_hand_is_flagged_and_left_as_it_is(
    desk: Desk, altered: dict[str, Any], found: list[FindingType]
) -> None:
    paid = await desk.paid()
    rows = desk.house.world.payments.rows["payment"]
    rows[paid.payment_id] = replace(rows[paid.payment_id], **altered)
    before = replace(rows[paid.payment_id])
    await desk.settle(4)
    assert await desk.told() == [(one, S.OPEN) for one in found]
    assert all(one.action is Action.FLAG for one in await desk.findings())
    assert rows[paid.payment_id] == before


async def test_success_of_ours_that_the_gateway_does_not_have_is_flagged(desk: Desk) -> None:
    await waiting_for_the_customer(desk)
    (payment,) = desk.payments.values()
    rows = desk.house.world.payments.rows["payment"]
    rows[payment.payment_id] = replace(payment, status=IntentStatus.SUCCEEDED)
    await desk.sweep_all()
    (finding,) = await desk.findings()
    assert (finding.type, finding.status, finding.action) == (T.GATEWAY_DID_NOT_SUCCEED, S.OPEN, Action.FLAG)
    assert (finding.expected["status"], finding.found["status"]) == ("SUCCEEDED", "REQUIRES_ACTION")


async def test_a_payment_that_the_gateway_does_not_have_is_flagged(desk: Desk) -> None:
    paid = await desk.paid()
    rows = desk.house.world.payments.rows["payment"]
    rows[paid.payment_id] = replace(rows[paid.payment_id], intent_id="pi_gone")
    await desk.sweep_all()
    told = {(one.type, one.object_id, one.status) for one in await desk.findings()}
    assert told == {
        (T.GATEWAY_DID_NOT_SUCCEED, paid.payment_id, S.OPEN),
        (T.UNKNOWN_PAYMENT, paid.intent_id, S.OPEN),
    }


async def test_a_call_of_unknown_outcome_is_found_when_it_stays_so(desk: Desk) -> None:
    desk.gateway.script(Outcome.UNKNOWN_BEFORE)
    order = await desk.house.order()
    await desk.house.confirm(order.order_id)
    desk.clock.advance(minutes=19)
    await desk.round()
    assert await desk.findings() == []
    desk.clock.advance(minutes=2)
    await desk.round()
    assert await desk.told() == [(T.STUCK_OPERATION, S.OPEN)]
    await desk.house.recover()
    await desk.round()
    assert await desk.told() == [(T.STUCK_OPERATION, S.RESOLVED)]


async def test_flagging_leaves_it_to_a_person_and_it_may_go_by_itself() -> None:
    desk = Desk({T.MISSING_WEBHOOK: Action.FLAG})
    await desk.round()
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    await desk.settle()
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.OPEN)]
    (payment,) = desk.payments.values()
    assert payment.status is IntentStatus.REQUIRES_ACTION
    await desk.house.webhook(desk.gateway.lists.events[-1].event)
    await desk.settle(1)
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.RESOLVED)]


async def test_money_that_came_unasked_is_refunded_where_the_policy_says_so() -> None:
    desk = Desk({T.GATEWAY_SUCCEEDED: Action.REFUND})
    await desk.round()
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    desk.gateway.lists.events.clear()
    await desk.settle()
    assert await desk.told() == [(T.GATEWAY_SUCCEEDED, S.REPAIRED)]
    (payment,) = desk.payments.values()
    assert (payment.amount_captured, payment.amount_refunded) == (1000, 1000)
    assert [refund.amount for refund in desk.gateway.refunds.values()] == [1000]


async def test_money_that_could_not_be_given_back_stays_open_though_the_books_agree() -> None:
    desk = Desk({T.GATEWAY_SUCCEEDED: Action.REFUND})
    await desk.round()
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    desk.gateway.lists.events.clear()
    desk.gateway.script(GatewayRefused("charge_disputed", "It has been charged back."))
    await desk.settle(9)
    (finding,) = await desk.findings()
    assert (finding.type, finding.status) == (T.GATEWAY_SUCCEEDED, S.OPEN)
    assert finding.tries == MOST_TRIES
    assert "charge_disputed" in (finding.note or "")
    assert len([request for request, _ in desk.gateway.sent if request.path == "refund"]) == 1


async def test_what_changes_while_it_is_looked_at_is_looked_at_another_time(desk: Desk) -> None:
    intent_id = await waiting_for_the_customer(desk)
    get = desk.book.get

    async def get_and_hear_of_more(kind: ObjectKind, gateway: str, object_id: str) -> GatewayObject | None:
        before = await get(kind, gateway, object_id)
        desk.gateway.complete_action(object_id)
        await desk.house.webhook(desk.gateway.lists.events[-1].event)
        return before

    desk.book.get = get_and_hear_of_more  # type: ignore[method-assign]
    done, ref = Examined(), Ref(ObjectKind.INTENT, "fake", intent_id)
    await desk.examine([ref], {}, apply=True, done=done)
    assert (done.unsettled, done.differences) == ([ref], [])
    assert await desk.findings() == []


async def test_a_lost_place_is_found_again_by_a_sweep(desk: Desk) -> None:
    await desk.paid()
    await desk.settle(1)
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    desk.gateway.lists.events.clear()
    paid = await desk.paid()
    desk.gateway.refund_in_dashboard(paid.intent_id or "", 100)
    desk.gateway.lists.events.clear()
    await desk.settle(3)
    assert sorted(await desk.told()) == [
        (T.GATEWAY_SUCCEEDED, S.REPAIRED),
        (T.REFUND_AT_GATEWAY, S.REPAIRED),
    ]


async def test_the_gateway_away_ends_a_round_and_loses_nothing(desk: Desk) -> None:
    intent_id = await waiting_for_the_customer(desk)
    desk.gateway.complete_action(intent_id)
    desk.clock.advance(minutes=2)
    desk.gateway.down = True
    with pytest.raises(Exception, match="connection refused"):
        await desk.round()
    desk.gateway.down = False
    await desk.settle(1)
    assert await desk.told() == [(T.MISSING_WEBHOOK, S.REPAIRED)]
