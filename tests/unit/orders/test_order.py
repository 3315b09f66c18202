"""The order follows the events of its payments, and nothing else moves its status."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.orders.cart import OrderLine
from domain.orders.effects import Effect, EffectType
from domain.orders.errors import DiscountExceedsLine, OrderStateForbids, TotalOutOfRange
from domain.orders.following import follow
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.status import PAYABLE, OrderStatus
from domain.shared.money import MAX_AMOUNT
from domain.shared.payment_events import (
    EVENT_TYPES,
    CardMethod,
    DisputeClosed,
    DisputeOpened,
    LastError,
    NextAction,
    NextActionType,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
    RefundRejected,
)
from tests.support.events import an_event
from tests.support.house import START

S = OrderStatus
MONEY_TAKEN = [S.PAID, S.PROCESSING_FULFILLMENT, S.FULFILLED, S.PARTIALLY_REFUNDED, S.REFUNDED]
WAITING = [S.DRAFT, S.PENDING_PAYMENT, S.AWAITING_USER_PAYMENT_ACTION, S.PAYMENT_FAILED]

EXPECTED: dict[type[PaymentEvent], dict[OrderStatus, OrderStatus]] = {
    PaymentRequiresAction: dict.fromkeys(WAITING, S.AWAITING_USER_PAYMENT_ACTION),
    PaymentAuthorized: dict.fromkeys(WAITING, S.AUTHORIZED),
    PaymentSucceeded: dict.fromkeys([*WAITING, S.AUTHORIZED], S.PAID),
    PaymentCaptured: dict.fromkeys([*WAITING, S.AUTHORIZED], S.PAID),
    PaymentFailed: dict.fromkeys(WAITING, S.PAYMENT_FAILED),
    PaymentCanceled: dict.fromkeys([*WAITING, S.AUTHORIZED], S.PAYMENT_FAILED),
    RefundProcessed: dict.fromkeys(MONEY_TAKEN, S.REFUNDED),
    RefundFailed: dict.fromkeys(MONEY_TAKEN, S.PAID),
    RefundRejected: {},
    DisputeOpened: {},
    DisputeClosed: {},
}
"""Where the contract's table of events takes an order from each status; from the others, nowhere."""


def status_of(order: Order) -> OrderStatus:
    """Read anew: a type checker takes a status once compared for constant."""
    return order.status


def an_order(amount: int = 1000, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "ord_1",
        "user_id": "u_1",
        "currency": "EUR",
        "lines": (OrderLine(sku="OAK", name="Oak board", quantity=1, unit_amount=amount),),
        "created_at": START,
        "updated_at": START,
        "status": S.PENDING_PAYMENT,
        **changes,
    }
    return Order(**fields)


def paid_order(**changes: Any) -> Order:
    order = an_order(**changes)
    follow(order, an_event(PaymentSucceeded))
    order.take_effects()
    return order


def money_back(number: int, refunded: int, kind: type[PaymentEvent] = RefundProcessed) -> PaymentEvent:
    """A refund event after which `refunded` is the total."""
    return an_event(kind, number, amount=100, amount_captured=1000, amount_refunded=refunded)


def test_every_event_of_the_contract_is_expected_here() -> None:
    assert set(EXPECTED) == set(EVENT_TYPES.values())


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("kind", EXPECTED)
def test_where_an_event_takes_an_order(kind: type[PaymentEvent], status: OrderStatus) -> None:
    order = an_order(status=status)
    event = an_event(kind)
    if kind in (RefundProcessed, RefundFailed):
        event = money_back(1, 1000 if kind is RefundProcessed else 0, kind)
    follow(order, event)
    assert status_of(order) is EXPECTED[kind].get(status, status)


@pytest.mark.parametrize("status", S)
def test_a_capture_that_is_not_the_last_leaves_the_status(status: OrderStatus) -> None:
    order = an_order(status=status)
    follow(order, an_event(PaymentCaptured, final=False, amount=400, amount_captured=400))
    assert (order.status, order.amount_paid, order.attention) == (status, 400, None)


def test_only_the_statuses_of_the_contract_are_payable() -> None:
    assert {S.DRAFT, S.PENDING_PAYMENT, S.PAYMENT_FAILED} == PAYABLE
    assert {status for status in S if an_order(status=status).payable} == PAYABLE


@pytest.mark.parametrize("status", S)
def test_only_a_draft_is_confirmed_and_only_an_open_or_failed_payment_tried_again(
    status: OrderStatus,
) -> None:
    for ask, allowed in (
        (Order.confirm, {S.DRAFT}),
        (Order.attempt_again, {S.PAYMENT_FAILED, S.PENDING_PAYMENT}),
    ):
        order = an_order(status=status)
        if status in allowed:
            ask(order, START)
            assert status_of(order) is S.PENDING_PAYMENT
        else:
            with pytest.raises(OrderStateForbids):
                ask(order, START)
            assert status_of(order) is status


@pytest.mark.parametrize("status", S)
def test_a_refused_attempt_undoes_only_the_confirmation(status: OrderStatus) -> None:
    order = an_order(status=status)
    order.attempt_refused(START)
    assert status_of(order) is (S.DRAFT if status is S.PENDING_PAYMENT else status)
    again = an_order(status=S.PENDING_PAYMENT)
    again.link_payment("pay_1", "pi_1", "REQUIRES_PAYMENT_METHOD", START)
    again.attempt_refused(START)
    assert again.status is S.PAYMENT_FAILED


def test_a_payment_is_remembered_with_what_its_events_told() -> None:
    order = an_order()
    order.link_payment("pay_1", None, "REQUIRES_PAYMENT_METHOD", START)
    error = LastError("card_declined", "generic_decline", "Declined.")
    follow(order, an_event(PaymentFailed, 1, last_error=error))
    (payment,) = order.payments
    assert (payment.gateway_payment_intent_id, payment.status) == ("pi_1", "REQUIRES_PAYMENT_METHOD")
    assert (payment.last_error, payment.next_action) == (error, None)
    action = NextAction(NextActionType.REDIRECT, "https://bank.test")
    follow(order, an_event(PaymentRequiresAction, 2, next_action=action))
    assert (payment.status, payment.last_error, payment.next_action) == ("REQUIRES_ACTION", None, action)
    later = START + timedelta(seconds=5)
    follow(order, an_event(PaymentSucceeded, 3, method=CardMethod("visa", "4242"), occurred_at=later))
    follow(order, money_back(4, 100))
    assert order.payments == [
        OrderPayment(
            payment_id="pay_1",
            gateway_payment_intent_id="pi_1",
            status="SUCCEEDED",
            amount_captured=1000,
            amount_refunded=100,
            method=CardMethod("visa", "4242"),
            paid_at=later,
        )
    ]
    assert order.updated_at == later


def test_a_link_never_takes_back_what_an_event_told() -> None:
    order = an_order()
    follow(order, an_event(PaymentSucceeded))
    order.link_payment("pay_1", None, "REQUIRES_PAYMENT_METHOD", START)
    (payment,) = order.payments
    assert (payment.status, payment.gateway_payment_intent_id) == ("SUCCEEDED", "pi_1")
    assert status_of(order) is S.PAID


def test_refunds_go_back_and_forth() -> None:
    order = paid_order()
    steps = [
        (money_back(2, 400), S.PARTIALLY_REFUNDED),
        (money_back(3, 1000), S.REFUNDED),
        (money_back(4, 600, RefundFailed), S.PARTIALLY_REFUNDED),
        (money_back(5, 0, RefundFailed), S.PAID),
        (money_back(6, 1000), S.REFUNDED),
    ]
    flagged = [False, False, True, True, False]
    for (event, status), failed in zip(steps, flagged, strict=True):
        follow(order, event)
        assert (order.status, order.amount_refunded) == (status, event.amount_refunded)
        assert order.attention == ("REFUND_FAILED" if failed else None)


def test_a_refund_undone_goes_back_to_where_fulfilment_is() -> None:
    order = paid_order()
    order.accept_fulfilment(START)
    assert status_of(order) is S.PROCESSING_FULFILLMENT
    follow(order, money_back(2, 100))
    follow(order, money_back(3, 0, RefundFailed))
    assert status_of(order) is S.PROCESSING_FULFILLMENT
    order.fulfilled_at = START
    follow(order, money_back(4, 100))
    follow(order, money_back(5, 0, RefundFailed))
    assert status_of(order) is S.FULFILLED


def test_fulfilment_accepted_while_partially_refunded_shows_once_the_refund_is_undone() -> None:
    order = paid_order()
    follow(order, money_back(2, 100))
    order.accept_fulfilment(START)
    assert status_of(order) is S.PARTIALLY_REFUNDED
    follow(order, money_back(3, 0, RefundFailed))
    assert status_of(order) is S.PROCESSING_FULFILLMENT
    accepted = order.accepted_at
    order.accept_fulfilment(START + timedelta(days=1))
    assert order.accepted_at == accepted


def test_all_that_was_captured_given_back_is_refunded_though_less_than_ordered() -> None:
    order = an_order(status=S.AUTHORIZED)
    follow(order, an_event(PaymentCaptured, amount=700, amount_captured=700))
    assert (order.status, order.attention) == (S.PAID, "CAPTURED_LESS_THAN_TOTAL")
    follow(order, an_event(RefundProcessed, 2, amount=700, amount_captured=700, amount_refunded=700))
    assert status_of(order) is S.REFUNDED


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (PaymentSucceeded, {"amount_captured": 999}),
        (PaymentSucceeded, {"amount_captured": 1001}),
        (PaymentSucceeded, {"currency": "USD"}),
        (PaymentCaptured, {"amount_captured": 1001}),
        (PaymentCaptured, {"currency": "USD"}),
    ],
)
def test_money_that_does_not_fit_the_order_is_flagged(
    kind: type[PaymentEvent], changes: dict[str, Any]
) -> None:
    order = an_order()
    follow(order, an_event(kind, **changes))
    assert (order.status, order.attention) == (S.PENDING_PAYMENT, "AMOUNT_MISMATCH")
    assert order.take_effects() == []


@pytest.mark.parametrize("kind", [PaymentSucceeded, PaymentCaptured])
def test_money_after_the_cancellation_is_flagged(kind: type[PaymentEvent]) -> None:
    order = an_order(status=S.CANCELED)
    follow(order, an_event(kind))
    assert (order.status, order.attention, order.amount_paid) == (S.CANCELED, "PAID_AFTER_CANCEL", 1000)


def test_a_dispute_flags_the_order_until_it_is_closed() -> None:
    order = paid_order()
    told: dict[str, Any] = {"amount_captured": 1000}
    follow(order, an_event(DisputeOpened, 2, **told))
    assert (order.status, order.attention) == (S.PAID, "DISPUTED")
    follow(order, an_event(DisputeClosed, 3, **told))
    assert order.attention is None
    order.raise_attention("REFUND_FAILED")
    follow(order, an_event(DisputeClosed, 4, **told))
    assert order.attention == "REFUND_FAILED"


def test_events_of_a_superseded_payment_never_move_the_order() -> None:
    order = an_order()
    order.link_payment("pay_1", "pi_1", "CANCELED", START)
    order.link_payment("pay_2", "pi_2", "REQUIRES_CONFIRMATION", START)
    for number, kind in enumerate(EXPECTED, 1):
        order.status, order.attentions = S.PENDING_PAYMENT, ()
        follow(order, an_event(kind, number))
        assert status_of(order) is S.PENDING_PAYMENT
        assert order.attention == {
            PaymentSucceeded: "SUPERSEDED_PAYMENT_CAPTURED",
            PaymentCaptured: "SUPERSEDED_PAYMENT_CAPTURED",
            RefundFailed: "REFUND_FAILED",
        }.get(kind)
        told = [EffectType.NOTIFY_CUSTOMER] if kind is RefundProcessed else []
        assert [effect.type for effect in order.take_effects()] == told


def test_an_order_paid_by_two_payments_is_flagged() -> None:
    order = an_order()
    follow(order, an_event(PaymentSucceeded, payment_id="pay_2"))
    follow(order, an_event(PaymentSucceeded, payment_id="pay_1"))
    assert (order.status, order.attention, order.amount_paid) == (S.PAID, "PAID_TWICE", 2000)


@pytest.mark.parametrize("linked", [True, False])
def test_a_new_payment_starts_anew_though_the_end_of_the_old_is_not_told_yet(linked: bool) -> None:
    """The streams of two payments interleave freely; the old one was canceled before the new one began."""
    order = an_order()
    follow(order, an_event(PaymentAuthorized))
    if linked:
        order.link_payment("pay_2", "pi_2", "REQUIRES_CONFIRMATION", START)
    follow(order, an_event(PaymentRequiresAction, payment_id="pay_2"))
    follow(order, an_event(PaymentCanceled, 2))
    assert status_of(order) is S.AWAITING_USER_PAYMENT_ACTION
    follow(order, an_event(PaymentFailed, 2, payment_id="pay_2"))
    assert status_of(order) is S.PAYMENT_FAILED


def test_what_the_world_is_told() -> None:
    def told(kind: type[PaymentEvent], **changes: Any) -> list[Effect]:
        order = an_order()
        follow(order, an_event(kind, **changes))
        effects = order.take_effects()
        assert order.take_effects() == []
        return effects

    def customer(about: str, amount: int | None = None) -> Effect:
        return Effect(EffectType.NOTIFY_CUSTOMER, "ord_1", about, UUID(int=1), amount)

    def warehouse(about: str) -> Effect:
        return Effect(EffectType.NOTIFY_WAREHOUSE, "ord_1", about, UUID(int=1))

    taken: list[type[PaymentEvent]] = [PaymentSucceeded, PaymentCaptured]
    for kind in taken:
        assert told(kind) == [warehouse(kind.type), customer(kind.type)]
    told_to_customer: list[type[PaymentEvent]] = [
        PaymentRequiresAction,
        PaymentFailed,
        PaymentCanceled,
    ]
    for kind in told_to_customer:
        assert told(kind) == [customer(kind.type)]
    assert told(RefundProcessed, amount=300) == [customer("RefundProcessed", 300)]
    silent: list[type[PaymentEvent]] = [
        PaymentAuthorized,
        RefundFailed,
        RefundRejected,
        DisputeOpened,
        DisputeClosed,
    ]
    for kind in silent:
        assert told(kind) == []


def test_the_warehouse_is_told_once_of_a_paid_order() -> None:
    order = paid_order()
    follow(order, an_event(PaymentCaptured, 2))
    follow(order, an_event(PaymentSucceeded, 3))
    assert order.take_effects() == []


def test_totals_are_sums_in_minor_units() -> None:
    lines = (
        OrderLine(sku="A", name="A", quantity=3, unit_amount=333, discount_amount=99, tax_amount=63),
        OrderLine(sku="B", name="B", quantity=1, unit_amount=1),
    )
    order = an_order(lines=lines, shipping_amount=490)
    order.check_totals()
    assert (order.subtotal_amount, order.discount_amount, order.tax_amount) == (1000, 99, 63)
    assert order.total_amount == 1000 - 99 + 63 + 490


@pytest.mark.parametrize(
    ("amount", "fits"), [(1, True), (MAX_AMOUNT, True), (0, False), (MAX_AMOUNT + 1, False)]
)
def test_a_total_must_be_an_amount(amount: int, fits: bool) -> None:
    if fits:
        an_order(amount).check_totals()
    else:
        with pytest.raises(TotalOutOfRange):
            an_order(amount).check_totals()


def test_each_sum_must_be_an_amount_though_the_total_is_one() -> None:
    line = OrderLine(sku="A", name="A", quantity=2, unit_amount=MAX_AMOUNT, discount_amount=MAX_AMOUNT)
    with pytest.raises(TotalOutOfRange, match="subtotal"):
        an_order(lines=(line,)).check_totals()


def test_a_discount_beyond_its_line_is_named() -> None:
    lines = (
        OrderLine(sku="A", name="A", quantity=2, unit_amount=100, discount_amount=200),
        OrderLine(sku="B", name="B", quantity=2, unit_amount=100, discount_amount=201),
    )
    with pytest.raises(DiscountExceedsLine) as refusal:
        an_order(lines=lines).check_totals()
    assert [fault.pointer for fault in refusal.value.faults] == ["/lines/1/discountAmount"]
