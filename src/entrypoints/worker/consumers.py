"""What the order side does with events: the two inboxes and their handlers."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.cloudevents import order_effects, payment_events
from adapters.postgres.orders import PostgresOrders
from domain.orders.use_cases.apply_payment_events import apply_payment_events
from entrypoints.bootstrap import Container, effect_encoder
from outbox import Event, OrderedInbox, UnorderedInbox

PAYMENT_EVENTS_TOPIC = payment_events.TOPIC
EFFECTS_TOPIC = order_effects.TOPIC

_ORDERS = "orders"
_EFFECTS = "effects"

logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PaymentEventsHandler:
    """Applies payment events to orders, in the inbox's transaction."""

    container: Container

    async def __call__(self, connection: AsyncConnection, events: Sequence[Event], /) -> None:
        orders = PostgresOrders(connection, self.container.orders.outbox, effect_encoder(self.container.ids))
        decoded = [payment_events.decode(event) for event in events]
        foreign = await apply_payment_events(orders, decoded)
        for event in foreign:
            logger.info(
                "event_of_foreign_order",
                type=event.type,
                order_id=event.order_id,
                payment_id=event.payment_id,
            )


@dataclass(frozen=True, slots=True)
class EffectsHandler:
    """Carries out what orders ask the world outside for; the event's id is the idempotency key."""

    container: Container

    async def __call__(self, event: Event, /) -> None:
        effect = order_effects.decode(event)
        await self.container.orders.carry_out_effect(effect, str(event.id))


def payment_events_inbox(container: Container) -> OrderedInbox:
    return OrderedInbox(container.orders.outbox.schema, _ORDERS, PaymentEventsHandler(container))


def effects_inbox(container: Container) -> UnorderedInbox:
    return UnorderedInbox(container.orders.outbox.schema, _EFFECTS, EffectsHandler(container))


def consumers() -> dict[str, tuple[str, ...]]:
    """Who consumes which topic."""
    return {PAYMENT_EVENTS_TOPIC: (_ORDERS,), EFFECTS_TOPIC: (_EFFECTS,)}
