"""A copy rebuilt from its events agrees with the order, unless the order has gone its own way."""

from datetime import timedelta
from typing import Any

import pytest

from domain.orders.cancellation import Cancellation
from domain.orders.cart import OrderLine
from domain.orders.following import follow
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.use_cases.replay_order import Difference, differences, replay_order
from domain.shared.payment_events import (
    DisputeOpened,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
)
from tests.support.events import an_event
from tests.support.house import START

LATER = START + timedelta(hours=1)


def confirmed(**changes: Any) -> Order:
    order = Order(
        order_id="ord_1",
        user_id="u_1",
        currency="EUR",
        lines=(OrderLine(sku="TEA", name="Tea", quantity=1, unit_amount=1000),),
        created_at=START,
        updated_at=START,
        **changes,
    )
    order.confirm(START)
    return order


def numbered(*kinds: tuple[type[PaymentEvent], dict[str, Any]]) -> list[PaymentEvent]:
    return [an_event(kind, number, **changes) for number, (kind, changes) in enumerate(kinds, start=1)]


REFUNDED = {"amount": 400, "amount_captured": 1000, "amount_refunded": 400}
HISTORIES: dict[str, list[PaymentEvent]] = {
    "paid": numbered((PaymentSucceeded, {})),
    "failed": numbered((PaymentFailed, {})),
    "failed, then paid": numbered((PaymentFailed, {}), (PaymentSucceeded, {})),
    "captured": numbered((PaymentAuthorized, {}), (PaymentCaptured, {})),
    "refunded": numbered((PaymentSucceeded, {}), (RefundProcessed, REFUNDED)),
    "a refund taken back": numbered(
        (PaymentSucceeded, {}),
        (RefundProcessed, REFUNDED),
        (RefundFailed, {**REFUNDED, "amount_refunded": 0}),
    ),
    "disputed": numbered((PaymentSucceeded, {}), (DisputeOpened, {"amount_captured": 1000})),
    "another payment": [
        *numbered((PaymentCanceled, {})),
        an_event(PaymentSucceeded, 1, payment_id="pay_2"),
    ],
}


@pytest.mark.parametrize("accepted_after", [None, 1, 2, 3])
@pytest.mark.parametrize("events", HISTORIES.values(), ids=HISTORIES.keys())
def test_the_copy_of_an_order_that_followed_its_events_agrees(
    events: list[PaymentEvent], accepted_after: int | None
) -> None:
    order = confirmed()
    for number, event in enumerate(events, start=1):
        follow(order, event)
        if number == accepted_after and order.status is OrderStatus.PAID:
            order.accept_fulfilment(LATER)

    assert list(differences(order, replay_order(order, events))) == []


def test_the_order_itself_is_left_alone() -> None:
    order = confirmed()
    follow(order, an_event(PaymentSucceeded))
    effects = len(order.take_effects())
    before = repr(order)
    replay_order(order, [an_event(PaymentSucceeded)])
    assert repr(order) == before
    assert effects == 2
    assert order.take_effects() == []


def test_what_went_its_own_way_is_told() -> None:
    order = confirmed()
    events = numbered((PaymentSucceeded, {}), (RefundProcessed, REFUNDED))
    follow(order, events[0])  # and the refund was skipped

    assert list(differences(order, replay_order(order, events))) == [
        Difference("status", OrderStatus.PAID, OrderStatus.PARTIALLY_REFUNDED),
        Difference("amount_refunded", 0, 400),
        Difference("payments.pay_1.amount_refunded", 0, 400),
    ]


def test_a_payment_that_the_order_lacks_is_told() -> None:
    order = confirmed()
    found = list(differences(order, replay_order(order, [an_event(PaymentFailed)])))
    assert Difference("payments.pay_1", None, "REQUIRES_PAYMENT_METHOD") in found


def test_a_payment_without_an_event_so_far_is_no_difference() -> None:
    order = confirmed()
    order.link_payment("pay_1", "pi_1", "PROCESSING", START)
    assert list(differences(order, replay_order(order, []))) == []


def test_another_attempt_under_way_is_no_difference() -> None:
    order = confirmed()
    follow(order, an_event(PaymentFailed))
    order.attempt_again(LATER)
    assert list(differences(order, replay_order(order, [an_event(PaymentFailed)]))) == []


def test_a_fulfilled_order_agrees() -> None:
    order = confirmed()
    follow(order, an_event(PaymentSucceeded))
    order.accept_fulfilment(START)
    order.status, order.fulfilled_at = OrderStatus.FULFILLED, LATER
    assert list(differences(order, replay_order(order, [an_event(PaymentSucceeded)]))) == []


@pytest.mark.parametrize(
    "events",
    [
        [],
        numbered((PaymentAuthorized, {}), (PaymentCanceled, {})),
        numbered((PaymentFailed, {}), (PaymentCanceled, {})),
        numbered(
            (PaymentSucceeded, {}),
            (RefundProcessed, {**REFUNDED, "amount": 1000, "amount_refunded": 1000}),
            (RefundFailed, {**REFUNDED, "amount": 1000, "amount_refunded": 0}),
        ),
    ],
)
def test_a_canceled_order_agrees(events: list[PaymentEvent]) -> None:
    order = confirmed()
    for event in events[:1]:
        follow(order, event)
    off = Cancellation(requested_at=START, reason=None, requested_by="u_1")
    order.call_off(off, key="off", check_at=START, busy=False)
    for event in events[1:]:
        follow(order, event)
    assert order.status is OrderStatus.CANCELED
    assert list(differences(order, replay_order(order, events))) == []


def test_an_attention_that_was_lost_is_found_and_their_order_is_no_difference() -> None:
    order = confirmed()
    events = numbered((PaymentSucceeded, {}), (RefundFailed, {}), (DisputeOpened, {}))
    for event in events:
        follow(order, event)
    order.attentions = ("REFUND_FAILED", "DISPUTED")
    assert list(differences(order, replay_order(order, events))) == []
    order.attentions = ("DISPUTED",)
    assert list(differences(order, replay_order(order, events))) == [
        Difference("attentions", ("DISPUTED",), ("DISPUTED", "REFUND_FAILED"))
    ]
