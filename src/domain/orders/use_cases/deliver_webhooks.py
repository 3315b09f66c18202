"""Send what is due to endpoints, and note what they answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.orders.history import carried_out
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.status import NOT_TO_BE_SHIPPED
from domain.orders.webhooks.delivery import LEASE, Delivery, SendResult
from domain.orders.webhooks.endpoint import FULFILMENT_REQUESTED, WebhookEndpoint
from domain.orders.webhooks.ports import Message, Spread, WebhookSender
from domain.shared.system import Clock

PER_ENDPOINT = 4
"""How many deliveries one process sends to one endpoint at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours to send until the lease ends."""

    delivery: Delivery
    endpoint: WebhookEndpoint
    lease: datetime
    secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of an attempt; `disabled` where it was the one that ended the patience with its endpoint."""

    delivery: Delivery
    result: SendResult
    endpoint: WebhookEndpoint | None
    disabled: bool


@dataclass(frozen=True, slots=True)
class DeliverWebhooksHandler:
    """At least once: an attempt that was sent and not noted is made again, with the same `webhook-id`."""

    unit_of_work: UnitOfWorkFactory
    sender: WebhookSender
    clock: Clock
    spread: Spread

    async def claim(self, busy: Mapping[str, int], limit: int) -> Sequence[Claimed]:
        """Up to `limit` due deliveries, each to be handed to `deliver`; `busy` counts those in hand by endpoint."""
        now = self.clock.now()
        lease = now + LEASE
        async with self.unit_of_work() as uow:
            due = await uow.deliveries.claim(
                busy=busy, per_endpoint=PER_ENDPOINT, limit=limit, now=now, until=lease
            )
            if not due:
                return []
            endpoints = {endpoint.endpoint_id: endpoint for endpoint in await uow.endpoints.all()}
            await uow.commit()
        return [
            Claimed(delivery=one, endpoint=endpoint, lease=lease, secrets=endpoint.secrets_at(now))
            for one in due
            if (endpoint := endpoints.get(one.endpoint_id))
        ]

    async def deliver(self, claimed: Claimed) -> Delivered:
        """Send it once and note the answer; a fulfilment request's 2xx accepts its order in the same transaction."""
        delivery = claimed.delivery
        if (withdrawn := await self._withdraw(claimed)) is not None:
            return withdrawn
        result = await self.sender.send(
            Message(
                url=claimed.endpoint.url,
                webhook_id=delivery.event_id,
                sent_at=self.clock.now(),
                body=delivery.body.encode(),
                secrets=claimed.secrets,
            )
        )
        now = self.clock.now()
        delivery.record(result, now, self.spread())
        async with self.unit_of_work() as uow:
            if result.is_accepted and delivery.event_type == FULFILMENT_REQUESTED:
                order = (await uow.orders.lock([delivery.order_id])).get(delivery.order_id)
                if order is not None and order.accepted_at is None:
                    order.accept_fulfilment(now)
                    order.note(carried_out("warehouse accepted", delivery.event_id))
                    await uow.orders.save([order])
            await uow.deliveries.conclude(delivery, claimed.lease)
            endpoint = await uow.endpoints.get(delivery.endpoint_id)
            was_enabled = endpoint is not None and endpoint.is_enabled
            if endpoint is not None and endpoint.follow(result, now):
                # Seldom: again under its lock, where another answer may have come in between.
                endpoint = await uow.endpoints.lock(delivery.endpoint_id)
                was_enabled = endpoint is not None and endpoint.is_enabled
                if endpoint is not None and endpoint.follow(result, now):
                    await uow.endpoints.save(endpoint)
            await uow.commit()
        disabled = was_enabled and endpoint is not None and not endpoint.is_enabled
        return Delivered(delivery=delivery, result=result, endpoint=endpoint, disabled=disabled)

    async def _withdraw(self, claimed: Claimed) -> Delivered | None:
        """A fulfilment request waits for days at times: it is not sent once its order is not to be shipped."""
        delivery = claimed.delivery
        if delivery.event_type != FULFILMENT_REQUESTED:
            return None
        async with self.unit_of_work() as uow:
            order = await uow.orders.get(delivery.order_id)
            if order is None or order.status not in NOT_TO_BE_SHIPPED:
                return None
            result = delivery.withdraw(f"not sent: the order is {order.status}", self.clock.now())
            await uow.deliveries.conclude(delivery, claimed.lease)
            await uow.commit()
        return Delivered(delivery=delivery, result=result, endpoint=claimed.endpoint, disabled=False)
