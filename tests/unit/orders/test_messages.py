"""What customers are told: by the order as it is when the message is made, with one id at each repetition."""

import pytest

from adapters.notifications.log import LogCustomerNotifier
from domain.orders.cancellation import Cancellation
from domain.orders.cart import Customer
from domain.orders.effects import Effect, EffectType
from domain.orders.following import follow
from domain.orders.history import EntryKind, Recorded, carried_out
from domain.orders.messages import (
    TOLD,
    CustomerMessage,
    CustomerUnreachable,
    MessageKind,
    NotTold,
    message_of,
)
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.status import OrderStatus
from domain.orders.timeline import tell
from domain.orders.use_cases.tell_customer import TellCustomerHandler
from domain.shared.payment_events import EVENT_TYPES, PaymentEvent, RefundProcessed
from tests.support.crash import Crash, Fuse
from tests.support.events import an_event
from tests.support.house import START, House, World
from tests.unit.orders.test_order import an_order

S, K = OrderStatus, MessageKind
ADA = Customer(name="Ada Lovelace", email="ada@example.org")

EXPECTED: dict[str, dict[OrderStatus, MessageKind]] = {
    "PaymentSucceeded": dict.fromkeys(
        (S.PAID, S.PROCESSING_FULFILLMENT, S.FULFILLED, S.PARTIALLY_REFUNDED), K.PAID
    ),
    "PaymentCaptured": dict.fromkeys(
        (S.PAID, S.PROCESSING_FULFILLMENT, S.FULFILLED, S.PARTIALLY_REFUNDED), K.PAID
    ),
    "PaymentRequiresAction": {S.AWAITING_USER_PAYMENT_ACTION: K.ACTION_NEEDED},
    "PaymentFailed": {S.PAYMENT_FAILED: K.PAYMENT_FAILED},
    "PaymentCanceled": {S.PAYMENT_FAILED: K.PAYMENT_FAILED, S.CANCELED: K.CANCELED},
    "RefundProcessed": {**dict.fromkeys(S, K.REFUNDED), S.CANCELED: K.CANCELED},
}


def told(about: str, order: Order) -> MessageKind | NotTold:
    effect = Effect(EffectType.NOTIFY_CUSTOMER, order.order_id, about)
    message = message_of(effect, order, "id")
    return message.kind if isinstance(message, CustomerMessage) else message


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("about", EXPECTED)
def test_what_the_order_has_left_behind_is_not_told(about: str, status: OrderStatus) -> None:
    refunded = OrderPayment(
        payment_id="pay_1", gateway_payment_intent_id=None, status="SUCCEEDED", amount_refunded=1
    )
    order = an_order(customer=ADA, status=status, payments=[refunded])
    assert told(about, order) == EXPECTED[about].get(status, NotTold.OVERTAKEN)


@pytest.mark.parametrize("kind", EVENT_TYPES.values())
@pytest.mark.parametrize("status", S)
def test_whatever_an_order_asks_to_be_told_has_words(kind: type[PaymentEvent], status: OrderStatus) -> None:
    order = an_order(customer=ADA, status=status)
    follow(order, an_event(kind, amount_captured=1000))
    asked = [effect for effect in order.take_effects() if effect.type is EffectType.NOTIFY_CUSTOMER]
    assert {effect.about for effect in asked} <= TOLD.keys()


def test_a_refund_is_told_with_its_own_amount_until_it_is_reversed() -> None:
    order = an_order(customer=ADA, status=S.PAID)
    follow(order, an_event(RefundProcessed, amount=300, amount_captured=1000, amount_refunded=500))
    [effect] = order.take_effects()
    message = message_of(effect, order, "evt")
    assert isinstance(message, CustomerMessage)
    assert (message.kind, message.amount, message.message_id) == (K.REFUNDED, 300, "evt")
    order.payments[0].amount_refunded = 0
    assert message_of(effect, order, "evt") is NotTold.OVERTAKEN


@pytest.mark.parametrize(
    ("about", "status"),
    [("PaymentCanceled", S.PAYMENT_FAILED), ("PaymentRequiresAction", S.AWAITING_USER_PAYMENT_ACTION)],
)
def test_nobody_is_asked_to_pay_what_is_being_canceled(about: str, status: OrderStatus) -> None:
    cancellation = Cancellation(requested_at=START, reason=None, requested_by="u_1")
    order = an_order(customer=ADA, status=status, cancellation=cancellation)
    assert told(about, order) is NotTold.OVERTAKEN


@pytest.mark.parametrize("customer", [None, Customer(name="Ada")])
def test_nobody_is_told_without_an_address(customer: Customer | None) -> None:
    assert told("PaymentFailed", an_order(customer=customer, status=S.PAYMENT_FAILED)) is NotTold.NO_ADDRESS


def test_a_message_shows_no_personal_data_in_a_log() -> None:
    order = an_order(customer=ADA, status=S.PAYMENT_FAILED)
    shown = repr(message_of(Effect(EffectType.NOTIFY_CUSTOMER, "ord_1", "PaymentFailed"), order, "evt"))
    assert "ada" not in shown.lower()


async def test_a_paid_order_tells_its_customer_with_the_same_id_each_time() -> None:
    house = House()
    order = await house.order(customer=ADA)
    await house.confirm(order.order_id)
    await house.deliver()
    effect = Effect(EffectType.NOTIFY_CUSTOMER, order.order_id, "PaymentSucceeded")
    assert [await house.tell_customer(effect, "evt_1") for _ in range(2)] == [K.PAID, K.PAID]
    first, again = house.world.letters.sent
    assert (first.email, first.kind, first.message_id) == ("ada@example.org", K.PAID, "evt_1")
    assert again == first


async def test_who_cannot_be_reached_is_told_to_the_caller() -> None:
    house = House()
    house.world.letters.refused = {"ada@example.org"}
    order = await house.order(customer=ADA)
    await house.confirm(order.order_id)
    await house.deliver()
    with pytest.raises(CustomerUnreachable):
        await house.tell_customer(
            Effect(EffectType.NOTIFY_CUSTOMER, order.order_id, "PaymentSucceeded"), "evt"
        )


async def test_what_only_the_log_was_told_is_noted_as_not_told() -> None:
    house = House()
    order = await house.order(customer=ADA)
    await house.confirm(order.order_id)
    await house.deliver()
    tell_customer = TellCustomerHandler(house.orders_uow, LogCustomerNotifier())
    effect = Effect(EffectType.NOTIFY_CUSTOMER, order.order_id, "PaymentSucceeded")
    assert await tell_customer(effect, "evt_1") is NotTold.NO_MAIL_SERVER
    assert house.world.orders.history[-1].entry.details["told"] is NotTold.NO_MAIL_SERVER


def test_the_timeline_has_words_for_whatever_was_told_or_not() -> None:
    for told in (*MessageKind, *NotTold):
        entry = carried_out(EffectType.NOTIFY_CUSTOMER, "evt_1", told=told)
        recorded = Recorded(order_id="ord_1", position=1, at=START, entry=entry)
        assert told not in tell(recorded).title


async def test_cut_off_anywhere_a_message_is_sent_again_with_its_id_and_noted() -> None:
    """Once where nothing goes wrong, at least once where something does, and never with another id."""
    effect = Effect(EffectType.NOTIFY_CUSTOMER, "ord_order", "PaymentSucceeded")
    sent, length = [], 0
    while True:
        length += 1
        world, fuse = World(), Fuse(length)
        house = House(world)
        await house.order(customer=ADA, request_id="order")
        await house.confirm("ord_order")
        await house.deliver()
        try:
            await House(world, fuse.attach).tell_customer(effect, "evt_1")
        except Crash:
            await house.tell_customer(effect, "evt_1")
        notes = [one.entry.details for one in world.orders.history if one.entry.kind is EntryKind.EFFECT]
        assert {message.message_id for message in world.letters.sent} == {"evt_1"}
        assert notes[-1] == {"about": "PaymentSucceeded", "told": K.PAID}
        sent.append(len(world.letters.sent))
        if fuse.burnt < length:
            break
    assert set(sent) == {1, 2}
    assert sent[-1] == 1
