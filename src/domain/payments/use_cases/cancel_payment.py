"""Cancel a payment: an authorization, or what captures have left of one, is voided by it."""

from dataclasses import dataclass

from domain.payments.errors import GatewayRefusedRequest, PaymentNotFound
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner, resume, start
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller, has_authority
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    request_id: str
    caller: Caller
    payment_id: str
    reason: str | None = None
    gives_way: bool = False
    """Leave a payment alone that somebody is at work on: the customer's bank, or another call."""


@dataclass(frozen=True, slots=True)
class CancelPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: CancelPayment) -> Payment:
        """The payment after the gateway's answer; captured in part before, it is SUCCEEDED with that part.

        It takes the place of an operation whose outcome is not known. Raises PaymentNotFound,
        PaymentStateForbids, OperationInFlight, GatewayRefusedRequest.
        """
        operation_id = f"{command.request_id}-cancel"
        if not command.gives_way:
            await self._find_intent(command)
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id)
            begun = await uow.operations.get(operation_id)
            if payment is None or not command.caller.may_touch(
                user_id=payment.user_id, order_id=payment.order_id
            ):
                raise PaymentNotFound
            if begun is None:
                operation = self._cancellation(command, payment, operation_id)
                payment.cancellation_reason = command.reason
                await start(uow, payment, operation)
                if has_authority(command.caller):
                    await uow.audit.append(_told(command, payment, operation))
                await uow.commit()
        if begun is not None:
            return await resume(self.runner, begun, payment)
        return await self.runner.run(operation)

    async def _find_intent(self, command: CancelPayment) -> None:
        """Where nobody knows whether the intent was made, find out first: it is what must be canceled."""
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(command.payment_id)
            if payment is None or payment.intent_id is not None or not payment.operation_unknown:
                return
            if not command.caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
                return
            creation = await uow.operations.get(payment.in_flight or "")
        if creation is not None:
            try:
                await self.runner.recover(creation)
            except GatewayRefusedRequest:
                return  # it was never made, and its payment says so

    def _cancellation(self, command: CancelPayment, payment: Payment, operation_id: str) -> Operation:
        payment.check_cancelable()
        if command.gives_way:
            payment.check_idle()
        gateway, now = self.gateways.to_begin(payment.gateway), self.clock.now()
        if payment.amount_captured:
            kind = OperationKind.RELEASE
            request = gateway.prepare_capture(
                payment.intent_id or "", amount=0, currency=payment.currency, final=True
            )
        else:
            kind = OperationKind.CANCEL
            request = gateway.prepare_cancel(payment.intent_id or "", reason=command.reason)
        return Operation(
            operation_id=operation_id,
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            kind=kind,
            request=request,
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
            requested_by=command.caller.subject,
            actor=command.caller.actor,
        )


def _told(command: CancelPayment, payment: Payment, operation: Operation) -> AuditEntry:
    return AuditEntry.of(
        command.caller,
        "payment.cancel",
        "payment",
        payment.payment_id,
        at=operation.created_at,
        reason=command.reason,
        before={
            "status": payment.status,
            "amountCapturable": payment.amount_capturable,
            "amountCaptured": payment.amount_captured,
        },
        after={"kind": operation.kind, "operationId": operation.operation_id},
    )
