"""The warehouse was told of paid orders and has taken them on."""

from collections.abc import Sequence

from domain.orders.ports import Orders
from domain.shared.system import Clock


async def accept_fulfilment(orders: Orders, order_ids: Sequence[str], clock: Clock) -> None:
    """Mark these orders as accepted, inside the caller's transaction."""
    found = await orders.lock(sorted(set(order_ids)))
    for order in found.values():
        order.accept_fulfilment(clock.now())
    await orders.save(list(found.values()))
