"""Webhooks in any order and any number end as they would in order: what the gateway did decides, not who tells first.

A journey at the gateway is drawn and its webhooks are recorded as it goes; then they are delivered to a
shop that knows nothing of it yet, once in order, and once shuffled and with repeats. By then the gateway
has moved on, which is what a fetch sees.

Equal are the payment, its refunds and disputes, the order, and for each of them its events in their order;
how the events of one and of another follow each other is the order of delivery. A refund that the bank sent
back may or may not have shown its success before: that only the first webhook could tell; and whether a
lost dispute was seen to be of money already given back depends on which of the two was told first.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import (
    CaptureMethod,
    GatewayEvent,
    GatewayRefundStatus,
    IntentStatus,
    RefundSnapshot,
)
from domain.payments.payment import Payment
from domain.shared.payment_events import PaymentEvent
from tests.support.house import House

AMOUNT = 1000

# What may happen at the gateway, each with the room that it leaves for what may follow.
UNPAID = ("challenge", "fail", "cancel", "pay")
HELD = ("capture 300", "capture rest", "void")
PAID = ("refund 200", "refund 200 pending", "settle", "return", "dispute", "review", "win", "lose")


@st.composite
def journeys(draw: st.DrawFn) -> tuple[CaptureMethod, tuple[str, ...]]:
    """A capture method and steps; a step that cannot be taken when its time comes is left out."""
    manual = draw(st.booleans())
    steps = [*draw(st.lists(st.sampled_from(UNPAID[:2]), max_size=3)), draw(st.sampled_from(UNPAID[2:]))]
    if manual:
        steps += draw(st.lists(st.sampled_from(HELD), max_size=3))
    steps += draw(st.lists(st.sampled_from(PAID), max_size=6))
    return CaptureMethod("MANUAL" if manual else "AUTOMATIC"), tuple(steps)


@dataclass
class Gateway:
    """Carries out steps at the gateway of a house and records the webhook of each."""

    house: House
    intent_id: str
    told: list[GatewayEvent]
    refunds: int = 0
    dispute_id: str | None = None

    def run(self, steps: Sequence[str]) -> None:
        for step in steps:
            self.house.clock.advance(seconds=1)
            self._step(step)

    def _step(self, step: str) -> None:
        fake, intent = self.house.gateway, self.house.gateway.intents[self.intent_id]
        if intent.status in (IntentStatus.REQUIRES_ACTION, IntentStatus.REQUIRES_PAYMENT_METHOD):
            if step == "pay":
                self._tell(fake.complete_action(self.intent_id))
            elif step == "cancel":
                self._tell(fake.put_intent(self.intent_id, status=IntentStatus.CANCELED, next_action=None,
                                           cancellation_reason="abandoned"))  # fmt: skip
            elif step == "fail" and intent.status is IntentStatus.REQUIRES_ACTION:
                self._tell(fake.fail_action(self.intent_id))
            elif step == "challenge" and intent.status is IntentStatus.REQUIRES_PAYMENT_METHOD:
                self._tell(
                    fake.put_intent(self.intent_id, status=IntentStatus.REQUIRES_ACTION, last_error=None)
                )
        elif intent.status is IntentStatus.REQUIRES_CAPTURE:
            if step.startswith("capture"):
                self._capture(step)
            elif step == "void" and not intent.amount_captured:
                self._tell(fake.put_intent(self.intent_id, status=IntentStatus.CANCELED, amount_capturable=0,
                                           cancellation_reason="abandoned"))  # fmt: skip
        if intent.amount_captured:
            self._after_capture(step, intent.amount_captured)

    def _capture(self, step: str) -> None:
        intent = self.house.gateway.intents[self.intent_id]
        rest = intent.amount_capturable - 300 if step == "capture 300" else 0
        status = IntentStatus.REQUIRES_CAPTURE if rest else IntentStatus.SUCCEEDED
        captured = intent.amount_captured + intent.amount_capturable - rest
        changes: dict[str, Any] = {"status": status, "amount_capturable": rest, "amount_captured": captured}
        self._tell(self.house.gateway.put_intent(self.intent_id, **changes))

    def _after_capture(self, step: str, captured: int) -> None:
        fake = self.house.gateway
        pending = [one for one in fake.refunds.values() if one.status is GatewayRefundStatus.PENDING]
        given = [one for one in fake.refunds.values() if one.status is GatewayRefundStatus.SUCCEEDED]
        if step.startswith("refund") and 200 * (len(pending) + len(given) + 1) <= captured:
            self._refund(GatewayRefundStatus.PENDING if "pending" in step else GatewayRefundStatus.SUCCEEDED)
        elif step == "settle" and pending:
            self._tell(fake.settle_refund(pending[0].gateway_refund_id, GatewayRefundStatus.SUCCEEDED))
        elif step == "return" and (given or pending):
            returned = (given or pending)[0].gateway_refund_id
            self._tell(fake.settle_refund(returned, GatewayRefundStatus.FAILED, "expired_or_canceled_card"))
        elif step == "dispute" and self.dispute_id is None:
            opened = fake.open_dispute(self.intent_id)
            self.dispute_id = opened.gateway_dispute_id
            self._tell(opened)
        elif self.dispute_id is not None and not fake.disputes[self.dispute_id].status.closed:
            moves = {
                "review": DisputeStatus.UNDER_REVIEW,
                "win": DisputeStatus.WON,
                "lose": DisputeStatus.LOST,
            }
            if step in moves:
                self._tell(fake.move_dispute(self.dispute_id, moves[step]))

    def _refund(self, status: GatewayRefundStatus) -> None:
        self.refunds += 1
        refund = RefundSnapshot(
            gateway_refund_id=f"re_{self.refunds}",
            intent_id=self.intent_id,
            charge_id=self.house.gateway.intents[self.intent_id].charge_id,
            status=status,
            amount=200,
            currency="EUR",
            failure_reason=None,
            refund_id=None,
            reason="requested_by_customer",
        )
        self.house.gateway.refunds[refund.gateway_refund_id] = refund
        self._tell(refund)

    def _tell(self, snapshot: Any) -> None:
        self.told.append(self.house.gateway.webhook("any", snapshot))


async def a_shop(
    capture_method: CaptureMethod, steps: Sequence[str]
) -> tuple[House, Payment, list[GatewayEvent]]:
    """A payment that waits for its customer, and the webhooks of what has happened at the gateway since."""
    house = House()
    order = await house.order(AMOUNT)
    payment = await house.pay(order, "pm_card_authenticationRequired", capture_method=capture_method)
    gateway = Gateway(house, payment.intent_id or "", [])
    gateway.run(steps)
    return house, payment, gateway.told


async def ending(house: House, payment: Payment, webhooks: Sequence[GatewayEvent]) -> dict[str, Any]:
    """Deliver, and say how everything stands; ids and times that depend on the delivery left out."""
    for webhook in webhooks:
        await house.webhook(webhook)
    await house.deliver()
    rows = house.world.payments.rows
    if house.payment(payment.payment_id).attention == "REFUNDED_AND_DISPUTE_LOST":
        house.payment(payment.payment_id).attention = "DISPUTE_LOST"
    saved, order = house.payment(payment.payment_id), house.saved_order(payment.order_id)
    log = house.log()
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))
    refunds = {row.refund_id: row.gateway_refund_id for row in rows["refund"].values()}
    return {
        "payment": replace(saved, updated_at=payment.updated_at, sequence=0, version=0),
        "refunds": {row.gateway_refund_id: (row.status, row.amount) for row in rows["refund"].values()},
        "disputes": {key: row.status for key, row in rows["dispute"].items()},
        "order": (order.status, order.amount_paid, order.amount_refunded),
        "events": events_of_each(log, refunds),
    }


def events_of_each(log: Sequence[PaymentEvent], refunds: dict[str, str]) -> dict[str, list[Any]]:
    told: defaultdict[str, list[Any]] = defaultdict(list)
    for event in log:
        refund_id = getattr(event, "refund_id", None)
        about = refunds[refund_id] if refund_id else "dispute" if "Dispute" in event.type else "intent"
        told[about].append((event.type, event.amount, getattr(event, "reason", None)))
    for about, events in told.items():
        if events[-1][0] == "RefundFailed":
            told[about] = events[-1:]
    return dict(told)


@given(journey=journeys(), data=st.data())
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_order_and_any_number_of_webhooks_end_the_same(
    journey: tuple[CaptureMethod, tuple[str, ...]], data: st.DataObject
) -> None:
    async def both() -> None:
        house, payment, webhooks = await a_shop(*journey)
        expected = await ending(house, payment, webhooks)
        house, payment, webhooks = await a_shop(*journey)
        repeats = data.draw(st.lists(st.sampled_from(webhooks), max_size=4)) if webhooks else []
        shuffled = data.draw(st.permutations([*webhooks, *repeats]))
        assert await ending(house, payment, shuffled) == expected

    asyncio.run(both())
