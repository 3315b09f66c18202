"""Ask the gateway once more for a refund that it has proved not to have given."""

from dataclasses import dataclass

from domain.payments.errors import OperationInFlight, RefundNoLongerFits, RefundStateForbids
from domain.payments.operation import Operation
from domain.payments.operations import OperationRunner, start
from domain.payments.payment import Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_audit import by_caller, picture, refused
from domain.payments.refund_desk import RefundDesk, carry_out, check_allowed, operation_id
from domain.payments.refund_policy import Decision, Ruling
from domain.shared.callers import Caller
from domain.shared.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRefund:
    request_id: str
    caller: Caller
    refund_id: str


@dataclass(frozen=True, slots=True)
class RetryRefundHandler:
    """The same refund by a new operation, with a key of its own; its promise counts again.

    The policy judges it as if whoever asks now asked for it first, except that the approval of a second
    person holds for the refund.
    """

    unit_of_work: UnitOfWorkFactory
    desk: RefundDesk
    runner: OperationRunner

    async def __call__(self, command: RetryRefund) -> Refund:
        """The refund after the gateway's answer, or waiting for approval.

        Raises RefundNotFound, RefundStateForbids, OperationInFlight, RefundNoLongerFits, ChargeDisputed,
        ChargeNotRefundable, GatewayUnavailable, and what `check_allowed` does.
        """
        limits = self.desk.limits_of(command.caller)
        async with self.unit_of_work() as uow:
            payment, refund = await self.desk.lock_refund(uow, command.caller, command.refund_id, limits)
            operation = await uow.operations.get(operation_id(command.request_id))
            repeated = command.request_id in refund.retries
            if not repeated:
                operation = await self._retry(uow, command, payment, refund)
                await uow.commit()
        return await carry_out(
            self.unit_of_work, self.runner, refund.refund_id, operation, is_new=not repeated
        )

    async def _retry(
        self, uow: PaymentsUnitOfWork, command: RetryRefund, payment: Payment, refund: Refund
    ) -> Operation | None:
        if refund.status is not RefundStatus.FAILED:
            raise RefundStateForbids(f"a refund in {refund.status} is not retried")
        if refund.requested_by is None:
            raise RefundStateForbids("the refund was made at the gateway, not by us")
        if await uow.operations.has_open(payment.payment_id, refund.refund_id):
            raise OperationInFlight
        await self.desk.check_undisputed(uow, payment)
        waiting = await uow.refunds.waiting_amount(payment.payment_id)
        if refund.amount > payment.amount_refundable - waiting:
            raise RefundNoLongerFits
        caller, now, before = command.caller, self.desk.clock.now(), picture(refund)
        is_approved, decision = refund.is_approved, None
        if not is_approved:
            decision = await self._decide(uow, command, payment, refund)
            refund.policy_rule = decision.rule
        refund.begin_again(command.request_id, caller.subject, now)
        operation = None
        if decision is not None and decision.ruling is Ruling.NEEDS_APPROVAL:
            refund.wait(now)
        else:
            operation = self.desk.operation(command.request_id, caller, payment, refund)
            payment.promise_refund(refund.amount)
            if is_approved:
                refund.status = RefundStatus.PENDING  # on the authority of whoever approved it
            else:
                refund.release(caller.subject, now)
        await uow.refunds.save(refund)
        if operation is not None:
            await start(uow, payment, operation)
        await uow.audit.append(
            by_caller(caller, "retry", refund, at=now, reason=None, before=before, decision=decision)
        )
        return operation

    async def _decide(
        self, uow: PaymentsUnitOfWork, command: RetryRefund, payment: Payment, refund: Refund
    ) -> Decision:
        decision = await self.desk.decide(uow, command.caller, payment, refund.amount)
        try:
            check_allowed(decision)
        except Refused as error:
            at = self.desk.clock.now()
            await uow.audit.append(
                refused(command.caller, "retry", refund.refund_id, error, at=at, reason=None)
            )
            await uow.commit()
            raise
        return decision
