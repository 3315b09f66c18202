"""Cancel a payment that has taken nothing yet; an authorization is voided by it."""

from dataclasses import dataclass

from domain.payments.errors import PaymentNotFound
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner, resume, start
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    request_id: str
    caller: Caller
    payment_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CancelPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: CancelPayment) -> Payment:
        """The payment after the gateway's answer.

        Raises PaymentNotFound, PaymentStateForbids, OperationInFlight, GatewayRefusedRequest.
        """
        operation_id = f"{command.request_id}-cancel"
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id)
            begun = await uow.operations.get(operation_id)
            if payment is None or not command.caller.may_touch(
                user_id=payment.user_id, order_id=payment.order_id
            ):
                raise PaymentNotFound
            if begun is None:
                operation = self._cancellation(command, payment, operation_id)
                await start(uow, payment, operation)
                await uow.commit()
        if begun is not None:
            return await resume(self.runner, begun, payment)
        return await self.runner.run(operation)

    def _cancellation(self, command: CancelPayment, payment: Payment, operation_id: str) -> Operation:
        payment.check_cancelable()
        now = self.clock.now()
        return Operation(
            operation_id=operation_id,
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            kind=OperationKind.CANCEL,
            request=self.gateways.of(payment.gateway).prepare_cancel(
                payment.intent_id or "", reason=command.reason
            ),
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
        )
