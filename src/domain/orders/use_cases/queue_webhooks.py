"""Make a delivery of each event for each endpoint that wants it."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.orders.ports import UnitOfWorkFactory
from domain.orders.webhooks.delivery import Delivery
from domain.orders.webhooks.ports import EventToSend
from domain.shared.system import Clock, IdFactory


@dataclass(frozen=True, slots=True)
class QueueWebhooksHandler:
    """Once for each endpoint and event, however often an event is handed in."""

    unit_of_work: UnitOfWorkFactory
    clock: Clock
    ids: IdFactory

    async def __call__(self, events: Sequence[EventToSend]) -> int:
        """How many deliveries are new."""
        async with self.unit_of_work() as uow:
            endpoints = await uow.endpoints.all()
            now = self.clock.now()
            wanted = [
                Delivery(
                    delivery_id=self.ids.new("whd"),
                    endpoint_id=endpoint.endpoint_id,
                    event_id=event.event_id,
                    event_type=event.event_type,
                    order_id=event.order_id,
                    body=event.body,
                    created_at=now,
                    due_at=now,
                )
                for event in events
                for endpoint in endpoints
                if endpoint.wants(event.event_type)
            ]
            if not wanted:
                return 0
            added = await uow.deliveries.add(wanted)
            await uow.commit()
        return added
