"""Where findings are kept: with the orders, and with the payments where these have a database of their own."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.reconciliation import PostgresReconciliationUnitOfWork
from domain.reconciliation.ports import UnitOfWorkFactory
from entrypoints.settings import Settings


def databases_of(
    settings: Settings, orders: AsyncEngine, payments: AsyncEngine | None
) -> list[UnitOfWorkFactory]:
    """Each once, the orders' first; without the payments' where that is another service's."""
    databases: list[UnitOfWorkFactory] = [partial(PostgresReconciliationUnitOfWork, orders, "orders")]
    if payments is not None and settings.orders_database_url != settings.payments_database_url:
        databases.append(partial(PostgresReconciliationUnitOfWork, payments, "payments"))
    return databases
