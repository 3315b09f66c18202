"""Let orders follow the events of their payments."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from domain.orders.following import follow, may_need_stock
from domain.orders.money_policy import BY_DEFAULT, MoneyPolicy
from domain.orders.order import Order
from domain.orders.ports import Orders, Stock
from domain.orders.stock import NOTHING_TRACKED, Shelf
from domain.shared.payment_events import PaymentEvent

NOT_KNOWN: Mapping[UUID, str] = MappingProxyType({})


async def apply_payment_events(
    orders: Orders,
    stock: Stock,
    events: Sequence[PaymentEvent],
    published_at: Mapping[UUID, str] = NOT_KNOWN,
    policy: MoneyPolicy = BY_DEFAULT,
) -> Sequence[PaymentEvent]:
    """Apply a batch, in the order given, inside the caller's transaction; each order is written once.

    `published_at` says when an event was handed to the broker (RFC 3339), where that is known.
    Returns the events whose order is not ours: the payment side also serves other order systems.
    """
    found = await orders.lock(sorted({event.order_id for event in events}))
    shelf = await _shelf(stock, found, events)
    foreign = []
    for event in events:
        order = found.get(event.order_id)
        if order is None:
            foreign.append(event)
        else:
            follow(order, event, shelf, policy, published_at=published_at.get(event.event_id))
    await orders.save(list(found.values()))
    return foreign


async def _shelf(stock: Stock, found: Mapping[str, Order], events: Sequence[PaymentEvent]) -> Shelf:
    """The stock that must be looked at: none where the orders hold theirs, as after a confirmation."""
    wanting = {
        event.order_id: order
        for event in events
        if (order := found.get(event.order_id)) is not None and may_need_stock(order, event)
    }
    if not wanting:
        return NOTHING_TRACKED
    skus = set[str]().union(*(order.skus for order in wanting.values()))
    # And what the batch may give back: whatever a transaction locks of the stock, it locks at once.
    skus.update(*(order.reserved for order in found.values() if order.reserved))
    return await stock.lock(skus)
