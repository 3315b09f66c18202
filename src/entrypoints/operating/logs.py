"""Both logs with their consumers, to look at and to act on."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.unit_of_work import make_engine
from entrypoints.settings import Settings
from entrypoints.worker.consumers import EFFECTS_TOPIC, PAYMENT_EVENTS_TOPIC, consumers
from outbox import Consumer, Event, Operations, OrderedInbox, Outbox, UnorderedInbox

PUBLISHERS = ("dramatiq",)
LOGS: Mapping[str, str] = {"payments": PAYMENT_EVENTS_TOPIC, "orders": EFFECTS_TOPIC}
"""The logs, by the schema they are in, with what each publishes."""
CONSUMERS: Mapping[str, str] = {
    consumer: log for log, topic in LOGS.items() for consumer in consumers()[topic]
}
"""The consumers, with the log that each follows."""


@dataclass(frozen=True, slots=True)
class Operating:
    """The operations of each log by its name, and the databases behind them."""

    payments: AsyncEngine
    orders: AsyncEngine
    logs: Mapping[str, Operations]


def operations_of(payments: AsyncEngine, orders: AsyncEngine) -> dict[str, Operations]:
    """The operations of each log by its name; both consumers keep their inboxes with the orders."""
    (order_name,), (effect_name,) = consumers()[PAYMENT_EVENTS_TOPIC], consumers()[EFFECTS_TOPIC]
    ordered = OrderedInbox("orders", order_name, _apply_nothing)
    unordered = UnorderedInbox("orders", effect_name, _carry_out_nothing)
    return {
        "payments": Operations(
            payments, Outbox("payments"), PUBLISHERS, [Consumer(orders, ordered, PAYMENT_EVENTS_TOPIC)]
        ),
        "orders": Operations(
            orders, Outbox("orders"), PUBLISHERS, [Consumer(orders, unordered, EFFECTS_TOPIC)]
        ),
    }


@asynccontextmanager
async def operating(settings: Settings) -> AsyncIterator[Operating]:
    """The operations on the databases of these settings, which need nothing else. Raises SettingsInvalid."""
    if not (settings.orders_database_url and settings.payments_database_url):
        settings.require("database_url")
    payments, orders = (
        make_engine(
            url.reveal(),
            pool_size=2,
            application="payonce-operator",
            pooled=settings.database_pooler == "transaction",
        )
        for url in (settings.payments_database_url, settings.orders_database_url)
    )
    try:
        yield Operating(payments, orders, operations_of(payments, orders))
    finally:
        await payments.dispose()
        await orders.dispose()


async def _apply_nothing(_connection: AsyncConnection, _events: Sequence[Event], /) -> None:
    raise RuntimeError("events are applied by workers, not by operators")


async def _carry_out_nothing(_event: Event, /) -> None:
    raise RuntimeError("effects are carried out by workers, not by operators")
