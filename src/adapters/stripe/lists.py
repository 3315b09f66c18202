"""Stripe's lists, page by page (https://docs.stripe.com/api/pagination)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any

import msgspec

from adapters.stripe.event_types import FOLLOWED_TYPES
from adapters.stripe.snapshots import Unreadable, object_id, timestamp
from adapters.stripe.webhooks import read_event
from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayUnreadable,
    IntentSnapshot,
    RefundSnapshot,
    UnreadableReport,
)
from domain.payments.gateway_lists import LISTED_AT_ONCE, EventPage, Listed, ListedEvent, ListPage
from domain.payments.webhook import WebhookBodyInvalid

EVENTS_PATH = "/v1/events"
DISPUTES_PATH = "/v1/disputes"

Snapshot = IntentSnapshot | RefundSnapshot | DisputeSnapshot


def range_query(since: datetime, until: datetime, after: str | None) -> dict[str, Any]:
    """The parameters of a list of what was created in [since, until): Stripe knows whole seconds."""
    created = {"gte": int(since.timestamp()), "lt": ceil(until.timestamp())}
    query: dict[str, Any] = {"created": created, "limit": LISTED_AT_ONCE}
    return query if after is None else {**query, "starting_after": after}


def events_behind(after: str) -> dict[str, Any]:
    """Stripe lists backwards, and `ending_before` gives what comes just behind an event."""
    return {"types": list(FOLLOWED_TYPES), "limit": LISTED_AT_ONCE, "ending_before": after}


def events_since(since: datetime) -> dict[str, Any]:
    return {"types": list(FOLLOWED_TYPES), "created": {"gte": int(since.timestamp())}}


def read_page(
    read: Callable[[Mapping[str, Any]], Snapshot], items: Sequence[Mapping[str, Any]], more: bool
) -> ListPage:
    """Raises GatewayUnreadable where an object has no time."""
    return ListPage([_listed(read, item) for item in items], items[-1]["id"] if more else None)


def _listed(read: Callable[[Mapping[str, Any]], Snapshot], item: Mapping[str, Any]) -> Listed:
    snapshot: Snapshot | UnreadableReport
    try:
        created_at = timestamp(item.get("created"))
    except Unreadable as cause:
        raise GatewayUnreadable(f"a list: {cause}") from cause
    try:
        snapshot = read(item)
    except Unreadable as fault:
        snapshot = UnreadableReport(intent_id=_intent_of(item), fault=str(fault))
    return Listed(item["id"], created_at, snapshot)


def _intent_of(item: Mapping[str, Any]) -> str | None:
    try:
        return object_id(item, "payment_intent")
    except Unreadable:
        return None


def read_events(items: Sequence[Mapping[str, Any]], more: bool) -> EventPage:
    """Raises GatewayUnreadable."""
    events: list[ListedEvent] = []
    for item in reversed(items):
        body = msgspec.json.encode(item)
        try:
            events.append(ListedEvent(read_event(body), body))
        except WebhookBodyInvalid as cause:
            raise GatewayUnreadable(f"{EVENTS_PATH}: {cause}") from cause
    return EventPage(events, more)
