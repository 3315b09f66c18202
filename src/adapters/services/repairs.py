"""What reconciliation may do about a finding, through the payment side's use cases."""

from dataclasses import dataclass

from domain.payments.errors import PaymentNotFound
from domain.payments.refund import RefundStatus
from domain.payments.use_cases.create_refund import CreateRefund, CreateRefundHandler
from domain.payments.use_cases.take_over_report import TakeOverReport, TakeOverReportHandler
from domain.payments.webhook import WebhookOutcome
from domain.reconciliation.finding import Finding
from domain.shared.callers import Caller
from domain.shared.errors import Conflict
from domain.shared.gateway_objects import ObjectKind

SCOPES = frozenset({"refunds:create", "users:any"})

_SAID = {
    WebhookOutcome.APPLIED: "taken over from the gateway",
    WebhookOutcome.NOTHING_NEW: "the payment side found nothing new in what the gateway has",
    WebhookOutcome.WAITING: "the payment side knows no payment for it",
}


@dataclass(frozen=True, slots=True)
class PaymentRepairs:
    """See `domain.reconciliation.gateway_ports.Repairs`; `subject` is who repairs."""

    take_over_report: TakeOverReportHandler
    create_refund: CreateRefundHandler
    subject: str

    async def take_over(self, finding: Finding, kind: ObjectKind, object_id: str) -> str:
        outcome = await self.take_over_report(
            TakeOverReport(
                caller=self._caller,
                kind=kind,
                gateway=finding.gateway or "",
                object_id=object_id,
                cause=f"{finding.finding_id} {finding.type} of {finding.object_id}",
            )
        )
        return _SAID.get(outcome, outcome.value)

    async def refund(self, finding: Finding) -> str:
        if finding.payment_id is None:
            raise PaymentNotFound
        refund = await self.create_refund(
            CreateRefund(
                # One finding is refunded once, however often its repair is tried.
                request_id=finding.finding_id.partition("_")[2],
                caller=self._caller,
                payment_id=finding.payment_id,
                amount=None,
                currency=None,
                reason=f"reconciliation: {finding.type}",
            )
        )
        said = f"refund {refund.refund_id} of {refund.amount} is {refund.status}"
        if refund.status in (RefundStatus.FAILED, RefundStatus.REJECTED, RefundStatus.CANCELED):
            raise Conflict(f"{said}: {refund.failure_reason}")
        return said

    @property
    def _caller(self) -> Caller:
        return Caller(subject=self.subject, scopes=SCOPES)
