"""Take an authorized amount, all of it or a part."""

from dataclasses import dataclass

from domain.payments.errors import GatewayRefusedRequest, PaymentNotFound
from domain.payments.gateway import GatewayRefused
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner, resume, start
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller, has_authority
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePayment:
    """`amount` None takes all that can be captured; `final` releases the rest."""

    request_id: str
    caller: Caller
    payment_id: str
    amount: int | None = None
    final: bool = True


@dataclass(frozen=True, slots=True)
class CapturePaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: CapturePayment) -> Payment:
        """The payment after the gateway's answer.

        Raises PaymentNotFound, PaymentStateForbids, OperationInFlight, CaptureExceedsAuthorized,
        MulticaptureUnavailable, AuthorizationExpired, GatewayRefusedRequest.
        """
        operation_id = f"{command.request_id}-capture"
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id)
            begun = await uow.operations.get(operation_id)
            if payment is None or not command.caller.may_touch(
                user_id=payment.user_id, order_id=payment.order_id
            ):
                raise PaymentNotFound
            if begun is None:
                operation = self._capture(command, payment, operation_id)
                await start(uow, payment, operation)
                if has_authority(command.caller):
                    await uow.audit.append(_told(command, payment, operation))
                await uow.commit()
        if begun is not None:
            return await resume(self.runner, begun, payment)
        return await self.runner.run(operation)

    def _capture(self, command: CapturePayment, payment: Payment, operation_id: str) -> Operation:
        amount = payment.amount_capturable if command.amount is None else command.amount
        payment.check_capturable(amount, final=command.final)
        now = self.clock.now()
        try:
            request = self.gateways.to_begin(payment.gateway).prepare_capture(
                payment.intent_id or "", amount=amount, currency=payment.currency, final=command.final
            )
        except GatewayRefused as error:
            raise GatewayRefusedRequest(error.message, pointer="/amount") from error
        return Operation(
            operation_id=operation_id,
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            kind=OperationKind.CAPTURE,
            target_amount=payment.amount_captured + amount,
            request=request,
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
            requested_by=command.caller.subject,
            actor=command.caller.actor,
        )


def _told(command: CapturePayment, payment: Payment, operation: Operation) -> AuditEntry:
    return AuditEntry.of(
        command.caller,
        "payment.capture",
        "payment",
        payment.payment_id,
        at=operation.created_at,
        before={"status": payment.status, "amountCaptured": payment.amount_captured},
        after={
            "amountCaptured": operation.target_amount,
            "final": command.final,
            "operationId": operation.operation_id,
        },
    )
