"""Give money back, all that was captured or a part."""

from dataclasses import dataclass

from domain.payments.operation import Operation
from domain.payments.operations import OperationRunner, start
from domain.payments.payment import Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_audit import by_caller, refused
from domain.payments.refund_desk import RefundDesk, carry_out, check_allowed, operation_id
from domain.payments.refund_policy import Decision, Ruling
from domain.shared.callers import Caller
from domain.shared.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRefund:
    request_id: str
    caller: Caller
    payment_id: str
    amount: int | None
    """None: all that is left."""
    currency: str | None
    """None: the payment's own."""
    reason: str


@dataclass(frozen=True, slots=True)
class CreateRefundHandler:
    unit_of_work: UnitOfWorkFactory
    desk: RefundDesk
    runner: OperationRunner

    async def __call__(self, command: CreateRefund) -> Refund:
        """The refund after the gateway's answer, or waiting for approval; one that the gateway refused is FAILED.

        Raises PaymentNotFound, what `RefundDesk.judge` and `check_allowed` do, and ChargeDisputed or
        ChargeNotRefundable also where only the gateway knew.
        """
        refund_id = f"ref_{command.request_id}"
        limits = self.desk.limits_of(command.caller)
        async with self.unit_of_work() as uow:
            payment = await self.desk.lock_payment(uow, command.caller, command.payment_id, limits)
            is_new = await uow.refunds.get(refund_id) is None
            if is_new:
                operation = await self._begin(uow, command, payment, refund_id)
                await uow.commit()
            else:
                operation = await uow.operations.get(operation_id(command.request_id))
        return await carry_out(self.unit_of_work, self.runner, refund_id, operation, is_new=is_new)

    async def _begin(
        self, uow: PaymentsUnitOfWork, command: CreateRefund, payment: Payment, refund_id: str
    ) -> Operation | None:
        """The operation that gives the money back; None where the refund waits for approval."""
        caller, at = command.caller, self.desk.clock.now()
        amount, decision = await self.desk.judge(uow, command, payment)
        try:
            check_allowed(decision)
        except Refused as error:
            await uow.audit.append(refused(caller, "request", refund_id, error, at=at, reason=command.reason))
            await uow.commit()
            raise
        refund = self._refund(command, payment, refund_id, amount, decision)
        operation = self.desk.operation(command.request_id, caller, payment, refund)
        if decision.ruling is Ruling.ALLOWED:
            payment.promise_refund(amount)
            refund.release(caller.subject, refund.created_at)
        await uow.refunds.add(refund)
        await uow.audit.append(
            by_caller(caller, "request", refund, at=at, reason=command.reason, decision=decision)
        )
        if decision.ruling is not Ruling.ALLOWED:
            return None
        await start(uow, payment, operation)
        return operation

    def _refund(
        self, command: CreateRefund, payment: Payment, refund_id: str, amount: int, decision: Decision
    ) -> Refund:
        now = self.desk.clock.now()
        return Refund(
            refund_id=refund_id,
            payment_id=payment.payment_id,
            amount=amount,
            currency=payment.currency,
            reason=command.reason,
            status=RefundStatus.PENDING_APPROVAL,
            requested_by=command.caller.subject,
            actor=command.caller.actor,
            policy_rule=decision.rule,
            created_at=now,
            updated_at=now,
        )
