"""Tell a customer what their order asks to be told."""

from dataclasses import dataclass

from domain.orders.effects import Effect
from domain.orders.errors import OrderNotFound
from domain.orders.history import carried_out
from domain.orders.messages import MessageKind, NotTold, message_of
from domain.orders.ports import CustomerNotifier, UnitOfWorkFactory

Told = MessageKind | NotTold


@dataclass(frozen=True, slots=True)
class TellCustomerHandler:
    """At least once with a stable id: a crash between the message and its note sends it again, with that id."""

    unit_of_work: UnitOfWorkFactory
    notifier: CustomerNotifier

    async def __call__(self, effect: Effect, message_id: str) -> Told:
        """What was told, or why nothing was. Raises CustomerUnreachable, and what the notifier fails with."""
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(effect.order_id)
        if order is None:
            raise OrderNotFound
        message = message_of(effect, order, message_id)
        if isinstance(message, NotTold):
            return await self._noted(effect, message_id, message)
        not_told = await self.notifier.tell(message)
        return await self._noted(effect, message_id, not_told or message.kind)

    async def _noted(self, effect: Effect, message_id: str, told: Told) -> Told:
        async with self.unit_of_work() as uow:
            entry = carried_out(effect.type, message_id, about=effect.about, told=told)
            await uow.history.append(effect.order_id, entry)
            await uow.commit()
        return told
