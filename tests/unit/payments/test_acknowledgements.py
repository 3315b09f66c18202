"""A person ends an attention: what it told of may stand, what is new shows again, and nothing is hidden."""

from typing import Any
from uuid import uuid4

import pytest

from domain.payments.dispute_status import DisputeStatus as D
from domain.payments.errors import PaymentNotFound
from domain.payments.gateway import IntentStatus
from domain.payments.payment import Occasion
from domain.payments.use_cases.acknowledge_attention import AcknowledgeAttentionHandler
from domain.payments.webhook import WebhookOutcome
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.errors import AttentionNotOpen
from domain.shared.timeline import TimelineKind
from tests.contract.repositories.rows import LATER, a_payment, a_snapshot, an_operation
from tests.support.house import STRANGER, House
from tests.unit.payments.test_disputes import disputed, tell
from tests.unit.payments.test_refunds import from_the_dashboard

OPERATOR = Caller("ada", frozenset({"operations:read", "operations:write", "users:any"}))


async def acknowledge(
    house: House, payment_id: str, attention: str, *, request_id: str = "r_ack", caller: Caller = OPERATOR
) -> str | None:
    handler = AcknowledgeAttentionHandler(house.payments_uow, house.clock)
    return (await handler(request_id, caller, payment_id, attention, "paid back by wire")).attention


def entries(house: House) -> list[AuditEntry]:
    return [record.entry for record in house.world.payments.audit]


async def over_refunded(house: House) -> str:
    payment = await house.paid(1000)
    await house.refund(payment, 800)
    snapshot = from_the_dashboard(payment, "re_1", 300)
    await house.webhook(house.gateway.webhook("refund.created", snapshot))
    assert house.payment(payment.payment_id).attention == "REFUND_EXCEEDS_CAPTURED"
    return payment.payment_id


async def test_totals_that_break_a_limit_may_stand_once_they_are_acknowledged() -> None:
    house = House()
    payment_id = await over_refunded(house)
    assert await acknowledge(house, payment_id, "REFUND_EXCEEDS_CAPTURED") is None

    # The next updates are facts: they are kept, and raise what is new in them.
    payment = house.payment(payment_id)
    dispute = house.gateway.open_dispute(payment.intent_id or "")
    await tell(house, dispute, "charge.dispute.created")
    assert house.payment(payment_id).attention == "DISPUTED"
    await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, D.WON))
    assert house.payment(payment_id).attention is None
    more = from_the_dashboard(payment, "re_2", 50)
    await house.webhook(house.gateway.webhook("refund.created", more))
    saved = house.payment(payment_id)
    assert (saved.amount_refunded, saved.attention) == (1150, "REFUND_EXCEEDS_CAPTURED")


def test_what_is_told_again_is_no_news() -> None:
    payment, occasion = a_payment(), Occasion(LATER, uuid4)

    def told(**changes: Any) -> str | None:
        held = {"status": IntentStatus.REQUIRES_CAPTURE, "amount_captured": 0}
        payment.record_intent(a_snapshot(**{**held, **changes}), occasion)
        return payment.attention

    for attention, first, worse in (
        ("CAPTURE_EXCEEDS_AUTHORIZED", {"amount_capturable": 1200}, {"amount_capturable": 1300}),
        ("AMOUNT_MISMATCH", {"amount": 900}, None),
    ):
        assert told(**first) == attention
        payment.acknowledge(attention, [], LATER)
        assert told(**first) is None
        if worse is not None:
            assert told(**worse) == attention
            payment.acknowledge(attention, [], LATER)


def test_an_outcome_that_stays_unknown_is_told_once_for_each_operation() -> None:
    payment = a_payment()
    payment.note_undecided()
    payment.acknowledge("OPERATION_UNKNOWN", [], LATER)
    payment.note_undecided()
    assert payment.attention is None
    payment.end(an_operation())
    payment.note_undecided()
    assert payment.attention == "OPERATION_UNKNOWN"


async def test_what_stood_behind_it_shows_again() -> None:
    house = House()
    payment, dispute = await disputed(house)
    house.world.payments.rows["payment"][payment.payment_id].attention = "AMOUNT_MISMATCH"
    assert await acknowledge(house, payment.payment_id, "AMOUNT_MISMATCH") == "DISPUTED"
    assert await acknowledge(house, payment.payment_id, "DISPUTED", request_id="r_2") is None
    outcome = await tell(house, house.gateway.move_dispute(dispute.gateway_dispute_id, D.LOST))
    assert outcome is WebhookOutcome.APPLIED
    assert house.payment(payment.payment_id).attention == "DISPUTE_LOST"
    assert await acknowledge(house, payment.payment_id, "DISPUTE_LOST", request_id="r_3") is None
    assert [entry.after["attention"] for entry in entries(house)] == ["DISPUTED", None, None]


async def test_only_what_is_open_is_acknowledged_and_a_lost_answer_is_given_again() -> None:
    house = House()
    payment, _ = await disputed(house)
    with pytest.raises(AttentionNotOpen):
        await acknowledge(house, payment.payment_id, "DISPUTE_LOST")
    with pytest.raises(PaymentNotFound):
        await acknowledge(house, payment.payment_id, "DISPUTED", caller=STRANGER)
    for _ in range(2):
        assert await acknowledge(house, payment.payment_id, "DISPUTED") is None
    with pytest.raises(AttentionNotOpen):
        await acknowledge(house, payment.payment_id, "DISPUTED", request_id="r_2")
    (entry,) = entries(house)
    assert (entry.action, entry.object_id, entry.subject, entry.reason) == (
        *("payment.acknowledge", payment.payment_id),
        *("ada", "paid back by wire"),
    )
    assert entry.before == {"attention": "DISPUTED"}


async def test_explain_tells_operators_of_it() -> None:
    house = House()
    payment, _ = await disputed(house)
    await acknowledge(house, payment.payment_id, "DISPUTED")
    told = await house.explain_order(OPERATOR, payment.order_id)
    (deed,) = (entry for entry in told.timeline if entry.kind is TimelineKind.AUDIT)
    assert (deed.title, deed.reason) == ("ada did payment.acknowledge.", "paid back by wire")
