"""What outgoing webhooks need from outside: where they are kept, and who sends them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from domain.orders.webhooks.delivery import Delivery, DeliveryStatus, SendResult
from domain.orders.webhooks.endpoint import WebhookEndpoint


class Endpoints(Protocol):
    """Those that are deleted are not found."""

    async def add(self, endpoint: WebhookEndpoint) -> None:
        """Does nothing where its id is taken: somebody else made the same one."""
        ...

    async def get(self, endpoint_id: str) -> WebhookEndpoint | None: ...

    async def lock(self, endpoint_id: str) -> WebhookEndpoint | None:
        """The same, locked until the end of the unit of work; after orders and deliveries, if those are too."""
        ...

    async def save(self, endpoint: WebhookEndpoint) -> None: ...

    async def all(self) -> Sequence[WebhookEndpoint]:
        """Every one, the oldest first: there are a few."""
        ...

    async def remove_deleted(self) -> None:
        """Remove the rows of deleted ones that have no delivery left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryCounts:
    """How deliveries stand; numbers are counted up to 1000 so that it stays cheap whatever there is."""

    pending: int
    failed: int
    disabled_endpoints: int
    """Without those that somebody disabled on purpose."""
    oldest_overdue_seconds: float
    """For how long the delivery of an enabled endpoint that has waited longest has been due; 0 where none is."""


class Deliveries(Protocol):
    async def add(self, deliveries: Sequence[Delivery]) -> int:
        """Those whose endpoint and event are not there yet; how many they were."""
        ...

    async def get(self, delivery_id: str) -> Delivery | None: ...

    async def claim(
        self, *, busy: Mapping[str, int], per_endpoint: int, limit: int, now: datetime, until: datetime
    ) -> Sequence[Delivery]:
        """Due deliveries of enabled endpoints, whose lease is ours `until` then: nobody else has them before.

        `busy` says how many of an endpoint's the caller has in hand already, of `per_endpoint`.
        """
        ...

    async def conclude(self, delivery: Delivery, lease: datetime) -> bool:
        """Write what `record` made of it; False, and nothing is written, where the lease is another's by now."""
        ...

    async def list(
        self, *, endpoint_id: str, status: DeliveryStatus | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first; `after` is the id of the last one already seen."""
        ...

    async def replay(self, delivery_ids: Collection[str], now: datetime) -> int:
        """Make those that are finished due again; how many they were."""
        ...

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
        """Ids of those that were made in this time and finished before then, the oldest first."""
        ...

    async def forget(self, *, finished_before: datetime, limit: int) -> int:
        """Remove what was finished before then, what has waited for a disabled endpoint since before then, and
        whatever belongs to a deleted endpoint; how many rows, at most `limit`."""
        ...

    async def counts(self, now: datetime) -> DeliveryCounts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventToSend:
    """An event as it is sent to those who want its type."""

    event_id: str
    event_type: str
    order_id: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One attempt."""

    url: str
    webhook_id: str
    sent_at: datetime
    body: bytes = field(repr=False)
    secrets: Sequence[str] = field(repr=False)
    """Each signs it; the newest first."""


class WebhookSender(Protocol):
    async def check(self, url: str) -> None:
        """Raises EndpointUrlRefused where nothing may be sent there, as its name resolves now."""
        ...

    async def send(self, message: Message) -> SendResult:
        """Send it once, within SEND_SECONDS; whatever the endpoint does, or may not be asked, is the result."""
        ...


NewSecret = Callable[[], str]
"""A new signing secret, `whsec_` and 32 random bytes in base64."""

Spread = Callable[[], float]
"""A random number from 0 to 1."""
