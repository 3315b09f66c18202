"""Reconciliation, made and joined: the books of both services, and where findings are kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.reconciliation import PostgresLocks, PostgresReconciliationUnitOfWork
from adapters.postgres.statements import PostgresOrderStatements
from adapters.services.repairs import OrderRepairs
from domain.orders.ports import PaymentService
from domain.reconciliation.order_ports import PaymentBook
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.ports import Locks, UnitOfWorkFactory
from domain.reconciliation.use_cases.compare_orders import CompareOrdersHandler
from domain.reconciliation.use_cases.give_back import GiveBackHandler
from domain.reconciliation.use_cases.measure import MeasureHandler
from domain.reconciliation.use_cases.read_findings import ListFindingsHandler
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from domain.reconciliation.use_cases.settle_finding import SettleFindingHandler
from domain.reconciliation.use_cases.summarize_day import SummarizeDayHandler
from domain.shared.system import Clock
from entrypoints.composition.outside import Outside
from entrypoints.mail import build_operator_notifier
from entrypoints.settings import Settings
from entrypoints.worker.subscriptions import ORDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What the order service finds about its orders, kept in its database."""

    unit_of_work: Callable[[], PostgresReconciliationUnitOfWork]
    locks: Locks
    compare_orders: CompareOrdersHandler
    measure: MeasureHandler
    list_findings: ListFindingsHandler
    settle_finding: SettleFindingHandler
    summarize_day: SummarizeDayHandler
    service: PaymentService
    clock: Clock

    def give_back(self, repairer: str) -> GiveBackHandler:
        """`repairer` is who repairs, in the audit log and to the refund policy."""
        return GiveBackHandler(
            self.compare_orders.orders,
            self.compare_orders.payments,
            OrderRepairs(self.service, self.clock, repairer),
            self.unit_of_work,
            self.clock,
            repairer,
        )


def build_reconciliation(
    settings: Settings,
    outside: Outside,
    orders: AsyncEngine,
    payments: PaymentBook,
    service: PaymentService,
    *,
    databases: Sequence[UnitOfWorkFactory],
) -> Reconciliation:
    """`databases` are all that this process has in which findings are kept: they count in the measures."""
    uow = partial(PostgresReconciliationUnitOfWork, orders, "orders")
    record = RecordDifferencesHandler(uow, RepairPolicy(settings.repair_policy), outside.clock, outside.ids)
    measure = MeasureHandler(databases, outside.clock)
    return Reconciliation(
        unit_of_work=uow,
        locks=PostgresLocks(orders),
        compare_orders=CompareOrdersHandler(
            PostgresOrderStatements(orders, ORDERS.consumer),
            payments,
            record,
            uow,
            outside.clock,
            timedelta(seconds=settings.reconcile_grace_seconds),
        ),
        measure=measure,
        list_findings=ListFindingsHandler(databases),
        settle_finding=SettleFindingHandler(databases, outside.clock),
        summarize_day=SummarizeDayHandler(
            measure, outside.operators or build_operator_notifier(settings, outside.clock), outside.clock
        ),
        service=service,
        clock=outside.clock,
    )
