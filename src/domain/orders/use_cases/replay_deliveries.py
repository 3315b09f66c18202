"""Look at deliveries, and send finished ones again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.orders.ports import UnitOfWorkFactory
from domain.orders.webhooks.delivery import Delivery, DeliveryStatus
from domain.orders.webhooks.errors import DeliveryNotFound, EndpointNotFound
from domain.orders.webhooks.ports import DeliveryCounts
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.system import Clock
from domain.shared.timeline import stamp

AT_ONCE = 1000
"""Rows in one transaction: short, so that nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDeliveries:
    """Those made since then and before `until`: the failed ones, and with `also_delivered` all."""

    caller: Caller
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

    async def replay(self, caller: Caller, delivery_id: str) -> Delivery:
        """Make it due now, with all its attempts again; one that is pending stays as it is. Raises DeliveryNotFound."""
        async with self.unit_of_work() as uow:
            now = self.clock.now()
            if await uow.deliveries.replay([delivery_id], now):
                entry = AuditEntry.of(caller, "delivery.replay", "webhook_delivery", delivery_id, at=now)
                await uow.audit.append(entry)
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
                count = await uow.deliveries.replay(found, now)
                if count:
                    await uow.audit.append(_told(request, count, now))
                await uow.commit()
                replayed += count
            if len(found) < AT_ONCE:
                return replayed


def _told(request: ReplayDeliveries, count: int, now: datetime) -> AuditEntry:
    return AuditEntry.of(
        request.caller,
        "endpoint.replay",
        "webhook_endpoint",
        request.endpoint_id,
        at=now,
        after={
            "since": stamp(request.since),
            "until": stamp(request.until),
            "includeDelivered": request.also_delivered,
            "replayed": count,
        },
    )
