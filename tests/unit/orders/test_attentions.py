"""What a person must look at: each stays until its own end, whatever else comes and goes meanwhile."""

from dataclasses import replace

import pytest

from domain.orders import attention
from domain.orders.attention import BY_URGENCY, by_urgency
from domain.orders.following import follow
from domain.orders.history import Recorded
from domain.orders.money_policy import MoneyPolicy, OnMoney
from domain.orders.order import Order
from domain.orders.status import OrderStatus
from domain.orders.stock import Shelf, StockItem
from domain.orders.timeline import tell
from domain.orders.use_cases.acknowledge_attention import AcknowledgeAttentionHandler
from domain.payments.dispute_status import DisputeStatus
from domain.shared.callers import Caller
from domain.shared.errors import AttentionNotOpen
from domain.shared.payment_events import (
    DisputeClosed,
    DisputeOpened,
    PaymentCaptured,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
)
from tests.support.events import an_event
from tests.support.house import START, House
from tests.unit.orders.test_order import an_order

S = OrderStatus
FLAG = MoneyPolicy(paid_without_stock=OnMoney.FLAG, paid_twice=OnMoney.FLAG)


def flagged(name: str) -> Order:
    """An order with this attention, by the events that lead there; `pay_2` is its payment, number 2 comes next."""
    order = an_order(status=S.CANCELED if name == "PAID_AFTER_CANCEL" else S.PENDING_PAYMENT)
    shelf = Shelf({})
    taken = 1000
    if name == "STOCK_INSUFFICIENT":
        order = an_order(status=S.PAYMENT_FAILED)
        shelf = Shelf({sku: StockItem(sku=sku, on_hand=0, updated_at=START) for sku in order.skus})
    if name in ("AMOUNT_MISMATCH", "CAPTURED_LESS_THAN_TOTAL"):
        taken = 700
    kind = PaymentCaptured if name == "CAPTURED_LESS_THAN_TOTAL" else PaymentSucceeded
    if name == "SUPERSEDED_PAYMENT_CAPTURED":
        order.link_payment("pay_2", None, "REQUIRES_CONFIRMATION", START)
    else:
        follow(order, an_event(kind, payment_id="pay_2", amount_captured=taken), shelf, FLAG)
    if name in attention.OF_SUPERSEDED:
        follow(order, an_event(PaymentSucceeded, payment_id="pay_1"), policy=FLAG)
    if name == "REFUND_FAILED":
        follow(order, an_event(RefundFailed, 1, payment_id="pay_2", amount_captured=1000))
    assert list(order.attentions) == [name]
    return order


OF_MONEY = [name for name in BY_URGENCY if name not in ("DISPUTED", "DISPUTE_LOST")]


@pytest.mark.parametrize("name", OF_MONEY)
def test_a_dispute_that_is_won_leaves_what_was_there_before(name: str) -> None:
    order = flagged(name)
    kept = {"payment_id": "pay_2", "amount_captured": order.amount_paid}
    follow(order, an_event(DisputeOpened, 2, **kept))
    assert list(order.attentions) == ["DISPUTED", name]
    follow(order, an_event(DisputeClosed, 3, reason="won", **kept))
    assert list(order.attentions) == [name]


@pytest.mark.parametrize("name", OF_MONEY)
def test_a_dispute_that_is_lost_is_one_more(name: str) -> None:
    order = flagged(name)
    kept = {"payment_id": "pay_2", "amount_captured": order.amount_paid}
    follow(order, an_event(DisputeOpened, 2, **kept))
    follow(order, an_event(DisputeClosed, 3, reason="lost", **kept))
    assert list(order.attentions) == [name, "DISPUTE_LOST"]


def test_a_refund_that_fails_while_the_charge_is_disputed_hides_neither() -> None:
    order = flagged("CAPTURED_LESS_THAN_TOTAL")
    for number, kind in enumerate((DisputeOpened, RefundFailed), 2):
        follow(order, an_event(kind, number, payment_id="pay_2", amount_captured=700))
    assert list(order.attentions) == ["DISPUTED", "REFUND_FAILED", "CAPTURED_LESS_THAN_TOTAL"]
    assert order.attention == "DISPUTED"


def test_money_of_a_superseded_payment_does_not_hide_a_dispute_of_the_live_one() -> None:
    order = an_order()
    follow(order, an_event(PaymentSucceeded, payment_id="pay_2"))
    follow(order, an_event(DisputeOpened, 2, payment_id="pay_2", amount_captured=1000))
    follow(order, an_event(PaymentSucceeded, payment_id="pay_1"))
    assert list(order.attentions) == ["DISPUTED", "PAID_TWICE"]
    assert order.attempts_asked_for[0].reason == "paid_twice"  # of the money, not of what is most urgent
    follow(
        order, an_event(RefundProcessed, 2, payment_id="pay_1", amount_captured=1000, amount_refunded=1000)
    )
    assert list(order.attentions) == ["DISPUTED"]


def test_money_of_a_superseded_payment_has_one_name_at_a_time() -> None:
    order = flagged("SUPERSEDED_PAYMENT_CAPTURED")
    follow(order, an_event(PaymentSucceeded, payment_id="pay_2"))
    follow(order, an_event(DisputeOpened, 2, payment_id="pay_1", amount_captured=1000))
    assert list(order.attentions) == ["PAID_TWICE"]


@pytest.mark.parametrize("name", attention.OF_THE_WHOLE)
def test_what_is_about_money_ends_once_all_of_it_is_given_back_and_a_dispute_does_not(name: str) -> None:
    order = flagged(name)
    paid = order.amount_paid
    follow(order, an_event(DisputeOpened, 2, payment_id="pay_2", amount_captured=paid))
    for number, refunded in ((3, 300), (4, paid)):
        assert list(order.attentions) == ["DISPUTED", name]
        back = {"amount": refunded, "amount_captured": paid, "amount_refunded": refunded}
        follow(
            order, an_event(RefundProcessed, number, payment_id="pay_2", refund_id=f"ref_{number}", **back)
        )
    assert list(order.attentions) == ["DISPUTED"]


def test_the_most_urgent_comes_first_and_each_is_there_once() -> None:
    assert by_urgency({*reversed(BY_URGENCY)}) == BY_URGENCY
    assert by_urgency({"DISPUTED", "OF_A_LATER_VERSION"}) == ("OF_A_LATER_VERSION", "DISPUTED")
    order = flagged("REFUND_FAILED")
    order.raise_attention("REFUND_FAILED")
    order.settle("DISPUTED")
    assert list(order.attentions) == ["REFUND_FAILED"]


def test_every_attention_has_its_place() -> None:
    assert {name for name in vars(attention) if getattr(attention, name) == name} == set(BY_URGENCY)


def test_the_history_tells_all_of_them_whenever_they_change() -> None:
    order = flagged("REFUND_FAILED")
    told = {"payment_id": "pay_2", "amount_captured": 1000}
    follow(order, an_event(DisputeOpened, 2, **told))
    follow(order, an_event(DisputeOpened, 3, **told))
    follow(order, an_event(DisputeClosed, 4, reason="won", **told))
    titles = []
    for position, entry in enumerate(order.take_history()[2:]):
        titles.append(
            tell(Recorded(order_id="ord_1", position=position, at=START, entry=entry)).title.split(". ")[1:]
        )
    assert titles == [
        ["A person must look at it: DISPUTED, REFUND_FAILED."],
        [],
        ["A person must look at it: REFUND_FAILED."],
    ]


OPERATOR = Caller("ada", frozenset({"operations:read", "operations:write", "users:any"}))


async def test_a_person_ends_an_attention_and_history_and_audit_log_tell_of_it() -> None:
    house = House()
    payment = await house.paid()
    dispute = house.gateway.open_dispute(payment.intent_id or "")
    lost = replace(dispute, status=DisputeStatus.LOST)
    await house.webhook(house.gateway.webhook("charge.dispute.closed", lost))
    await house.deliver()
    assert house.saved_order(payment.order_id).attentions == ("DISPUTE_LOST",)

    acknowledge = AcknowledgeAttentionHandler(house.orders_uow, house.clock)
    with pytest.raises(AttentionNotOpen):
        await acknowledge("r_1", OPERATOR, payment.order_id, "REFUND_FAILED", "done")
    for _ in range(2):  # the repetition of a call whose answer was lost
        await acknowledge("r_1", OPERATOR, payment.order_id, "DISPUTE_LOST", "written off")
    assert house.saved_order(payment.order_id).attentions == ()
    with pytest.raises(AttentionNotOpen):
        await acknowledge("r_2", OPERATOR, payment.order_id, "DISPUTE_LOST", "written off")

    (record,) = house.world.orders.audit
    assert (record.entry.action, record.entry.reason) == ("order.acknowledge", "written off")
    assert record.entry.before == {"attentions": "DISPUTE_LOST"}
    told = await house.explain_order(OPERATOR, payment.order_id)
    (entry,) = (one for one in told.timeline if one.details.get("acknowledged"))
    assert entry.title == "What a person had to look at was acknowledged. Nothing is left to look at."
