"""The ledger, for commands: in the payments' database, and beside the gateway where one is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from adapters.cloudevents import payment_events
from adapters.postgres.engine import make_engine
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from domain.payments.routing import Gateways
from entrypoints.composition.ledger import LedgerPart, build_ledger
from entrypoints.data_keys import vault_of_settings
from entrypoints.gateways import build_gateways
from entrypoints.settings import Settings
from entrypoints.traces import current_traceparent
from outbox import Outbox


@asynccontextmanager
async def opened_ledger(
    settings: Settings, *, asks_gateway: bool, reads_payments: bool
) -> AsyncIterator[LedgerPart]:
    """Raises SettingsInvalid, where the gateway is asked also for want of its key.

    What `reads_payments` themselves needs the keys that open their rows, too.
    """
    if not settings.payments_database_url:
        settings.require("database_url")
    clock, ids = SystemClock(), SystemIds()
    gateways = build_gateways(settings, clock.now).gateways if asks_gateway else Gateways(())
    engine = make_engine(
        settings.payments_database_url.reveal(),
        pool_size=2,
        application="payonce-operator",
        pooled=settings.database_pooler == "transaction",
        vault=vault_of_settings(settings) if reads_payments else None,
    )
    encode = partial(payment_events.encode, traceparent=current_traceparent)
    uow = partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, _nobody)
    try:
        yield build_ledger(uow, gateways, clock, ids)
    finally:
        for account in gateways.accounts:
            await account.gateway.aclose()
        await engine.dispose()


def _nobody() -> None:
    """The ledger has no events that a relay could be woken for."""
