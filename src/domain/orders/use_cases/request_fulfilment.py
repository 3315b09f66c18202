"""Ask the warehouse to ship a paid order."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.orders.order import Order, OrderStatus
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.webhooks.delivery import Delivery
from domain.orders.webhooks.endpoint import FULFILMENT_REQUESTED
from domain.shared.system import Clock, IdFactory

EncodeRequest = Callable[[Order, str, datetime], str]
"""The body of a fulfilment request: of this order, under this event id, made then."""

NOT_TO_BE_SHIPPED = frozenset({OrderStatus.CANCELED, OrderStatus.REFUNDED})


class FulfilmentRequest(StrEnum):
    """What became of asking."""

    QUEUED = "QUEUED"
    """It is on its way to each endpoint that wants it; the first 2xx accepts the order."""
    ACCEPTED = "ACCEPTED"
    """Nobody wants it, so that the order is accepted at once."""
    OVERTAKEN = "OVERTAKEN"
    """There is nothing to ship any more: all the money was given back, or the order is gone."""


@dataclass(frozen=True, slots=True)
class RequestFulfilmentHandler:
    """One delivery for each endpoint and event, which is the receiver's idempotency key."""

    unit_of_work: UnitOfWorkFactory
    encode: EncodeRequest
    clock: Clock
    ids: IdFactory

    async def __call__(self, order_id: str, event_id: str) -> FulfilmentRequest:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            wanting = [one for one in await uow.endpoints.all() if one.wants(FULFILMENT_REQUESTED)]
            order = (await uow.orders.lock([order_id])).get(order_id)
            if order is None or order.status in NOT_TO_BE_SHIPPED:
                return FulfilmentRequest.OVERTAKEN
            if wanting:
                body = self.encode(order, event_id, now)
                await uow.deliveries.add(
                    [
                        Delivery(
                            delivery_id=self.ids.new("whd"),
                            endpoint_id=endpoint.endpoint_id,
                            event_id=event_id,
                            event_type=FULFILMENT_REQUESTED,
                            order_id=order_id,
                            body=body,
                            created_at=now,
                            due_at=now,
                        )
                        for endpoint in wanting
                    ]
                )
            elif order.accepted_at is None:
                order.accept_fulfilment(now)
                await uow.orders.save([order])
            await uow.commit()
        return FulfilmentRequest.QUEUED if wanting else FulfilmentRequest.ACCEPTED
