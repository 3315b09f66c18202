"""Payment events as CloudEvents 1.0 in structured JSON, to the outbox and back.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md; `partitionkey`, `sequence` and
`traceparent` are its published extensions.
"""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from domain.shared.payment_events import EVENT_TYPES, PaymentEvent
from outbox import Event

TOPIC = "payment.events"

SOURCE = "/payments"

ENVELOPE_FIELDS = frozenset({"event_id", "sequence", "occurred_at"})
"""Fields of an event that are attributes of its envelope; the others are its data."""


class EventUnreadable(Exception):
    """An event of this topic does not have the form of a payment event."""


class _CloudEvent(msgspec.Struct, kw_only=True):
    specversion: str
    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    partitionkey: str
    sequence: str
    data: dict[str, Any]
    traceparent: str | msgspec.UnsetType = msgspec.UNSET


def encode(event: PaymentEvent, traceparent: Callable[[], str | None]) -> Event:
    """The outbox's event; the trace context is that of the request under way, where there is one."""
    trace = traceparent()
    envelope = _CloudEvent(
        specversion="1.0",
        id=event.event_id,
        source=SOURCE,
        type=event.type,
        subject=event.payment_id,
        time=event.occurred_at,
        datacontenttype="application/json",
        partitionkey=event.order_id,
        sequence=f"{event.sequence:010d}",  # the extension compares sequences as strings
        traceparent=trace or msgspec.UNSET,
        data=_data(event),
    )
    return Event(
        id=event.event_id,
        topic=TOPIC,
        stream=event.payment_id,
        sequence=event.sequence,
        type=event.type,
        payload=msgspec.json.encode(envelope),
        headers={"traceparent": trace} if trace else {},
    )


def decode(event: Event) -> PaymentEvent:
    """Raises EventUnreadable."""
    try:
        envelope = msgspec.json.decode(event.payload, type=_CloudEvent)
        kind = EVENT_TYPES[envelope.type]
        values = {_snake(name): value for name, value in envelope.data.items()}
        values |= {
            "event_id": str(envelope.id),
            "sequence": int(envelope.sequence),
            "occurred_at": envelope.time,
        }
        if isinstance(values.get("next_action"), dict):
            values["next_action"] = _snake_keys(values["next_action"])
        if isinstance(values.get("last_error"), dict):
            values["last_error"] = _snake_keys(values["last_error"])
        return msgspec.convert(values, kind)
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise EventUnreadable(f"event {event.id} of type {event.type}: {error}") from error


def _data(event: PaymentEvent) -> dict[str, Any]:
    """The fields of this event's type in camel case, without those of the envelope."""
    return {on_wire: _camel_keys(getattr(event, name)) for name, on_wire in _DATA_NAMES[type(event)]}


def _camel_keys(value: Any) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    builtin = msgspec.to_builtins(value)
    if isinstance(builtin, dict):
        return {camel(name): inner for name, inner in builtin.items()}
    return builtin


def _snake_keys(value: dict[str, Any]) -> dict[str, Any]:
    return {_snake(name): inner for name, inner in value.items()}


@cache
def camel(name: str) -> str:
    """A field's name as it is on the wire."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


@cache
def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


_DATA_NAMES = {
    kind: [(field.name, camel(field.name)) for field in fields(kind) if field.name not in ENVELOPE_FIELDS]
    for kind in EVENT_TYPES.values()
}
