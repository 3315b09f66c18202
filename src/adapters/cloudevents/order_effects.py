"""The effects of orders (notify the warehouse, notify the customer, restock) to the outbox and back."""

from collections.abc import Callable, Mapping
from uuid import UUID

import msgspec

from domain.orders.effects import Effect, EffectType
from outbox import Event

TOPICS: Mapping[EffectType, str] = {
    EffectType.NOTIFY_CUSTOMER: "order.notify-customer",
    EffectType.NOTIFY_WAREHOUSE: "order.notify-warehouse",
    EffectType.RESTOCK: "order.restock",
}
"""A topic for each, so that each has a consumer of its own: a warehouse that is down holds up no mail."""


class EffectUnreadable(Exception):
    """An event of these topics does not have the form of an effect."""


def encode(effect: Effect, event_id: Callable[[], UUID], traceparent: Callable[[], str | None]) -> Event:
    """The outbox's event. Effects have no order among themselves; each is known by its id."""
    trace = traceparent()
    return Event(
        id=event_id(),
        topic=TOPICS[effect.type],
        stream=effect.order_id,
        sequence=None,
        type=effect.type,
        payload=msgspec.json.encode(effect),
        headers={"traceparent": trace} if trace else {},
    )


def decode(event: Event) -> Effect:
    """Raises EffectUnreadable."""
    try:
        return msgspec.json.decode(event.payload, type=Effect)
    except msgspec.MsgspecError as error:
        raise EffectUnreadable(f"event {event.id} of type {event.type}: {error}") from error
