"""The timeline of an order: everything there is to tell, causes before consequences, and who may see what."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.orders.errors import OrderNotFound
from domain.orders.progress import DeliveryProgress, EffectProgress, EventProgress
from domain.orders.timeline import build, in_causal_order
from domain.shared.callers import Caller
from domain.shared.timeline import TimelineEntry, TimelineKind
from tests.contract.repositories.test_orders_contract import an_attempt
from tests.support.house import CUSTOMER, SERVICE, START, STRANGER, House

OPERATOR = Caller(subject="ops", scopes=frozenset({"orders:read", "operations:read", "users:any"}))
K = TimelineKind


async def told(house: House, order_id: str, caller: Caller = OPERATOR) -> Sequence[TimelineEntry]:
    return (await house.explain_order(caller, order_id)).timeline


def kinds(entries: Sequence[TimelineEntry]) -> list[str]:
    return [f"{entry.kind} {entry.details.get('name', '')}".strip() for entry in entries]


async def test_a_paid_order_is_told_from_its_request_to_what_it_asks_for() -> None:
    house = House()
    order = await house.order(4980)
    await house.confirm(order.order_id)
    await house.deliver()
    entries = await told(house, order.order_id)
    assert kinds(entries) == [
        "REQUEST create",
        "REQUEST confirm",
        "OPERATION",
        "OPERATION",
        "ATTEMPT payment",
        "EVENT PaymentSucceeded",
        "LEDGER",
        "EFFECT NotifyWarehouse",
        "EFFECT NotifyCustomer",
    ]
    confirm, create, event = entries[1], entries[2], entries[5]
    assert create.title == "Asked fake to make the payment of 49.80 EUR: done."
    assert create.ids["requestId"] == confirm.ids["requestId"]
    assert create.ids["gatewayPaymentIntentId"] == event.ids["gatewayPaymentIntentId"]
    assert (create.details["requestedBy"], confirm.details["subject"]) == ("orders", "u_1")
    assert event.title == "PaymentSucceeded: PENDING_PAYMENT → PAID."
    assert event.reason == "the money is taken"
    assert event.details["sequence"] == 1
    assert {"occurredAt", "committedAt", "appliedAt"} <= event.details.keys()
    assert entries[6].title == "The ledger posted CAPTURE: gateway_clearing 49.80 EUR, revenue -49.80 EUR."
    assert entries[7].title == "The warehouse is to be told: on its way (PaymentSucceeded)."


async def test_an_event_that_was_not_applied_yet_is_told_as_that() -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id)
    (event,) = (one for one in await told(house, order.order_id) if one.kind is K.EVENT)
    assert event.title == "PaymentSucceeded was committed, and the order has not followed it yet."
    assert event.position is None


@pytest.mark.parametrize(
    ("held", "title"),
    [
        ({"parked_at": START}, "PaymentSucceeded is parked: an operator must retry or skip it."),
        ({"due_at": START}, "PaymentSucceeded failed, and is tried again."),
        ({}, "PaymentSucceeded waits for the events before it."),
    ],
)
async def test_why_an_event_was_not_applied(held: dict[str, Any], title: str) -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id)
    story = await house.read_story(order.order_id)
    (event_id,) = (one.ids["eventId"] for one in story if one.kind is K.EVENT)
    fields: dict[str, Any] = {"attempts": 3, "due_at": None, "parked_at": None, "cause": "no room", **held}
    waiting = EventProgress(event_id=UUID(event_id), **fields)
    entries = build([], story=story, effects=[], waiting=[waiting])
    (event,) = (one for one in entries if one.kind is K.EVENT)
    assert (event.title, event.reason, event.details["attempts"]) == (title, "no room", 3)


@pytest.mark.parametrize(
    ("progress", "title", "reason"),
    [
        ({"done_at": START}, "The customer was told (PaymentFailed).", None),
        (
            {"parked_at": START, "cause": "mailbox unknown"},
            "The customer is to be told: parked, an operator must retry or skip it (PaymentFailed).",
            "mailbox unknown",
        ),
        (
            {"due_at": START, "cause": "timeout"},
            "The customer is to be told: it failed, and is tried again (PaymentFailed).",
            "timeout",
        ),
        (
            {"skip_reason": "told by phone", "done_at": START},
            "The customer is to be told: an operator skipped it (PaymentFailed).",
            "told by phone",
        ),
    ],
)
def test_how_far_an_effect_is(progress: dict[str, Any], title: str, reason: str | None) -> None:
    effect = EffectProgress(
        effect_id=UUID(int=1),
        type="NotifyCustomer",
        about="PaymentFailed",
        caused_by=None,
        consumer="customer",
        asked_at=START,
        **progress,
    )
    (entry,) = build([], story=[], effects=[effect], waiting=[])
    assert (entry.title, entry.reason) == (title, reason)


def test_an_attempt_without_an_answer_is_told() -> None:
    (entry,) = build([], story=[], effects=[], waiting=[], attempts=[an_attempt()])
    assert entry.title == (
        "The payment side was asked for a payment: it has not answered yet, and is asked again."
    )
    assert entry.ids["requestId"] == "att_1"


@pytest.mark.parametrize(
    ("changes", "title", "reason"),
    [
        ({"status": "DELIVERED", "http_status": 204}, "reached an endpoint outside.", "HTTP 204"),
        ({"error": "timeout"}, "was not taken by an endpoint outside, and is sent again.", "timeout"),
        ({"tries": 0}, "is on its way to an endpoint outside.", None),
        ({"status": "FAILED"}, "could not be delivered: an operator may replay it.", None),
    ],
)
def test_how_far_a_webhook_of_ours_is(changes: dict[str, Any], title: str, reason: str | None) -> None:
    fields: dict[str, Any] = {
        "delivery_id": "dlv_1",
        "endpoint_id": "end_1",
        "event_id": "e_1",
        "event_type": "PaymentSucceeded",
        "status": "PENDING",
        "tries": 1,
        "created_at": START,
        "due_at": None,
        "finished_at": None,
        **changes,
    }
    (entry,) = build([], story=[], effects=[], waiting=[], deliveries=[DeliveryProgress(**fields)])
    assert (entry.title, entry.reason) == (f"The webhook PaymentSucceeded {title}", reason)


def test_causes_come_first_whatever_the_clocks_say() -> None:
    def entry(seconds: float, name: str) -> TimelineEntry:
        return TimelineEntry(at=START + timedelta(seconds=seconds), kind=K.EVENT, title=name)

    entries = [entry(5, "a"), entry(1, "b"), entry(3, "c"), entry(0, "d")]
    assert [e.title for e in in_causal_order(entries, [])] == ["d", "b", "c", "a"]
    assert [e.title for e in in_causal_order(entries, [[0, 1], [2, 3]])] == ["c", "d", "a", "b"]
    # Clocks that contradict what is known end no timeline.
    assert sorted(e.title for e in in_causal_order(entries, [[0, 1], [1, 0]])) == ["a", "b", "c", "d"]


async def test_a_payment_side_that_is_ahead_of_our_clock_changes_no_order() -> None:
    house = House()
    order = await house.order()
    await house.confirm(order.order_id)
    await house.deliver()
    before = [entry.title for entry in await told(house, order.order_id)]
    house.world.orders.history[:] = [
        replace(recorded, at=recorded.at - timedelta(hours=1)) for recorded in house.world.orders.history
    ]
    assert [entry.title for entry in await told(house, order.order_id)] == before


async def test_customers_see_what_happened_and_nothing_of_the_inside() -> None:
    house = House()
    order = await house.order(caller=SERVICE, user_id="u_1")
    payment_id = (await house.confirm(order.order_id)).payment.payment_id
    await house.deliver()
    house.clock.advance(seconds=1)
    await house.refund(house.payment(payment_id), 300)
    await house.deliver()
    shown = await told(house, order.order_id, CUSTOMER)
    assert kinds(shown) == [
        "REQUEST create",
        "REQUEST confirm",
        "EVENT PaymentSucceeded",
        "REFUND",
        "EVENT RefundProcessed",
    ]
    create, confirm, paid, refund, _ = shown
    assert create.details == {"name": "create", "before": "DRAFT", "after": "DRAFT"}
    assert confirm.details["subject"] == "u_1"
    assert paid.details == {
        "name": "PaymentSucceeded",
        "before": "PENDING_PAYMENT",
        "after": "PAID",
        "amount": 1000,
    }
    assert paid.ids.keys() == {"eventId", "paymentId"}
    assert refund.title == "A refund of 3.00 EUR was given back."
    assert "requestedBy" not in refund.details
    with pytest.raises(OrderNotFound):
        await told(house, order.order_id, STRANGER)
