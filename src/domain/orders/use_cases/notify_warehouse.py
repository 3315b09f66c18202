"""Tell the warehouse of an order, and note that it has taken it on."""

from dataclasses import dataclass

from domain.orders.history import carried_out
from domain.orders.order import Effect
from domain.orders.ports import UnitOfWorkFactory, WarehouseNotifier
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class NotifyWarehouseHandler:
    """At least once: a crash between the notification and its note repeats it, with the same key."""

    unit_of_work: UnitOfWorkFactory
    notifier: WarehouseNotifier
    clock: Clock

    async def __call__(self, effect: Effect, idempotency_key: str) -> None:
        await self.notifier.notify(effect, idempotency_key)
        async with self.unit_of_work() as uow:
            order = (await uow.orders.lock([effect.order_id])).get(effect.order_id)
            if order is not None and order.accepted_at is None:
                order.accept_fulfilment(self.clock.now())
                order.note(carried_out(effect.type, idempotency_key))
                await uow.orders.save([order])
                await uow.commit()
