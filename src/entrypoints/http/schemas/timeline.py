"""What `explain` and `stream` answer."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from domain.orders.status import OrderStatus
from domain.shared.timeline import TimelineKind
from entrypoints.http.schemas.values import Answered, Strict


class TimelineEntryAnswer(Answered):
    """One thing that happened, its causes before it: `title` and `reason` for people, the rest for engineers."""

    at: datetime
    kind: TimelineKind
    title: str
    reason: str | None
    position: int | None
    """Its place in the order's history, which `stream` goes by; null for what comes from elsewhere."""
    ids: dict[str, str]
    """By the names that the API has for them: `requestId`, `eventId`, `gatewayPaymentIntentId` …"""
    details: dict[str, str | int | bool | None]


class StreamQuery(Strict):
    last_event_id: Annotated[int, Meta(ge=0, le=10**18, description="As the header `Last-Event-ID`.")] = 0


class ExplainAnswer(Answered):
    """Everything that happened to an order, as far as the caller may see it."""

    order_id: str
    status: OrderStatus
    attention: str | None
    """The most urgent of what a person must look at, if anything."""
    attentions: list[str]
    """All that a person must look at, the most urgent first."""
    entries: list[TimelineEntryAnswer]
