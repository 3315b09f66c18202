"""What reconciliation may do about a finding, through the payment side's use cases."""

from dataclasses import dataclass

from domain.orders.attempt import CHECK_AFTER, Attempt, AttemptKind
from domain.orders.ports import PaymentService
from domain.payments.errors import PaymentNotFound
from domain.payments.refund import RefundStatus
from domain.payments.use_cases.create_refund import CreateRefund, CreateRefundHandler
from domain.payments.use_cases.take_over_report import TakeOverReport, TakeOverReportHandler
from domain.payments.webhook import WebhookOutcome
from domain.reconciliation.finding import Finding
from domain.reconciliation.order_ports import Asked
from domain.shared.callers import Caller
from domain.shared.errors import Conflict
from domain.shared.gateway_objects import ObjectKind
from domain.shared.statements import PaymentStatement
from domain.shared.system import Clock

SCOPES = frozenset({"refunds:create", "users:any"})

_GIVES_NOTHING = frozenset({RefundStatus.FAILED, RefundStatus.REJECTED, RefundStatus.CANCELED})

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
        if refund.status in _GIVES_NOTHING:
            raise Conflict(f"{said}: {refund.failure_reason}")
        return said

    @property
    def _caller(self) -> Caller:
        return Caller(subject=self.subject, scopes=SCOPES)


@dataclass(frozen=True, slots=True)
class OrderRepairs:
    """See `domain.reconciliation.order_ports.MoneyBack`: the payment side is asked as for an order, in this process
    or over HTTP, and `subject` is whom the refund policy goes by."""

    payments: PaymentService
    clock: Clock
    subject: str

    async def void(self, request_id: str, payment: PaymentStatement, reason: str) -> Asked:
        view = await self.payments.cancel(self._attempt(AttemptKind.CANCEL, request_id, payment, reason))
        said = f"payment {view.payment_id} is {view.status}"
        if view.operation_unknown:
            return Asked(f"{said}: the gateway has not said yet what became of its cancellation", waits=True)
        return Asked(said)

    async def refund(self, request_id: str, payment: PaymentStatement, reason: str) -> Asked:
        refund = await self.payments.refund(self._attempt(AttemptKind.REFUND, request_id, payment, reason))
        said = f"refund {refund.refund_id} of {refund.amount} is {refund.status}"
        if refund.payment_id != payment.payment_id:
            raise Conflict(f"{said}, and is of {refund.payment_id}")
        if refund.status in _GIVES_NOTHING:
            raise Conflict(f"{said}: {refund.failure_reason}")
        return Asked(said, waits=refund.status != RefundStatus.SUCCEEDED)

    def _attempt(self, kind: AttemptKind, request_id: str, payment: PaymentStatement, reason: str) -> Attempt:
        now = self.clock.now()
        return Attempt(
            attempt_id=request_id,
            order_id=payment.order_id,
            kind=kind,
            payment_id=payment.payment_id,
            reason=reason,
            requested_by=self.subject,
            requested_scope="refunds:create",
            created_at=now,
            next_check_at=now + CHECK_AFTER,
        )
