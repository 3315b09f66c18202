"""Both logs with their consumers, to look at and to act on."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import make_engine
from adapters.postgres.sealing import Vault
from entrypoints.settings import Settings
from entrypoints.worker.subscriptions import EFFECTS, ORDERS, SUBSCRIPTIONS, Subscription
from entrypoints.worker.webhook_log import PUBLISHER as WEBHOOKS
from outbox import Consumer, Event, Follower, Operations, OrderedInbox, Outbox, Selection, UnorderedInbox

PUBLISHERS = ("dramatiq",)
"""Who reads each log."""
PAYMENT_PUBLISHERS = (*PUBLISHERS, WEBHOOKS)
"""The log of payments is read for our webhooks as well."""
LOGS: Sequence[str] = tuple(dict.fromkeys(one.log for one in SUBSCRIPTIONS))
"""The logs, by the schema they are in."""
CONSUMERS: Mapping[str, Subscription] = {one.consumer: one for one in SUBSCRIPTIONS}
"""The consumers, with what each follows."""


@dataclass(frozen=True, slots=True)
class Operating:
    """The operations of each log by its name, and the databases behind them."""

    payments: AsyncEngine
    orders: AsyncEngine
    logs: Mapping[str, Operations]


LoggedEvents = Callable[[str], Awaitable[Sequence[Event]]]
"""What the payments' log still has of a payment, in its order."""


@dataclass(frozen=True, slots=True)
class LoggedStreams:
    """`LoggedEvents` where the log is here."""

    log: Operations

    async def __call__(self, payment_id: str) -> Sequence[Event]:
        selection = Selection(topics=[ORDERS.topic], stream=payment_id)
        return [listed.event async for page in self.log.select(selection) for listed in page]


def operations_of(
    payments: AsyncEngine | None, orders: AsyncEngine | None, elsewhere: Sequence[Follower] = ()
) -> dict[str, Operations]:
    """The operations of each log by its name, of the services whose databases these are.

    All consumers keep their inboxes with the orders; `elsewhere` are those of the payments' log where that is
    another process.
    """
    logs: dict[str, Operations] = {}
    if payments is not None:
        ordered = OrderedInbox("orders", ORDERS.consumer, _apply_nothing)
        consumers = [Consumer(orders, ordered, ORDERS.topic)] if orders is not None else []
        logs["payments"] = Operations(payments, Outbox("payments"), PAYMENT_PUBLISHERS, consumers, elsewhere)
    if orders is not None:
        effects = [
            Consumer(orders, UnorderedInbox("orders", one.consumer, _carry_out_nothing), one.topic)
            for one in EFFECTS.values()
        ]
        logs["orders"] = Operations(orders, Outbox("orders"), PUBLISHERS, effects)
    return logs


@asynccontextmanager
async def operating(settings: Settings, vault: Vault | None = None) -> AsyncIterator[Operating]:
    """The operations on the databases of these settings, which need nothing else. Raises SettingsInvalid.

    `vault` is for those who read more of these databases than the logs.
    """
    if not (settings.orders_database_url and settings.payments_database_url):
        settings.require("database_url")
    payments, orders = (
        make_engine(
            url.reveal(),
            pool_size=2,
            application="payonce-operator",
            pooled=settings.database_pooler == "transaction",
            vault=vault,
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
