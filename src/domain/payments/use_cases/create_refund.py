"""Give money back, all that was captured or a part."""

from dataclasses import dataclass

from domain.payments.errors import (
    ChargeDisputed,
    ChargeNotRefundable,
    GatewayRefusedRequest,
    NothingToRefund,
    PaymentNotFound,
    RefundNotFound,
)
from domain.payments.gateway import GatewayRefused
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner, start
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.payments.routing import Gateways
from domain.shared.callers import Caller
from domain.shared.errors import Conflict
from domain.shared.system import Clock

_NOT_REFUNDABLE: dict[str | None, type[Conflict]] = {
    "charge_disputed": ChargeDisputed,
    "charge_not_refundable": ChargeNotRefundable,
}
"""What the gateway knew before us of the charge as a whole; any other refusal is of this one refund."""


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
    gateways: Gateways
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: CreateRefund) -> Refund:
        """The refund after the gateway's answer; one that the gateway refused is FAILED.

        Raises PaymentNotFound, RefundExceedsCaptured, NothingToRefund, CurrencyDiffers,
        PaymentStateForbids, and ChargeDisputed or ChargeNotRefundable also where only the gateway knew.
        """
        refund_id = f"ref_{command.request_id}"
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id)
            begun = await uow.operations.get(f"{command.request_id}-refund")
            if payment is None or not command.caller.may_touch(
                user_id=payment.user_id, order_id=payment.order_id
            ):
                raise PaymentNotFound
            if begun is None:
                disputes = await uow.disputes.of_payment(payment.payment_id)
                if any(not dispute.charge_refundable for dispute in disputes):
                    raise ChargeDisputed
                amount = payment.amount_refundable if command.amount is None else command.amount
                if amount == 0:
                    raise NothingToRefund
                payment.promise_refund(amount, command.currency or payment.currency)
                refund = self._refund(command, refund_id, amount, payment.currency)
                operation = self._operation(command, payment, refund)
                await uow.refunds.add(refund)
                await start(uow, payment, operation)
                await uow.commit()
        if begun is None:
            await self.runner.run(operation)
        elif begun.open:
            await self.runner.recover(begun)
        async with self.unit_of_work() as uow:
            saved = await uow.refunds.get(refund_id)
        if saved is None:
            raise RefundNotFound
        if saved.status is RefundStatus.FAILED and saved.failure_reason in _NOT_REFUNDABLE:
            raise _NOT_REFUNDABLE[saved.failure_reason]
        return saved

    def _refund(self, command: CreateRefund, refund_id: str, amount: int, currency: str) -> Refund:
        now = self.clock.now()
        return Refund(
            refund_id=refund_id,
            payment_id=command.payment_id,
            amount=amount,
            currency=currency,
            reason=command.reason,
            status=RefundStatus.PENDING,
            requested_by=command.caller.subject,
            created_at=now,
            updated_at=now,
        )

    def _operation(self, command: CreateRefund, payment: Payment, refund: Refund) -> Operation:
        now = self.clock.now()
        try:
            request = self.gateways.to_begin(payment.gateway).prepare_refund(
                payment.intent_id or "",
                refund_id=refund.refund_id,
                payment_id=payment.payment_id,
                order_id=payment.order_id,
                amount=refund.amount,
                currency=refund.currency,
                reason=command.reason,
            )
        except GatewayRefused as error:
            raise GatewayRefusedRequest(error.message, pointer="/amount") from error
        return Operation(
            operation_id=f"{command.request_id}-refund",
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            refund_id=refund.refund_id,
            kind=OperationKind.REFUND,
            request=request,
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
            requested_by=command.caller.subject,
            actor=command.caller.actor,
        )
