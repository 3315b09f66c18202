"""Let orders follow the events of their payments."""

from collections.abc import Sequence

from domain.orders.order import Order
from domain.orders.ports import Orders
from domain.shared.payment_events import PaymentEvent


async def apply_payment_events(orders: Orders, events: Sequence[PaymentEvent]) -> Sequence[PaymentEvent]:
    """Apply a batch, in the order given, inside the caller's transaction; each order is written once.

    Returns the events whose order is not ours: the payment side also serves other order systems.
    """
    found: dict[str, Order] = await orders.lock(sorted({event.order_id for event in events}))
    foreign = []
    for event in events:
        order = found.get(event.order_id)
        if order is None:
            foreign.append(event)
        else:
            order.apply(event)
    await orders.save(list(found.values()))
    return foreign
