"""The comparison of the payments with their gateways, made and joined; its findings stand in the payments' database."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.gateway_statements import PostgresOwnBook
from adapters.postgres.reconciliation import PostgresLocks, PostgresReconciliationUnitOfWork
from adapters.services.gateway_book import Budget, GatewaysBook
from adapters.services.repairs import PaymentRepairs
from domain.payments.use_cases.create_refund import CreateRefundHandler
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.payments.use_cases.take_over_report import TakeOverReportHandler
from domain.reconciliation.policy import RepairPolicy
from domain.reconciliation.ports import Locks, UnitOfWorkFactory
from domain.reconciliation.use_cases.compare_gateway import CompareGatewayHandler
from domain.reconciliation.use_cases.examine_objects import ExamineObjectsHandler
from domain.reconciliation.use_cases.measure import MeasureHandler
from domain.reconciliation.use_cases.read_findings import ListFindingsHandler
from domain.reconciliation.use_cases.record_differences import RecordDifferencesHandler
from domain.reconciliation.use_cases.settle_finding import SettleFindingHandler
from domain.reconciliation.use_cases.summarize_day import SummarizeDayHandler
from domain.reconciliation.use_cases.sweep_gateway import SweepGatewayHandler
from entrypoints.composition.outside import Outside
from entrypoints.mail import build_operator_notifier
from entrypoints.settings import Settings

RECONCILER = "reconciler"
"""Who repairs, in the audit log and to the refund policy, where no person does."""


@dataclass(frozen=True, slots=True)
class GatewayReconciliation:
    settings: Settings
    outside: Outside
    engine: AsyncEngine
    receive_webhook: ReceiveWebhookHandler
    create_refund: CreateRefundHandler

    @property
    def unit_of_work(self) -> UnitOfWorkFactory:
        return partial(PostgresReconciliationUnitOfWork, self.engine, "payments")

    @property
    def locks(self) -> Locks:
        return PostgresLocks(self.engine)

    @property
    def list_findings(self) -> ListFindingsHandler:
        return ListFindingsHandler([self.unit_of_work])

    @property
    def settle_finding(self) -> SettleFindingHandler:
        return SettleFindingHandler([self.unit_of_work], self.outside.clock)

    @property
    def measure(self) -> MeasureHandler:
        """Of this database alone: for a process without the order service."""
        return MeasureHandler([self.unit_of_work], self.outside.clock)

    @property
    def summarize_day(self) -> SummarizeDayHandler:
        operators = self.outside.operators or build_operator_notifier(self.settings, self.outside.clock)
        return SummarizeDayHandler(self.measure, operators, self.outside.clock)

    @property
    def record(self) -> RecordDifferencesHandler:
        policy = RepairPolicy(self.settings.repair_policy)
        return RecordDifferencesHandler(self.unit_of_work, policy, self.outside.clock, self.outside.ids)

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.settings.reconcile_grace_seconds)

    def compare(self, repairer: str = RECONCILER) -> CompareGatewayHandler:
        """A comparison with a budget of calls of its own; `repairer` is who repairs, in the audit log."""
        settings, clock = self.settings, self.outside.clock
        own = PostgresOwnBook(self.engine)
        gateways = GatewaysBook(self.receive_webhook.gateways, Budget(settings.reconcile_calls_per_second))
        policy = RepairPolicy(settings.repair_policy)
        examine = ExamineObjectsHandler(
            own,
            gateways,
            self.record,
            PaymentRepairs(TakeOverReportHandler(self.receive_webhook), self.create_refund, repairer),
            self.unit_of_work,
            policy,
            clock,
            repairer,
        )
        return CompareGatewayHandler(
            own,
            gateways,
            examine,
            SweepGatewayHandler(own, gateways),
            self.unit_of_work,
            clock,
            self.grace,
            timedelta(hours=settings.reconcile_sweep_hours),
            timedelta(days=settings.reconcile_sweep_days),
        )
