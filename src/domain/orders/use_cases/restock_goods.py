"""Put the goods of a refund back into stock."""

from dataclasses import dataclass

from domain.orders.effects import Effect
from domain.orders.history import carried_out
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.stock import listed
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True)
class RestockGoodsHandler:
    """Exactly once for a refund: that it is done is remembered in the transaction that does it."""

    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(self, effect: Effect, effect_id: str) -> None:
        assert effect.refund_id is not None, "it names the refund"
        assert effect.goods is not None, "it names the refund's goods"
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            order = (await uow.orders.lock([effect.order_id])).get(effect.order_id)
            if order is None:
                return
            if await uow.stock.note_restock(effect.refund_id, order.order_id, effect.goods, now):
                order.bring_back(effect.goods, now)
                order.note(carried_out(effect.type, effect_id, goods=listed(effect.goods)))
                await uow.orders.save([order])
                await uow.commit()
