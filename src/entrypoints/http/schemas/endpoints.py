"""Bodies and answers of the calls on webhook endpoints and deliveries."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from domain.orders.webhooks.delivery import DeliveryStatus
from domain.orders.webhooks.endpoint import EVERY_PAYMENT_EVENT, OFFERED_TYPES, DisabledReason
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.values import Answered, Strict, Url

EventType = Literal[(EVERY_PAYMENT_EVENT, *OFFERED_TYPES)]  # type: ignore[valid-type]
EventTypes = Annotated[list[EventType], Meta(min_length=1, max_length=50)]
Note = Annotated[str, Meta(max_length=200)]


class RegisterEndpointBody(Strict):
    """`*` is every payment event; `FulfilmentRequested`, which holds an address, and `FulfilmentCanceled` have to
    be named."""

    url: Url
    event_types: EventTypes
    description: Note | None = None


class ChangeEndpointBody(Strict):
    """What is not named stays as it is; an empty description takes it away."""

    url: Url | None = None
    event_types: EventTypes | None = None
    description: Note | None = None
    enabled: bool | None = None


class ListDeliveriesQuery(Strict):
    status: DeliveryStatus | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class ReplayBody(Strict):
    """Deliveries made since then and before `until` (now where it is not given)."""

    since: Annotated[datetime, Meta(tz=True)]
    until: Annotated[datetime, Meta(tz=True)] | None = None
    include_delivered: bool = False
    """Also those that were taken; else those that failed."""


class EndpointAnswer(Answered):
    endpoint_id: str
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    failing_since: datetime | None
    """The first failure after which nothing succeeded."""
    configured: bool
    """Whether the settings say its address, events and secret."""
    previous_secret_until: datetime | None
    """Until when the secret before the last rotation signs too."""
    created_at: datetime
    updated_at: datetime


class EndpointWithSecretAnswer(EndpointAnswer):
    secret: str
    """What signs its messages; shown here and never again."""


class EndpointList(Answered):
    items: list[EndpointAnswer]
    next_cursor: str | None


class AttemptAnswer(Answered):
    at: datetime
    status: int | None
    """The HTTP status; null where there was no answer."""
    latency_ms: int
    error: str | None
    answer: str
    """The beginning of the answer's body."""


class DeliveryAnswer(Answered):
    delivery_id: str
    endpoint_id: str
    event_id: str
    """The `webhook-id`."""
    event_type: str
    order_id: str
    status: DeliveryStatus
    next_attempt_at: datetime | None
    attempts: list[AttemptAnswer]
    created_at: datetime
    finished_at: datetime | None


class DeliveryPage(Answered):
    items: list[DeliveryAnswer]
    next_cursor: str | None


class ReplayAnswer(Answered):
    replayed: int
