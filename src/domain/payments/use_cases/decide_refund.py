"""A second person lets a refund go that was above its requester's limits, or stops it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.payments.errors import (
    ApprovalLimitExceeded,
    ApproverIsRequester,
    RefundStateForbids,
    TokenIdMissing,
)
from domain.payments.operation import Operation
from domain.payments.operations import OperationRunner, start
from domain.payments.payment import Occasion, Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_audit import by_caller, picture, refused
from domain.payments.refund_desk import RefundDesk, carry_out, operation_id
from domain.shared.callers import Caller
from domain.shared.errors import Forbidden
from domain.shared.system import IdFactory

REJECTED = "rejected"
"""Why a refund is not given, as its event says it."""

_UNLIMITED_TOKEN = timedelta(days=1)
"""How long a token is remembered that does not say when it expires, as a caller within the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideRefund:
    request_id: str
    caller: Caller
    refund_id: str
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ApproveRefundHandler:
    unit_of_work: UnitOfWorkFactory
    desk: RefundDesk
    runner: OperationRunner

    async def __call__(self, command: DecideRefund) -> Refund:
        """The refund after the gateway's answer.

        Raises RefundNotFound, RefundStateForbids, ApproverIsRequester, TokenIdMissing, TokenUsed,
        ApprovalLimitExceeded, ChargeDisputed, RefundNoLongerFits, GatewayUnavailable.
        """
        rule = self.desk.policy.rule_of(command.caller)
        limits = rule.approves if rule else None
        async with self.unit_of_work() as uow:
            payment, refund = await self.desk.lock_refund(uow, command.caller, command.refund_id, limits)
            operation = await uow.operations.get(operation_id(command.request_id))
            is_new = operation is None
            if operation is None:
                try:
                    operation = await self._approve(uow, command, payment, refund)
                except Forbidden as error:  # nothing is written by then
                    await self._note_refused(uow, command, error)
                    raise
                await uow.commit()
        return await carry_out(self.unit_of_work, self.runner, refund.refund_id, operation, is_new=is_new)

    async def _approve(
        self, uow: PaymentsUnitOfWork, command: DecideRefund, payment: Payment, refund: Refund
    ) -> Operation:
        caller, now, before = command.caller, self.desk.clock.now(), picture(refund)
        check_decidable(refund, caller)
        if now >= refund.updated_at + self.desk.policy.waits:
            raise RefundStateForbids("the refund has waited for too long")
        if caller.token_id is None:
            raise TokenIdMissing
        await self._check_limits(uow, caller, payment, refund)
        await self.desk.check_undisputed(uow, payment)
        payment.promise_refund(refund.amount)
        operation = self.desk.operation(command.request_id, caller, payment, refund)
        await uow.approval_tokens.use(caller.subject, caller.token_id, refund.refund_id, _expiry(caller, now))
        refund.release(caller.subject, now, comment=command.comment)
        await uow.refunds.save(refund)
        await start(uow, payment, operation)
        await uow.audit.append(
            by_caller(caller, "approve", refund, at=now, reason=command.comment, before=before)
        )
        return operation

    async def _note_refused(self, uow: PaymentsUnitOfWork, command: DecideRefund, error: Forbidden) -> None:
        at = self.desk.clock.now()
        await uow.audit.append(
            refused(command.caller, "approve", command.refund_id, error, at=at, reason=command.comment)
        )
        await uow.commit()

    async def _check_limits(
        self, uow: PaymentsUnitOfWork, caller: Caller, payment: Payment, refund: Refund
    ) -> None:
        rule = self.desk.policy.rule_of(caller)
        if rule is None:
            raise ApprovalLimitExceeded("no rule of the refund policy covers the caller")
        used = await self.desk.used(uow, caller, payment, rule.approves)
        exceeded = rule.approves.exceeded(refund.amount, refund.currency, used)
        if exceeded:
            raise ApprovalLimitExceeded(
                f"above {', '.join(exceeded)} of the rule {rule.name!r} for approvals"
            )


@dataclass(frozen=True, slots=True)
class RejectRefundHandler:
    unit_of_work: UnitOfWorkFactory
    desk: RefundDesk
    ids: IdFactory

    async def __call__(self, command: DecideRefund) -> Refund:
        """The refund, REJECTED; again the same where the same person has rejected it.

        Raises RefundNotFound, RefundStateForbids, ApproverIsRequester.
        """
        caller, now = command.caller, self.desk.clock.now()
        async with self.unit_of_work() as uow:
            payment, refund = await self.desk.lock_refund(uow, caller, command.refund_id, None)
            if refund.status is RefundStatus.REJECTED and refund.decided_by == caller.subject:
                return refund
            check_decidable(refund, caller)
            before = picture(refund)
            refund.decided_by, refund.decided_at, refund.comment = caller.subject, now, command.comment
            payment.reject_refund(refund, REJECTED, Occasion(now, self.ids.event_id))
            await uow.refunds.save(refund)
            await uow.payments.save(payment)
            await uow.audit.append(
                by_caller(caller, "reject", refund, at=now, reason=command.comment, before=before)
            )
            await uow.commit()
        return refund


def check_decidable(refund: Refund, caller: Caller) -> None:
    """Whether this caller may decide on it. Raises RefundStateForbids, ApproverIsRequester."""
    if refund.status is not RefundStatus.PENDING_APPROVAL:
        raise RefundStateForbids(f"a refund in {refund.status} waits for nobody's approval")
    if caller.subject in refund.requesters:
        raise ApproverIsRequester


def _expiry(caller: Caller, now: datetime) -> datetime:
    return datetime.fromtimestamp(caller.expires_at, UTC) if caller.expires_at else now + _UNLIMITED_TOKEN
