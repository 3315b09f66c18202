"""How far the messages around an order are: what it asked the world outside for, and the events it is to follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.orders.attempt import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectProgress:
    """How far something is that an order asked the world outside for. `cause` is the last failure's."""

    effect_id: UUID
    type: str
    about: str
    caused_by: UUID | None
    consumer: str
    asked_at: datetime
    received_at: datetime | None = None
    attempts: int = 0
    due_at: datetime | None = None
    done_at: datetime | None = None
    parked_at: datetime | None = None
    cause: str | None = None
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProgress:
    """A payment event that came and was not applied: it waits for others, failed, or is parked."""

    event_id: UUID
    attempts: int
    due_at: datetime | None
    parked_at: datetime | None
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryProgress:
    """How far an outgoing webhook is; `error` and `http_status` are of the last attempt."""

    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    status: str
    tries: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    http_status: int | None = None
    error: str | None = None


class Progress(Protocol):
    """Reads logs and inboxes, for `explain`; what they have dropped after their retention is not told."""

    async def of_effects(self, order_id: str) -> Sequence[EffectProgress]:
        """In the order in which they were asked for."""
        ...

    async def of_events(self, payment_ids: Sequence[str]) -> Sequence[EventProgress]:
        """Events of these payments that the order side holds and has not applied."""
        ...

    async def of_deliveries(self, order_id: str) -> Sequence[DeliveryProgress]:
        """Webhooks about this order to endpoints outside, in the order of their making."""
        ...

    async def of_attempts(self, order_id: str) -> Sequence[Attempt]:
        """Those that the payment side has not answered yet."""
        ...
