"""What every refund goes through, however it is begun: the locks, the policy, the gateway's request."""

from dataclasses import dataclass
from typing import Protocol

from domain.payments.errors import (
    ChargeDisputed,
    ChargeNotRefundable,
    GatewayRefusedRequest,
    NothingToRefund,
    PaymentNotFound,
    PaymentTooOld,
    RefundLimitExceeded,
    RefundNotFound,
    RefundNotPermitted,
)
from domain.payments.gateway import GatewayRefused
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind
from domain.payments.operations import OperationRunner
from domain.payments.payment import Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.payments.refund_policy import (
    DAY,
    NO_RULE,
    NOTHING_USED,
    Cause,
    Decision,
    Limits,
    RefundPolicy,
    Ruling,
    Usage,
)
from domain.payments.routing import Gateways
from domain.shared.callers import Caller
from domain.shared.errors import Conflict
from domain.shared.system import Clock

_NOT_REFUNDABLE: dict[str | None, type[Conflict]] = {
    "charge_disputed": ChargeDisputed,
    "charge_not_refundable": ChargeNotRefundable,
}
"""What the gateway knew before us of the charge as a whole; any other refusal is of this one refund."""


class RefundRequest(Protocol):
    """What somebody asks to be given back."""

    @property
    def caller(self) -> Caller: ...

    @property
    def amount(self) -> int | None:
        """None: all that is left."""
        ...

    @property
    def currency(self) -> str | None:
        """None: the payment's own."""
        ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RefundDesk:
    policy: RefundPolicy
    gateways: Gateways
    clock: Clock

    # The locks, always in this order: the limits, then the payment.

    async def lock_payment(
        self, uow: PaymentsUnitOfWork, caller: Caller, payment_id: str, limits: Limits | None
    ) -> Payment:
        """The payment, and before it the limits where others count towards them. Raises PaymentNotFound."""
        payment = await uow.payments.get(payment_id)
        if payment is None or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
            raise PaymentNotFound
        if limits is not None and limits.count_others:
            await uow.refunds.lock_limits(caller.subject, payment.currency, payment.order_id)
        locked = await uow.payments.lock(payment_id)
        if locked is None:
            raise PaymentNotFound
        return locked

    async def lock_refund(
        self, uow: PaymentsUnitOfWork, caller: Caller, refund_id: str, limits: Limits | None
    ) -> tuple[Payment, Refund]:
        """The refund with its payment, and before them the limits. Raises RefundNotFound."""
        refund = await uow.refunds.get(refund_id)
        if refund is None:
            raise RefundNotFound
        try:
            payment = await self.lock_payment(uow, caller, refund.payment_id, limits)
        except PaymentNotFound as error:
            raise RefundNotFound from error
        return payment, await uow.refunds.get(refund_id) or refund

    # The policy

    def limits_of(self, caller: Caller) -> Limits | None:
        """Those of what they ask for."""
        rule = self.policy.rule_of(caller)
        return rule.limits if rule else None

    async def used(self, uow: PaymentsUnitOfWork, caller: Caller, payment: Payment, limits: Limits) -> Usage:
        if not limits.count_others:
            return NOTHING_USED
        return await uow.refunds.used(
            caller.subject, payment.currency, payment.order_id, since=self.clock.now() - DAY
        )

    async def judge(
        self, uow: PaymentsUnitOfWork, request: RefundRequest, payment: Payment
    ) -> tuple[int, Decision]:
        """The amount that is asked for, and what the policy says to it; moves and stores nothing.

        Raises ChargeDisputed, NothingToRefund, what `Payment.check_refundable` does, RefundReasonUnknown (a
        reason is chosen by whoever asks for an amount: all that is left is given back for a reason of the
        order's), GatewayRefusedRequest.
        """
        if request.amount is not None:
            self.policy.check_reason(request.reason)
        await self.check_undisputed(uow, payment)
        waiting = await uow.refunds.waiting_amount(payment.payment_id)
        amount = request.amount
        if amount is None:
            amount = max(payment.amount_refundable - waiting, 0)
        if amount == 0:
            raise NothingToRefund
        payment.check_refundable(amount, request.currency or payment.currency, waiting=waiting)
        return amount, await self.decide(uow, request.caller, payment, amount)

    async def decide(
        self, uow: PaymentsUnitOfWork, caller: Caller, payment: Payment, amount: int
    ) -> Decision:
        rule = self.policy.rule_of(caller)
        if rule is None:
            return Decision(Ruling.REFUSED, NO_RULE, (Cause.NO_RULE,))
        used = await self.used(uow, caller, payment, rule.limits)
        age = self.clock.now() - payment.created_at
        return rule.decide(amount, payment.currency, age=age, used=used)

    @staticmethod
    async def check_undisputed(uow: PaymentsUnitOfWork, payment: Payment) -> None:
        """Raises ChargeDisputed."""
        disputes = await uow.disputes.of_payment(payment.payment_id)
        if any(not dispute.charge_refundable for dispute in disputes):
            raise ChargeDisputed

    # The gateway

    def operation(self, request_id: str, caller: Caller, payment: Payment, refund: Refund) -> Operation:
        """What asks the gateway for it. Raises GatewayUnavailable, GatewayRefusedRequest."""
        now = self.clock.now()
        try:
            request = self.gateways.to_begin(payment.gateway).prepare_refund(
                payment.intent_id or "",
                refund_id=refund.refund_id,
                attempt=refund.attempt,
                payment_id=payment.payment_id,
                order_id=payment.order_id,
                amount=refund.amount,
                currency=refund.currency,
                reason=refund.reason or "",
            )
        except GatewayRefused as error:
            raise GatewayRefusedRequest(error.message, pointer="/amount") from error
        return Operation(
            operation_id=operation_id(request_id),
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            refund_id=refund.refund_id,
            kind=OperationKind.REFUND,
            request=request,
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
            requested_by=caller.subject,
            actor=caller.actor,
        )


def operation_id(request_id: str) -> str:
    """Of the operation that a request to refund, to retry or to approve begins."""
    return f"{request_id}-refund"


def check_allowed(decision: Decision) -> None:
    """Raises RefundNotPermitted, RefundLimitExceeded or PaymentTooOld where the policy refuses."""
    if decision.ruling is not Ruling.REFUSED:
        return
    if Cause.NO_RULE in decision.causes:
        raise RefundNotPermitted
    told = f"the rule {decision.rule!r} of the refund policy refuses it"
    if Cause.AGE in decision.causes:
        raise PaymentTooOld(f"the payment is too old: {told}")
    raise RefundLimitExceeded(f"above {', '.join(decision.causes)}: {told}", pointer="/amount")


async def carry_out(
    unit_of_work: UnitOfWorkFactory,
    runner: OperationRunner,
    refund_id: str,
    operation: Operation | None,
    *,
    is_new: bool,
) -> Refund:
    """Send the operation that was saved, where there is one, or find out what became of it; the refund afterwards.

    Raises ChargeDisputed or ChargeNotRefundable where only the gateway knew.
    """
    if operation is not None and is_new:
        await runner.run(operation)
    elif operation is not None and operation.open:
        await runner.recover(operation)
    async with unit_of_work() as uow:
        refund = await uow.refunds.get(refund_id)
    if refund is None:
        raise RefundNotFound
    if refund.status is RefundStatus.FAILED and refund.failure_reason in _NOT_REFUNDABLE:
        raise _NOT_REFUNDABLE[refund.failure_reason]
    return refund
