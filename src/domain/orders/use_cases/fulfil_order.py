"""The warehouse reports an order shipped."""

from dataclasses import dataclass

from domain.orders.checkout import find
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class FulfilOrderHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(self, request_id: str, caller: Caller, order_id: str) -> Order:
        """The order, shipped now or before. Raises OrderNotFound, OrderStateForbids."""
        async with self.unit_of_work() as uow:
            order = await find(uow, order_id, caller)
            before, now = order.status, self.clock.now()
            if order.fulfil(now):
                order.note(requested("fulfil", request_id, caller))
                await uow.orders.save([order])
                entry = AuditEntry.of(
                    caller,
                    "order.fulfil",
                    "order",
                    order_id,
                    at=now,
                    before={"status": before},
                    after={"status": order.status},
                )
                await uow.audit.append(entry)
                await uow.commit()
        return order
