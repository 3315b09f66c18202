"""The kept webhooks, to look at and to process again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import msgspec

from adapters.cloudevents import payment_events
from adapters.postgres.engine import make_engine
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.payments.use_cases.replay_webhook import ReplayWebhookHandler
from entrypoints.data_keys import vault_of_settings
from entrypoints.gateways import build_gateways
from entrypoints.settings import Secret, Settings
from entrypoints.traces import current_traceparent
from outbox import Outbox

NOWHERE = "http://127.0.0.1:9"
"""The discard port: whoever has given no key cannot ask the gateway, and learns that it could not be asked."""


@dataclass(frozen=True, slots=True)
class KeptWebhooks:
    unit_of_work: UnitOfWorkFactory
    replay: ReplayWebhookHandler


@asynccontextmanager
async def kept_webhooks(settings: Settings) -> AsyncIterator[KeptWebhooks]:
    """The webhooks in the payments' database, which needs nothing else. Raises SettingsInvalid.

    Only a replay whose report may be out of date asks the gateway, where the settings name its key.
    """
    if not settings.payments_database_url:
        settings.require("database_url")
    if not settings.gateways and not (settings.stripe_api_key and settings.stripe_webhook_secret):
        unset = Secret("unset")
        settings = msgspec.structs.replace(
            settings, stripe_api_key=unset, stripe_webhook_secret=unset, stripe_api_base=NOWHERE
        )
    engine = make_engine(
        settings.payments_database_url.reveal(),
        pool_size=2,
        application="payonce-operator",
        pooled=settings.database_pooler == "transaction",
        vault=vault_of_settings(settings),
    )
    clock = SystemClock()
    encode = partial(payment_events.encode, traceparent=current_traceparent)
    uow = partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, _relays_poll)
    gateways = build_gateways(settings, clock.now).gateways
    try:
        yield KeptWebhooks(
            uow, ReplayWebhookHandler(ReceiveWebhookHandler(uow, gateways, clock, SystemIds()))
        )
    finally:
        for account in gateways.accounts:
            await account.gateway.aclose()
        await engine.dispose()


def _relays_poll() -> None:
    """Nobody is woken: a relay finds the events of a replay within a second."""
