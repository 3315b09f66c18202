"""What an order notes of what happens to it: the cause, and the rule that moved its status or did not."""

import pytest

from domain.orders.following import follow
from domain.orders.history import Entry, EntryKind
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.shared.callers import Caller
from domain.shared.payment_events import (
    DisputeClosed,
    DisputeOpened,
    LastError,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
)
from tests.support.events import an_event
from tests.support.house import CUSTOMER, SERVICE, House
from tests.unit.orders.test_order import an_order

S = OrderStatus


def noted(order: Order, event: PaymentEvent) -> Entry:
    follow(order, event)
    (entry,) = order.take_history()
    return entry


def test_an_event_is_noted_with_its_number_and_the_rule_that_moved_the_order() -> None:
    event = an_event(PaymentSucceeded)
    entry = noted(an_order(), event)
    assert (entry.kind, entry.name, entry.cause) == (EntryKind.EVENT, "PaymentSucceeded", str(event.event_id))
    assert (entry.payment_id, entry.sequence) == (event.payment_id, event.sequence)
    assert (entry.before, entry.after, entry.rule) == ("PENDING_PAYMENT", "PAID", "the money is taken")
    assert entry.attention is None
    assert entry.details == {"amount": 1000, "occurredAt": "2026-03-01T12:00:00.000000Z"}


@pytest.mark.parametrize(
    ("event", "status", "rule", "attention"),
    [
        (
            an_event(PaymentCaptured, final=False, amount_captured=400),
            S.AUTHORIZED,
            "more may be captured: the order waits for the final capture",
            None,
        ),
        (an_event(PaymentSucceeded), S.CANCELED, "PaymentSucceeded does not move", "PAID_AFTER_CANCEL"),
        (
            an_event(PaymentSucceeded, amount_captured=999),
            S.PENDING_PAYMENT,
            "the money is not what the order asks for",
            "AMOUNT_MISMATCH",
        ),
        (an_event(DisputeOpened), S.PAID, "a dispute is for a person to answer", "DISPUTED"),
        (an_event(RefundProcessed), S.CANCELED, "keeps its status whatever is given back", None),
    ],
)
def test_what_moves_nothing_is_noted_with_the_reason(
    event: PaymentEvent, status: OrderStatus, rule: str, attention: str | None
) -> None:
    entry = noted(an_order(status=status), event)
    assert (entry.before, entry.after) == (status, status)
    assert rule in (entry.rule or "")
    assert entry.attention == attention


def test_what_is_settled_needs_no_attention_any_more() -> None:
    order = an_order(status=S.PAID, attentions=("DISPUTED",))
    assert noted(order, an_event(DisputeClosed, reason="won")).attention == ""


def test_an_event_of_a_superseded_payment_says_so() -> None:
    order = an_order()
    follow(order, an_event(PaymentCanceled, payment_id="pay_1"))
    follow(order, an_event(PaymentSucceeded, payment_id="pay_2"))
    order.take_history()
    entry = noted(order, an_event(PaymentSucceeded, 2, payment_id="pay_1"))
    assert (entry.rule, entry.attention) == ("another payment has taken the place of this one", "PAID_TWICE")


def test_a_new_payment_is_one_entry_with_both_its_steps() -> None:
    order = an_order(status=S.AUTHORIZED)
    order.link_payment("pay_1", None, "CANCELED", order.created_at)
    entry = noted(order, an_event(PaymentSucceeded, payment_id="pay_2"))
    assert (entry.before, entry.after) == ("AUTHORIZED", "PAID")
    assert entry.rule == "a new payment began; the money is taken"


def test_details_name_codes_and_ids_and_no_text_that_people_wrote() -> None:
    error = LastError("card_declined", "insufficient_funds", "Your card, Jenny, has insufficient funds.")
    assert noted(an_order(), an_event(PaymentFailed, last_error=error)).details == {
        "code": "card_declined",
        "declineCode": "insufficient_funds",
        "occurredAt": "2026-03-01T12:00:00.000000Z",
    }
    for kind in (RefundProcessed, RefundFailed):
        refund = an_event(kind, refund_id="ref_1", amount=300, reason="for Jenny")
        details = noted(an_order(status=S.PAID), refund).details
        assert (details["amount"], details["refundId"]) == (300, "ref_1")
        assert "Jenny" not in str(details)


async def test_requests_and_their_answers_are_in_the_history() -> None:
    house = House()
    order = await house.order(caller=SERVICE, user_id="u_1")
    agent = Caller(subject="u_1", scopes=CUSTOMER.scopes, actor="checkout")
    await house.confirm(order.order_id, "pm_card_chargeDeclined", caller=agent)
    await house.deliver()
    await house.retry(order.order_id)
    await house.deliver()
    async with house.orders_uow() as uow:
        entries = [row.entry for row in await uow.history.of(order.order_id, limit=20)]
    assert [(entry.kind, entry.name, entry.after) for entry in entries] == [
        ("REQUEST", "create", "DRAFT"),
        ("REQUEST", "confirm", "PENDING_PAYMENT"),
        ("ANSWER", "payment", "PENDING_PAYMENT"),
        ("EVENT", "PaymentFailed", "PAYMENT_FAILED"),
        ("REQUEST", "pay again", "PENDING_PAYMENT"),
        ("ANSWER", "payment", "PENDING_PAYMENT"),
        ("EVENT", "PaymentSucceeded", "PAID"),
    ]
    create, confirm, answer, failed = entries[:4]
    assert (create.subject, create.actor) == ("service", None)
    assert (confirm.subject, confirm.actor) == ("u_1", "checkout")
    assert (answer.cause, answer.payment_id) == (confirm.cause, failed.payment_id)
    assert answer.details == {"outcome": "REQUIRES_PAYMENT_METHOD"}
