"""Ask the warehouse to ship a paid order, and note that it has taken it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.orders.effects import Effect
from domain.orders.history import carried_out
from domain.orders.order import Order
from domain.orders.ports import UnitOfWorkFactory, WarehouseNotifier
from domain.orders.status import OrderStatus
from domain.orders.webhooks.delivery import Delivery
from domain.orders.webhooks.endpoint import FULFILMENT_REQUESTED, WebhookEndpoint
from domain.shared.system import Clock, IdFactory

EncodeRequest = Callable[[Order, str, datetime], str]
"""The body of a fulfilment request: of this order, under this event id, made then."""

NOT_TO_BE_SHIPPED = frozenset({OrderStatus.CANCELED, OrderStatus.REFUNDED})


class WarehouseNotified(StrEnum):
    """What became of asking."""

    QUEUED = "QUEUED"
    """The request is on its way to each endpoint that wants it; the first 2xx accepts the order."""
    ACCEPTED = "ACCEPTED"
    """Nobody wants it: it is told in the log, and the order is accepted at once."""
    OVERTAKEN = "OVERTAKEN"
    """There is nothing to ship any more: all the money was given back."""


@dataclass(frozen=True, slots=True)
class NotifyWarehouseHandler:
    """At least once: a crash between the notification and its note repeats it, with the same key."""

    unit_of_work: UnitOfWorkFactory
    notifier: WarehouseNotifier
    encode: EncodeRequest
    clock: Clock
    ids: IdFactory

    async def __call__(self, effect: Effect, idempotency_key: str) -> WarehouseNotified:
        became = await self._ask(effect, idempotency_key)
        if became is not WarehouseNotified.ACCEPTED:
            return became
        await self.notifier.notify(effect, idempotency_key)
        async with self.unit_of_work() as uow:
            order = (await uow.orders.lock([effect.order_id])).get(effect.order_id)
            if order is not None and order.accepted_at is None:
                order.accept_fulfilment(self.clock.now())
                order.note(carried_out(effect.type, idempotency_key))
                await uow.orders.save([order])
                await uow.commit()
        return became

    async def _ask(self, effect: Effect, event_id: str) -> WarehouseNotified:
        """Make a delivery for each endpoint that wants such requests, once for each event."""
        async with self.unit_of_work() as uow:
            wanting = [one for one in await uow.endpoints.all() if one.wants(FULFILMENT_REQUESTED)]
            if not wanting:
                return WarehouseNotified.ACCEPTED
            order = await uow.orders.get(effect.order_id)
            if order is None or order.status in NOT_TO_BE_SHIPPED:
                return WarehouseNotified.OVERTAKEN
            if await uow.deliveries.add(self._requests(order, event_id, wanting)):
                await uow.history.append(order.order_id, carried_out(effect.type, event_id))
            await uow.commit()
        return WarehouseNotified.QUEUED

    def _requests(
        self, order: Order, event_id: str, endpoints: Sequence[WebhookEndpoint]
    ) -> Sequence[Delivery]:
        now = self.clock.now()
        body = self.encode(order, event_id, now)
        return [
            Delivery(
                delivery_id=self.ids.new("whd"),
                endpoint_id=endpoint.endpoint_id,
                event_id=event_id,
                event_type=FULFILMENT_REQUESTED,
                order_id=order.order_id,
                body=body,
                created_at=now,
                due_at=now,
            )
            for endpoint in endpoints
        ]
