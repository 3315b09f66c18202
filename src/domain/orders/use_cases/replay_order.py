"""What an order would be if its payment events were applied anew: to tell whether it still agrees with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from domain.orders.attention import STOCK_INSUFFICIENT, by_urgency
from domain.orders.following import follow
from domain.orders.money_policy import BY_DEFAULT, MoneyPolicy
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.status import OrderStatus
from domain.orders.stock import NOTHING_TRACKED, Shelf, StockItem
from domain.shared.payment_events import PaymentEvent


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which the order and its replayed copy differ, with both values."""

    field: str
    now: object
    replayed: object


def replay_order(order: Order, events: Sequence[PaymentEvent], policy: MoneyPolicy = BY_DEFAULT) -> Order:
    """A copy of the order as it stood after its confirmation, to which all these events were applied.

    The events of each payment must be there from the first on and in their order. What the warehouse did
    is taken over from the order, and so are a further attempt that a client began after the last event
    and a cancellation, for no payment event tells of these. So is whether there was stock for money that
    came late.
    """
    shelf = _sold_out(order) if _was_sold_out(order) else NOTHING_TRACKED
    copy = replace(
        order,
        status=OrderStatus.PENDING_PAYMENT,
        attentions=(),
        payments=[],
        refunds=[],
        accepted_at=None,
        fulfilled_at=order.fulfilled_at,
        reserved={},
        _effects=[],
        _history=[],
        _steps=[],
        _stock_changes=[],
        _attempts=[],
    )
    for event in events:
        follow(copy, event, shelf, policy)
        copy.take_stock_changes()
        if copy.status is OrderStatus.PAID and order.accepted_at is not None:
            copy.accept_fulfilment(order.accepted_at)
    if order.status is OrderStatus.CANCELED:
        copy.end_cancellation()
    if order.fulfilled_at is not None and copy.status is OrderStatus.PROCESSING_FULFILLMENT:
        copy.status = OrderStatus.FULFILLED
    if order.status is OrderStatus.PENDING_PAYMENT and copy.status is OrderStatus.PAYMENT_FAILED:
        copy.status = OrderStatus.PENDING_PAYMENT
    return copy


def _was_sold_out(order: Order) -> bool:
    """Whether money came that its status ignores: the stock had gone to others by then."""
    paid_in_vain = order.amount_paid > 0 and order.status in (OrderStatus.DRAFT, OrderStatus.PAYMENT_FAILED)
    return paid_in_vain or STOCK_INSUFFICIENT in order.attentions


def _sold_out(order: Order) -> Shelf:
    return Shelf({sku: StockItem(sku=sku, on_hand=0, updated_at=order.created_at) for sku in order.skus})


def differences(order: Order, copy: Order) -> Iterator[Difference]:
    """Where the two differ in what events decide; payments without an event so far are left out."""
    yield from _compared("attentions", *(by_urgency(set(one.attentions)) for one in (order, copy)))
    for name in ("status", "amount_paid", "amount_refunded"):
        yield from _compared(name, getattr(order, name), getattr(copy, name))
    known = {payment.payment_id: payment for payment in order.payments}
    for payment in copy.payments:
        now = known.get(payment.payment_id)
        prefix = f"payments.{payment.payment_id}"
        if now is None:
            yield Difference(prefix, None, payment.status)
            continue
        for name in _OF_A_PAYMENT:
            yield from _compared(f"{prefix}.{name}", getattr(now, name), getattr(payment, name))


_OF_A_PAYMENT = tuple(
    name
    for name in OrderPayment.__dataclass_fields__
    if name not in ("payment_id", "gateway_payment_intent_id")  # the latter may come with an answer
)


def _compared(field: str, now: object, replayed: object) -> Iterator[Difference]:
    if now != replayed:
        yield Difference(field, now, replayed)
