"""Look at deliveries, and send finished ones again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.orders.ports import UnitOfWorkFactory
from domain.orders.webhooks.delivery import Delivery, DeliveryStatus
from domain.orders.webhooks.errors import DeliveryNotFound, EndpointNotFound
from domain.orders.webhooks.ports import DeliveryCounts
from domain.shared.system import Clock

AT_ONCE = 1000
"""Rows in one transaction: short, so that nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDeliveries:
    """Those made since then and before `until`: the failed ones, and with `also_delivered` all."""

    endpoint_id: str
    since: datetime
    until: datetime | None = None
    also_delivered: bool = False


@dataclass(frozen=True, slots=True)
class DeliveriesHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def list(
        self, endpoint_id: str, *, status: DeliveryStatus | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first. Raises EndpointNotFound."""
        async with self.unit_of_work() as uow:
            if await uow.endpoints.get(endpoint_id) is None:
                raise EndpointNotFound
            return await uow.deliveries.list(endpoint_id=endpoint_id, status=status, after=after, limit=limit)

    async def count(self) -> DeliveryCounts:
        """How they stand."""
        async with self.unit_of_work() as uow:
            return await uow.deliveries.counts(self.clock.now())

    async def replay(self, delivery_id: str) -> Delivery:
        """Make it due now, with all its attempts again; one that is pending stays as it is. Raises DeliveryNotFound."""
        async with self.unit_of_work() as uow:
            if await uow.deliveries.replay([delivery_id], self.clock.now()):
                await uow.commit()
            delivery = await uow.deliveries.get(delivery_id)
        if delivery is None:
            raise DeliveryNotFound
        return delivery

    async def replay_all(self, request: ReplayDeliveries) -> int:
        """Make all of these due now; how many there are. Raises EndpointNotFound."""
        now = self.clock.now()
        statuses = {DeliveryStatus.FAILED} | ({DeliveryStatus.DELIVERED} if request.also_delivered else set())
        until = min(request.until or now, now)
        replayed = 0
        async with self.unit_of_work() as uow:
            if await uow.endpoints.get(request.endpoint_id) is None:
                raise EndpointNotFound
        while True:
            async with self.unit_of_work() as uow:
                found = await uow.deliveries.finished_between(
                    endpoint_id=request.endpoint_id,
                    statuses=statuses,
                    since=request.since,
                    until=until,
                    finished_before=now,  # not what is finished again while we are at it
                    limit=AT_ONCE,
                )
                replayed += await uow.deliveries.replay(found, now)
                await uow.commit()
            if len(found) < AT_ONCE:
                return replayed
