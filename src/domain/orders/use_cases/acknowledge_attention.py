"""A person has dealt with what had to be looked at in an order."""

from dataclasses import dataclass

from domain.orders.checkout import find
from domain.orders.history import requested
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory
from domain.shared.audit import AuditEntry, was_done
from domain.shared.callers import Caller
from domain.shared.system import Clock

_ACTION = "order.acknowledge"


@dataclass(frozen=True, slots=True)
class AcknowledgeAttentionHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(
        self, request_id: str, caller: Caller, order_id: str, attention: str, comment: str
    ) -> Order:
        """End this attention; the comment stands in the audit log. Raises OrderNotFound, AttentionNotOpen."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            order = await find(uow, order_id, caller)
            if await was_done(uow.audit, order_id, _ACTION, request_id):
                return order
            before = order.attentions
            order.acknowledge(attention, now)
            order.note(requested("acknowledge", request_id, caller, acknowledged=attention))
            await uow.orders.save([order])
            entry = AuditEntry.of(
                caller,
                _ACTION,
                "order",
                order_id,
                at=now,
                reason=comment,
                before={"attentions": ",".join(before)},
                after={"attentions": ",".join(order.attentions), "requestId": request_id},
            )
            await uow.audit.append(entry)
            await uow.commit()
        return order
