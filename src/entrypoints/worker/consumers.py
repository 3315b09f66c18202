"""What the order side does with events: its inboxes and their handlers."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.cloudevents import order_effects, payment_events
from adapters.dramatiq.wire import PUBLISHED_AT
from adapters.postgres.orders import PostgresOrders
from adapters.postgres.stock import PostgresStock
from adapters.postgres.transaction import Transaction
from adapters.system.ids import SystemIds
from domain.orders.effects import Effect, EffectType
from domain.orders.messages import CustomerUnreachable
from domain.orders.use_cases.apply_payment_events import apply_payment_events
from entrypoints.bootstrap import Container
from entrypoints.traces import EventSpans, current_traceparent
from entrypoints.worker.subscriptions import EFFECTS, ORDERS
from outbox import Event, GiveUp, OrderedInbox, RetryPolicy, UnorderedInbox

logger = structlog.stdlib.get_logger(__name__)

RETRIES = {EffectType.NOTIFY_CUSTOMER: RetryPolicy(attempts=32, longest_seconds=3600.0)}
"""Where it is not the usual: a mail server may be away for the better part of a day."""


@dataclass(frozen=True, slots=True)
class PaymentEventsHandler:
    """Applies payment events to orders, in the inbox's transaction."""

    container: Container

    async def __call__(self, connection: AsyncConnection, events: Sequence[Event], /) -> None:
        spans = EventSpans(events, self.container.ids)

        def encode(effect: Effect) -> Event:
            """An effect goes on in the trace of the event that asked for it."""
            cause = effect.caused_by
            trace = partial(spans.of, cause) if cause else current_traceparent
            return order_effects.encode(effect, self.container.ids.event_id, trace)

        transaction = Transaction.within(connection)
        orders = PostgresOrders(transaction, self.container.orders.outbox, encode, personal=False)
        decoded = [payment_events.decode(event) for event in events]
        published_at = {
            event.id: time for event in events if (time := event.headers.get(PUBLISHED_AT)) is not None
        }
        stock = PostgresStock(transaction)
        foreign = await apply_payment_events(
            orders, stock, decoded, published_at, self.container.orders.money_policy
        )
        if logging.getLogger(__name__).isEnabledFor(logging.DEBUG):
            for event in decoded:
                with spans.work_on(event.event_id):
                    logger.debug("event_applied", type=event.type, order_id=event.order_id)
        for event in foreign:
            with spans.work_on(event.event_id):
                logger.info(
                    "event_of_foreign_order",
                    type=event.type,
                    order_id=event.order_id,
                    payment_id=event.payment_id,
                )


CarryOut = Callable[[Effect, str], Awaitable[None]]
"""Carries out an effect; the text is its idempotency key."""


@dataclass(frozen=True, slots=True)
class EffectsHandler:
    """Carries out what orders ask the world outside for; the event's id is the idempotency key."""

    ids: SystemIds
    carry_out: CarryOut

    async def __call__(self, event: Event, /) -> None:
        with EventSpans([event], self.ids).work_on(event.id):
            await self.carry_out(order_effects.decode(event), str(event.id))


async def tell_customer(container: Container, effect: Effect, message_id: str) -> None:
    """Raises GiveUp where no repetition would help."""
    try:
        told = await container.orders.tell_customer(effect, message_id)
    except CustomerUnreachable as error:
        raise GiveUp(str(error)) from error
    logger.info("customer_told", order_id=effect.order_id, about=effect.about, told=told)


async def notify_warehouse(container: Container, effect: Effect, event_id: str) -> None:
    await (
        container.orders.webhooks.configure()
    )  # or an order would count as accepted before its endpoint is known
    became = await container.orders.notify_warehouse(effect, event_id)
    logger.info("warehouse_notified", order_id=effect.order_id, became=became)


def payment_events_inbox(container: Container) -> OrderedInbox:
    return OrderedInbox(container.orders.outbox.schema, ORDERS.consumer, PaymentEventsHandler(container))


def effect_inboxes(container: Container) -> Sequence[UnorderedInbox]:
    """One for each effect's consumer; they share their tables."""
    carriers: dict[EffectType, CarryOut] = {
        EffectType.NOTIFY_CUSTOMER: partial(tell_customer, container),
        EffectType.RESTOCK: container.orders.restock_goods,
        EffectType.NOTIFY_WAREHOUSE: partial(notify_warehouse, container),
    }
    return [
        UnorderedInbox(
            container.orders.outbox.schema,
            subscription.consumer,
            EffectsHandler(container.ids, carriers[type]),
            retry=RETRIES.get(type),
        )
        for type, subscription in EFFECTS.items()
    ]
