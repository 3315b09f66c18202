"""Webhooks of ours as operators see them: the order side's database, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from adapters.cloudevents import order_effects
from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from entrypoints.data_keys import vault_of_settings
from entrypoints.outgoing_webhooks import OutgoingWebhooks, build_outgoing_webhooks
from entrypoints.settings import Settings
from outbox import Outbox


@asynccontextmanager
async def outgoing_webhooks(settings: Settings) -> AsyncIterator[OutgoingWebhooks]:
    """Endpoints and deliveries, to look at and to act on. Raises SettingsInvalid."""
    if not settings.orders_database_url:
        settings.require("database_url")
    engine = make_engine(
        settings.orders_database_url.reveal(),
        pool_size=2,
        application="payonce-operator",
        pooled=settings.database_pooler == "transaction",
        vault=vault_of_settings(settings),
    )
    ids = SystemIds()
    encode = partial(order_effects.encode, event_id=ids.event_id, traceparent=lambda: None)
    uow = partial(PostgresOrdersUnitOfWork, engine, Outbox("orders"), encode, _workers_poll)
    try:
        yield build_outgoing_webhooks(settings, uow, SystemClock(), ids)
    finally:
        await engine.dispose()


def _workers_poll() -> None:
    """Nobody is woken: a worker finds what is due within a second."""
