"""Change what a payment is over, while nothing of it was confirmed: the order has changed."""

from dataclasses import dataclass, field

from domain.payments.check_back import OrderCheck, Wanted
from domain.payments.errors import GatewayRefusedRequest, PaymentNotFound
from domain.payments.gateway import GatewayRefused, IntentDraft, LineItem
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner, resume, start
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePayment:
    """The lines and totals are those of the order as it is now; without them the gateway has none any more."""

    request_id: str
    caller: Caller
    payment_id: str
    amount: int
    description: str | None = None
    lines: tuple[LineItem, ...] = ()
    shipping_amount: int | None = None
    discount_amount: int | None = None
    tax_amount: int | None = None
    order_snapshot: str | None = field(default=None, repr=False)
    """The order's signed terms, as for a new payment."""


@dataclass(frozen=True, slots=True)
class UpdatePaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    check_order: OrderCheck
    runner: OperationRunner
    clock: Clock

    async def __call__(self, command: UpdatePayment) -> Payment:
        """The payment after the gateway's answer.

        Raises PaymentNotFound, PaymentStateForbids, OperationInFlight, what `OrderCheck` and the gateway's
        `check_amount` do, and GatewayRefusedRequest.
        """
        operation_id = f"{command.request_id}-update"
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(command.payment_id)
            begun = await uow.operations.get(operation_id)
        if payment is None or not command.caller.may_touch(
            user_id=payment.user_id, order_id=payment.order_id
        ):
            raise PaymentNotFound
        if begun is not None:
            return await resume(self.runner, begun, payment)
        payment.check_updatable()
        self.gateways.of(payment.gateway).check_amount(command.amount, payment.currency)
        wanted = Wanted(
            order_id=payment.order_id,
            amount=command.amount,
            currency=payment.currency,
            snapshot=command.order_snapshot,
            order_pointer=None,
        )
        await self.check_order(command.caller, wanted)
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(command.payment_id) or payment
            begun = await uow.operations.get(operation_id)
            if begun is None:
                payment.check_updatable()
                payment.description = command.description or payment.description
                operation = self._update(command, payment, operation_id)
                await start(uow, payment, operation)
                await uow.commit()
        if begun is not None:  # by the same request, which runs twice
            return await resume(self.runner, begun, payment)
        return await self.runner.run(operation)

    def _update(self, command: UpdatePayment, payment: Payment, operation_id: str) -> Operation:
        gateway, now = self.gateways.to_begin(payment.gateway), self.clock.now()
        draft = IntentDraft(
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            amount=command.amount,
            currency=payment.currency,
            capture_method=payment.capture_method,
            gateway_customer_id=payment.gateway_customer_id,
            description=command.description,
            lines=command.lines,
            shipping_amount=command.shipping_amount,
            discount_amount=command.discount_amount,
            tax_amount=command.tax_amount,
        )
        try:
            request = gateway.prepare_update(payment.intent_id or "", draft)
        except GatewayRefused as error:
            raise GatewayRefusedRequest(error.message, pointer=error.pointer) from error
        lines = gateway.check_lines(draft)
        payment.line_items, payment.line_item_faults = lines.outcome, lines.faults
        return Operation(
            operation_id=operation_id,
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            kind=OperationKind.UPDATE,
            target_amount=command.amount,
            request=request,
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
            requested_by=command.caller.subject,
            actor=command.caller.actor,
        )
