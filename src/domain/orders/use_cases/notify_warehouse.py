"""Ask the warehouse to ship a paid order, and tell it to stop where its money is given back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.orders.effects import Effect
from domain.orders.history import carried_out
from domain.orders.order import Order
from domain.orders.ports import OrdersUnitOfWork, UnitOfWorkFactory, WarehouseNotifier
from domain.orders.status import NOT_TO_BE_SHIPPED
from domain.orders.webhooks.delivery import Delivery
from domain.orders.webhooks.endpoint import FULFILMENT_CANCELED, FULFILMENT_REQUESTED, WebhookEndpoint
from domain.shared.system import Clock, IdFactory

EncodeNotice = Callable[[str, Order, str, datetime], str]
"""The body of a notice of this type: of this order, under this event id, made then."""


class WarehouseNotified(StrEnum):
    """What became of telling it."""

    QUEUED = "QUEUED"
    """The notice is on its way to each endpoint that wants it; a request's first 2xx accepts the order."""
    LOGGED = "LOGGED"
    """Nobody wants it: it is told in the log, and a request's order is accepted at once."""
    OVERTAKEN = "OVERTAKEN"
    """The order has moved on: there is nothing to ship any more, or it is to be shipped after all."""


def notice_of(effect: Effect, order: Order) -> str | None:
    """The type of what the warehouse is told, by the order as it is now; None where that is nothing."""
    is_over = order.status in NOT_TO_BE_SHIPPED
    if effect.about in NOT_TO_BE_SHIPPED:
        return FULFILMENT_CANCELED if is_over and order.fulfilled_at is None else None
    return None if is_over else FULFILMENT_REQUESTED


@dataclass(frozen=True, slots=True)
class NotifyWarehouseHandler:
    """At least once: a crash between the notification and its note repeats it, with the same key."""

    unit_of_work: UnitOfWorkFactory
    notifier: WarehouseNotifier
    encode: EncodeNotice
    clock: Clock
    ids: IdFactory

    async def __call__(self, effect: Effect, idempotency_key: str) -> WarehouseNotified:
        async with self.unit_of_work() as uow:
            # Locked: an order that is canceled from here on tells the warehouse to stop after this.
            order = (await uow.orders.lock([effect.order_id])).get(effect.order_id)
            if order is None:
                return WarehouseNotified.OVERTAKEN
            became = await self._tell(uow, effect, order, idempotency_key)
            await uow.commit()
        if became is WarehouseNotified.LOGGED:
            await self.notifier.notify(effect, idempotency_key)
        return became

    async def _tell(
        self, uow: OrdersUnitOfWork, effect: Effect, order: Order, event_id: str
    ) -> WarehouseNotified:
        """Make a delivery for each endpoint that wants such notices, once for each event."""
        notice = notice_of(effect, order)
        told = carried_out(
            effect.type, event_id, about=effect.about, told=notice or WarehouseNotified.OVERTAKEN
        )
        if notice is None:
            await uow.history.append(order.order_id, told)
            return WarehouseNotified.OVERTAKEN
        wanting = [one for one in await uow.endpoints.all() if one.wants(notice)]
        if wanting:
            if await uow.deliveries.add(self._deliveries(notice, order, event_id, wanting)):
                await uow.history.append(order.order_id, told)
            return WarehouseNotified.QUEUED
        if notice == FULFILMENT_CANCELED:
            await uow.history.append(order.order_id, told)
        elif order.accepted_at is None:
            order.accept_fulfilment(self.clock.now())
            order.note(carried_out(effect.type, event_id))
            await uow.orders.save([order])
        return WarehouseNotified.LOGGED

    def _deliveries(
        self, notice: str, order: Order, event_id: str, endpoints: Sequence[WebhookEndpoint]
    ) -> Sequence[Delivery]:
        now = self.clock.now()
        body = self.encode(notice, order, event_id, now)
        return [
            Delivery(
                delivery_id=self.ids.new("whd"),
                endpoint_id=endpoint.endpoint_id,
                event_id=event_id,
                event_type=notice,
                order_id=order.order_id,
                body=body,
                created_at=now,
                due_at=now,
            )
            for endpoint in endpoints
        ]
