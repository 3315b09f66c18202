"""`explain` on the databases alone: neither a broker nor the gateway is needed to look back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NoReturn

from adapters.cloudevents import payment_events
from adapters.postgres.orders import PostgresOrdersUnitOfWork
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.system.currencies import IsoCurrencies
from domain.orders.effects import Effect
from domain.orders.use_cases.explain_order import ExplainOrderHandler
from domain.orders.use_cases.read_orders import GetOrderHandler
from domain.payments.use_cases.read_story import ReadStoryHandler
from domain.reconciliation.use_cases.tell_findings import TellFindingsHandler
from domain.shared.callers import Caller
from entrypoints.data_keys import vault_of_settings
from entrypoints.operating.findings import databases_of
from entrypoints.operating.logs import operating
from entrypoints.operating.progress import progress_of
from entrypoints.settings import Settings
from entrypoints.traces import current_traceparent
from outbox import Outbox

OPERATOR = Caller(subject="payonce", scopes=frozenset({"orders:read", "operations:read", "users:any"}))


@asynccontextmanager
async def explaining(settings: Settings) -> AsyncIterator[ExplainOrderHandler]:
    """Raises SettingsInvalid, KeysInvalid."""
    async with operating(settings, vault_of_settings(settings)) as engines:
        encode = partial(payment_events.encode, traceparent=current_traceparent)
        payments = partial(
            PostgresPaymentsUnitOfWork, engines.payments, Outbox("payments"), encode, _nothing_written
        )
        orders = partial(
            PostgresOrdersUnitOfWork, engines.orders, Outbox("orders"), _asks_for_nothing, _nothing_written
        )
        yield ExplainOrderHandler(
            orders,
            GetOrderHandler(orders),
            ReadStoryHandler(payments, IsoCurrencies()),
            progress_of(engines.orders),
            TellFindingsHandler(databases_of(settings, engines.orders, engines.payments)),
        )


def _asks_for_nothing(_effect: Effect) -> NoReturn:
    raise RuntimeError("looking back asks for no effects")


def _nothing_written() -> None:
    """No relay is to be woken."""
