"""Webhook endpoints and their deliveries in memory; `tests/contract/repositories` holds them to the ports."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from domain.orders.webhooks.delivery import Delivery, DeliveryStatus
from domain.orders.webhooks.endpoint import DisabledReason, WebhookEndpoint
from domain.orders.webhooks.ports import DeliveryCounts

if TYPE_CHECKING:
    from tests.support.memory import Transaction


@dataclass(slots=True)
class MemoryEndpoints:
    transaction: "Transaction"

    async def add(self, endpoint: WebhookEndpoint) -> None:
        if await self.transaction.read("endpoint", endpoint.endpoint_id) is None:
            await self.transaction.insert("endpoint", endpoint.endpoint_id, endpoint)

    async def get(self, endpoint_id: str) -> WebhookEndpoint | None:
        found: WebhookEndpoint | None = await self.transaction.read("endpoint", endpoint_id)
        return found if found is not None and found.deleted_at is None else None

    async def lock(self, endpoint_id: str) -> WebhookEndpoint | None:
        await self.transaction.lock(f"endpoint {endpoint_id}")
        return await self.get(endpoint_id)

    async def save(self, endpoint: WebhookEndpoint) -> None:
        await self.transaction.update("endpoint", endpoint.endpoint_id, endpoint)

    async def all(self) -> Sequence[WebhookEndpoint]:
        found: list[WebhookEndpoint] = await self.transaction.read_all("endpoint")
        return sorted((one for one in found if one.deleted_at is None), key=lambda one: one.endpoint_id)

    async def remove_deleted(self) -> None:
        used = {one.endpoint_id for one in await self.transaction.read_all("delivery")}
        for endpoint in await self.transaction.read_all("endpoint"):
            if endpoint.deleted_at is not None and endpoint.endpoint_id not in used:
                await self.transaction.delete("endpoint", endpoint.endpoint_id)


@dataclass(slots=True)
class MemoryDeliveries:
    transaction: "Transaction"

    async def add(self, deliveries: Sequence[Delivery]) -> int:
        known = {(one.endpoint_id, one.event_id) for one in await self._all()}
        new = [one for one in deliveries if (one.endpoint_id, one.event_id) not in known]
        for delivery in new:
            await self.transaction.insert("delivery", delivery.delivery_id, delivery)
        return len(new)

    async def get(self, delivery_id: str) -> Delivery | None:
        found: Delivery | None = await self.transaction.read("delivery", delivery_id)
        return found

    async def claim(
        self, *, busy: Mapping[str, int], per_endpoint: int, limit: int, now: datetime, until: datetime
    ) -> Sequence[Delivery]:
        due = sorted(
            (one.due_at, one.delivery_id)
            for one in await self._all()
            if one.due_at is not None and one.due_at <= now
        )
        taken: list[Delivery] = []
        counts = dict(busy)
        for _, delivery_id in due:
            if len(taken) == limit or not await self.transaction.lock_free(f"delivery {delivery_id}"):
                continue
            delivery = await self.get(delivery_id)
            if delivery is None or delivery.due_at is None or delivery.due_at > now:
                continue
            endpoint: WebhookEndpoint = await self.transaction.read("endpoint", delivery.endpoint_id)
            if counts.get(delivery.endpoint_id, 0) < per_endpoint and _is_open(endpoint, now):
                counts[delivery.endpoint_id] = counts.get(delivery.endpoint_id, 0) + 1
                delivery.due_at = until
                await self.transaction.update("delivery", delivery_id, delivery)
                taken.append(delivery)
        return sorted(taken, key=lambda one: one.delivery_id)

    async def conclude(self, delivery: Delivery, lease: datetime) -> bool:
        await self.transaction.lock(f"delivery {delivery.delivery_id}")
        saved = await self.get(delivery.delivery_id)
        if saved is None or saved.due_at != lease:
            return False
        await self.transaction.update("delivery", delivery.delivery_id, delivery)
        return True

    async def list(
        self, *, endpoint_id: str, status: DeliveryStatus | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        found = [
            one
            for one in await self._all()
            if one.endpoint_id == endpoint_id
            and status in (None, one.status)
            and (after is None or one.delivery_id < after)
        ]
        return sorted(found, key=lambda one: one.delivery_id, reverse=True)[:limit]

    async def replay(self, delivery_ids: Collection[str], now: datetime) -> int:
        count = 0
        for delivery_id in delivery_ids:
            await self.transaction.lock(f"delivery {delivery_id}")
            delivery = await self.get(delivery_id)
            if delivery is not None and delivery.replay(now):
                await self.transaction.update("delivery", delivery_id, delivery)
                count += 1
        return count

    async def finished_between(
        self,
        *,
        endpoint_id: str,
        statuses: Collection[DeliveryStatus],
        since: datetime,
        until: datetime,
        finished_before: datetime,
        limit: int,
    ) -> Sequence[str]:
        found = [
            one
            for one in await self._all()
            if one.endpoint_id == endpoint_id
            and one.status in statuses
            and since <= one.created_at < until
            and one.finished_at is not None
            and one.finished_at < finished_before
        ]
        return [one.delivery_id for one in sorted(found, key=lambda one: one.created_at)][:limit]

    async def forget(self, *, finished_before: datetime, limit: int) -> int:
        count = 0
        for delivery in await self._all():
            endpoint: WebhookEndpoint = await self.transaction.read("endpoint", delivery.endpoint_id)
            is_old = delivery.finished_at is not None and delivery.finished_at < finished_before
            is_stale = (
                delivery.status is DeliveryStatus.PENDING
                and endpoint.disabled_at is not None
                and endpoint.disabled_at < finished_before
                and delivery.created_at < finished_before
            )
            if count < limit and (is_old or is_stale or endpoint.deleted_at is not None):
                await self.transaction.delete("delivery", delivery.delivery_id)
                count += 1
        return count

    async def counts(self, now: datetime) -> DeliveryCounts:
        endpoints = {
            one.endpoint_id: one
            for one in await self.transaction.read_all("endpoint")
            if one.deleted_at is None
        }
        overdue = [
            (now - one.due_at).total_seconds()
            for one in await self._all()
            if one.due_at is not None and one.due_at <= now and _is_open(endpoints.get(one.endpoint_id), now)
        ]
        statuses = [one.status for one in await self._all()]
        return DeliveryCounts(
            pending=statuses.count(DeliveryStatus.PENDING),
            failed=statuses.count(DeliveryStatus.FAILED),
            disabled_endpoints=sum(
                one.disabled_reason in (DisabledReason.GONE, DisabledReason.FAILING)
                for one in endpoints.values()
            ),
            oldest_overdue_seconds=max(overdue, default=0.0),
        )

    async def _all(self) -> "Sequence[Delivery]":
        found: Sequence[Delivery] = await self.transaction.read_all("delivery")
        return found


def _is_open(endpoint: WebhookEndpoint | None, now: datetime) -> bool:
    return (
        endpoint is not None
        and endpoint.deleted_at is None
        and endpoint.is_enabled
        and (endpoint.paused_until is None or endpoint.paused_until <= now)
    )
