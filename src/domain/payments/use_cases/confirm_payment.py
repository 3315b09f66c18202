"""Confirm a payment, for the first time or once more after a failed attempt."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from domain.payments.errors import PaymentNotFound
from domain.payments.gateway import FutureUsage, PaymentGateway
from domain.payments.methods import check_method, check_session
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
    setup_future_usage: FutureUsage | None = None
    off_session: bool = False
    """The customer is not there: the method must be one that they have saved."""


@dataclass(frozen=True, slots=True)
class ConfirmPaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: ConfirmPayment) -> Payment:
        """The payment after the gateway's answer; a decline is a result, not an error.

        Raises PaymentNotFound, PaymentStateForbids, OperationInFlight, GatewayUnavailable,
        GatewayRefusedRequest, and what `check_session` and `check_method` do.
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
        gateway = self.gateways.to_begin(payment.gateway)
        await self._check_method(gateway, command, payment)
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id) or payment
            begun = await uow.operations.get(operation_id)
            if begun is None:
                payment.check_confirmable()
                operation = confirmation(gateway, payment, operation_id, command, self.clock.now())
                await start(uow, payment, operation)
                await uow.commit()
        if begun is not None:  # by the same request, which runs twice
            return await resume(self.runner, begun, payment)
        return await self.runner.run(operation)

    async def _check_method(self, gateway: PaymentGateway, command: ConfirmPayment, payment: Payment) -> None:
        check_session(
            has_user=payment.gateway_customer_id is not None,
            setup_future_usage=command.setup_future_usage or payment.setup_future_usage,
            off_session=command.off_session,
        )
        await check_method(
            gateway,
            command.payment_method_token,
            payment.gateway_customer_id,
            off_session=command.off_session,
        )


class HowToConfirm(Protocol):
    """What the requests that confirm a payment have in common."""

    @property
    def caller(self) -> Caller: ...

    @property
    def payment_method_token(self) -> str | None: ...

    @property
    def return_url(self) -> str: ...

    @property
    def setup_future_usage(self) -> FutureUsage | None: ...

    @property
    def off_session(self) -> bool: ...


def confirmation(
    gateway: PaymentGateway, payment: Payment, operation_id: str, how: HowToConfirm, now: datetime
) -> Operation:
    """The operation that confirms this payment's intent."""
    return Operation(
        operation_id=operation_id,
        payment_id=payment.payment_id,
        gateway=payment.gateway,
        kind=OperationKind.CONFIRM,
        request=gateway.prepare_confirm(
            payment.intent_id or "",
            payment_method_token=how.payment_method_token,
            return_url=how.return_url,
            setup_future_usage=how.setup_future_usage,
            off_session=how.off_session,
        ),
        created_at=now,
        next_check_at=now + FIRST_CHECK_AFTER,
        payment_version=payment.version,
        requested_by=how.caller.subject,
        actor=how.caller.actor,
    )
