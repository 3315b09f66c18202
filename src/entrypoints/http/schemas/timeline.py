"""What `explain` and `stream` answer."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

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


EntryText = Annotated[
    str,
    Meta(
        extra_json_schema={
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/TimelineEntryAnswer"},
        }
    ),
]


class StreamEvent(Answered):
    """One Server-Sent Event, in the form in which OpenAPI before 3.2 describes a stream: event by event."""

    data: EntryText
    """An entry as `explain` has it, as JSON."""
    id: str | UnsetType = UNSET
    """The position in the order's history to go on behind; none of what comes from elsewhere."""
