"""Confirm a payment, for the first time or once more after a failed attempt."""

from dataclasses import dataclass, field
from datetime import datetime

from domain.payments.errors import (
    GatewayRefusedRequest,
    GatewayUnavailable,
    PaymentMethodNotOwned,
    PaymentNotFound,
)
from domain.payments.gateway import GatewayRefused, GatewayUnknown, PaymentGateway
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner, resume, start
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmPayment:
    request_id: str
    caller: Caller
    payment_id: str
    return_url: str
    payment_method_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ConfirmPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: ConfirmPayment) -> Payment:
        """The payment after the gateway's answer; a decline is a result, not an error.

        Raises PaymentNotFound, PaymentStateForbids, OperationInFlight, PaymentMethodNotOwned,
        GatewayUnavailable, GatewayRefusedRequest.
        """
        operation_id = f"{command.request_id}-confirm"
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(command.payment_id)
            begun = await uow.operations.get(operation_id)
        if payment is None or not command.caller.may_touch(
            user_id=payment.user_id, order_id=payment.order_id
        ):
            raise PaymentNotFound
        if begun is not None:
            return await resume(self.runner, begun, payment)
        payment.check_confirmable()
        if command.payment_method_token is not None:
            gateway = self.gateways.of(payment.gateway)
            await check_method_owned(gateway, command.payment_method_token, payment.gateway_customer_id)
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id) or payment
            begun = await uow.operations.get(operation_id)
            if begun is None:
                payment.check_confirmable()
                operation = confirmation(
                    self.gateways.of(payment.gateway),
                    payment,
                    operation_id,
                    command.payment_method_token,
                    command.return_url,
                    self.clock.now(),
                )
                await start(uow, payment, operation)
                await uow.commit()
        if begun is not None:  # by the same request, which runs twice
            return await resume(self.runner, begun, payment)
        return await self.runner.run(operation)


def confirmation(
    gateway: PaymentGateway,
    payment: Payment,
    operation_id: str,
    payment_method_token: str | None,
    return_url: str,
    now: datetime,
) -> Operation:
    """The operation that confirms this payment's intent."""
    return Operation(
        operation_id=operation_id,
        payment_id=payment.payment_id,
        gateway=payment.gateway,
        kind=OperationKind.CONFIRM,
        request=gateway.prepare_confirm(
            payment.intent_id or "", payment_method_token=payment_method_token, return_url=return_url
        ),
        created_at=now,
        next_check_at=now + FIRST_CHECK_AFTER,
        payment_version=payment.version,
    )


async def check_method_owned(gateway: PaymentGateway, token: str, customer_id: str | None) -> None:
    """Raise PaymentMethodNotOwned where this method is attached to another customer than this one."""
    try:
        method = await gateway.find_method(token)
    except GatewayUnknown as error:
        raise GatewayUnavailable from error
    except GatewayRefused as error:
        raise GatewayRefusedRequest(error.message, pointer="/paymentMethodToken") from error
    if method is not None and method.gateway_customer_id not in (None, customer_id):
        raise PaymentMethodNotOwned(pointer="/paymentMethodToken")
