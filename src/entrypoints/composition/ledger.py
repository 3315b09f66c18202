"""The ledger of the payment service, made and joined."""

from collections.abc import Callable
from dataclasses import dataclass

from domain.payments.ports import PaymentsUnitOfWork
from domain.payments.routing import Gateways
from domain.payments.use_cases.backfill_ledger import BackfillLedgerHandler
from domain.payments.use_cases.import_balance import ImportBalanceHandler
from domain.payments.use_cases.read_ledger import ReadLedgerHandler
from domain.payments.use_cases.report_payout import ReportPayoutHandler
from domain.payments.use_cases.verify_ledger import VerifyLedgerHandler
from domain.shared.system import Clock, IdFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPart:
    read: ReadLedgerHandler
    import_balance: ImportBalanceHandler
    report_payout: ReportPayoutHandler
    verify: VerifyLedgerHandler
    backfill: BackfillLedgerHandler


def build_ledger(
    uow: Callable[[], PaymentsUnitOfWork], gateways: Gateways, clock: Clock, ids: IdFactory
) -> LedgerPart:
    return LedgerPart(
        read=ReadLedgerHandler(uow),
        import_balance=ImportBalanceHandler(uow, gateways, clock, ids),
        report_payout=ReportPayoutHandler(uow, gateways),
        verify=VerifyLedgerHandler(uow, gateways),
        backfill=BackfillLedgerHandler(uow, clock, ids),
    )
