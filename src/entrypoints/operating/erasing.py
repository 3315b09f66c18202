"""Erasing a person's data with the databases and gateways of the settings, of each service that runs here."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import make_engine
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.postgres.sealing import Vault
from adapters.system.clock import SystemClock
from domain.payments.use_cases.delete_gateway_customers import DeleteGatewayCustomersHandler
from domain.shared.erasure import EraseCustomerHandler
from entrypoints.data_keys import vault_of_settings
from entrypoints.gateways import build_gateways
from entrypoints.settings import Secret, Settings
from outbox import Outbox


@dataclass(slots=True)
class Erasing:
    services: dict[str, EraseCustomerHandler] = field(default_factory=dict)
    """By name; a service that has its own processes erases what it keeps there."""
    delete_at_gateways: DeleteGatewayCustomersHandler | None = None


def service_engines(settings: Settings, vault: Vault) -> Mapping[str, AsyncEngine]:
    """An engine for the database of each service that these settings run. Raises SettingsInvalid."""
    settings.require_databases()
    names = ("orders", "payments") if settings.service == "all" else (settings.service,)
    urls: dict[str, Secret] = {name: getattr(settings, f"{name}_database_url") for name in names}
    pooled = settings.database_pooler == "transaction"
    return {
        name: make_engine(
            url.reveal(), pool_size=2, application="payonce-operator", pooled=pooled, vault=vault
        )
        for name, url in urls.items()
    }


@asynccontextmanager
async def erasing(settings: Settings) -> AsyncIterator[Erasing]:
    """Raises SettingsInvalid, KeysInvalid."""
    engines = service_engines(settings, vault_of_settings(settings))
    clock, made = SystemClock(), Erasing()
    async with AsyncExitStack() as stack:
        for engine in engines.values():
            stack.push_async_callback(engine.dispose)
        if "orders" in engines:
            engine = engines["orders"]
            orders = partial(
                PostgresOrdersUnitOfWork, engine, Outbox("orders"), _writes_no_events, _wakes_nobody
            )
            made.services["orders"] = EraseCustomerHandler(orders, clock)
        if "payments" in engines:
            engine = engines["payments"]
            payments = partial(
                PostgresPaymentsUnitOfWork, engine, Outbox("payments"), _writes_no_events, _wakes_nobody
            )
            made.services["payments"] = EraseCustomerHandler(payments, clock)
            gateways = build_gateways(settings, clock.now).gateways
            for account in gateways.accounts:
                stack.push_async_callback(account.gateway.aclose)
            made.delete_at_gateways = DeleteGatewayCustomersHandler(payments, gateways)
        yield made


def _writes_no_events(_event: object) -> NoReturn:
    raise RuntimeError("erasing tells nobody anything")


def _wakes_nobody() -> None:
    """No relay has anything to publish."""
