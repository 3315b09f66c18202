"""Carrying out saved operations: the one place where money-moving calls are sent and concluded.

`run` sends an operation that was just saved. `recover` is for one whose outcome nobody knows: it
looks the object up first and repeats the identical request only where the gateway has nothing.
Both end in the same transaction: outcome, payment and events together, once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from domain.payments.errors import GatewayRefusedRequest, GatewayUnavailable, PaymentNotFound
from domain.payments.gateway import (
    GatewayFailed,
    GatewayRefused,
    GatewayUnknown,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from domain.payments.operation import Operation, OperationKind, OperationStatus
from domain.payments.payment import Occasion, Payment, Verdict
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import RefundStatus
from domain.payments.routing import Gateways
from domain.shared.system import Clock, IdFactory

NextOperation = Callable[[Operation, Payment, GatewayRefused | None], Operation | None]
"""Asked inside the transaction that concludes an operation: which one follows it, if any."""


def _none_follows(concluded: Operation, payment: Payment, refused: GatewayRefused | None) -> Operation | None:
    return None


async def start(uow: PaymentsUnitOfWork, payment: Payment, operation: Operation) -> None:
    """Save an operation on a locked payment, to be sent once this unit of work has committed.

    Raises OperationInFlight where another one is with the gateway.
    """
    if operation.kind is not OperationKind.REFUND:  # refunds promise their amounts and may be many at once
        payment.begin(operation)
    await uow.payments.save(payment)
    operation.payment_version = payment.version
    await uow.operations.add(operation)


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: GatewayRefused


@dataclass(frozen=True, slots=True)
class OperationRunner:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    clock: Clock
    ids: IdFactory

    async def run(self, operation: Operation, then: NextOperation = _none_follows) -> Payment:
        """Send a saved operation and conclude it; the payment as it is afterwards.

        Raises GatewayRefusedRequest where the gateway proved that it did nothing (a refund instead
        ends FAILED). An unknown outcome is no error: the payment says so.
        """
        try:
            answer = await self.gateways.of(operation.gateway).execute(
                operation.request, operation.operation_id
            )
        except GatewayUnknown as error:
            return await self._put_off(operation, str(error))
        except GatewayRefused as error:
            return await self._go_on(operation, _Refusal(error), then)
        return await self._go_on(operation, answer, then)

    async def recover(self, operation: Operation, then: NextOperation = _none_follows) -> Payment:
        """Find out what became of an operation; repeat it, within 20 h, where the gateway has nothing of it."""
        try:
            found = await self._look_up(operation)
        except (GatewayUnknown, GatewayUnavailable) as error:
            return await self._put_off(operation, str(error))
        except GatewayRefused as error:
            return await self._put_off(operation, f"the look-up was refused: {error}")
        if found is not None:
            return await self._go_on(operation, found, then)
        if operation.may_repeat(self.clock.now()):
            return await self.run(operation, then)
        lost = GatewayRefused("never_arrived", "the gateway never received the request")
        return await self._go_on(operation, _Refusal(lost), then)

    def occasion(self) -> Occasion:
        return Occasion(self.clock.now(), self.ids.event_id)

    async def _look_up(self, operation: Operation) -> IntentSnapshot | RefundSnapshot | None:
        """What the gateway has of this operation, None where it has nothing."""
        gateway = self.gateways.of(operation.gateway)
        if operation.kind is OperationKind.CREATE:
            return await gateway.find_intent(operation.payment_id, created_after=operation.created_at)
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(operation.payment_id)
        if payment is None or payment.intent_id is None:
            raise PaymentNotFound
        if operation.kind is OperationKind.REFUND:
            return await gateway.find_refund(payment.intent_id, operation.refund_id or "")
        intent = await gateway.get_intent(payment.intent_id)
        return intent if _shows(operation, payment, intent) else None

    async def _go_on(
        self, operation: Operation, answer: IntentSnapshot | RefundSnapshot | _Refusal, then: NextOperation
    ) -> Payment:
        try:
            payment, following = await self._conclude(operation, answer, then)
        except GatewayFailed as error:
            return await self._put_off(operation, str(error))
        if following is not None:
            return await self.run(following, then)
        if isinstance(answer, _Refusal) and operation.kind is not OperationKind.REFUND:
            raise refusal(payment, answer.error.message, pointer=answer.error.pointer)
        return payment

    async def _conclude(
        self, operation: Operation, answer: IntentSnapshot | RefundSnapshot | _Refusal, then: NextOperation
    ) -> tuple[Payment, Operation | None]:
        """Save the outcome; a report that may be old by now is fetched again until it is current."""
        version, fetched = operation.payment_version, False
        while True:
            async with self.unit_of_work() as uow:
                if operation.kind is OperationKind.CREATE and isinstance(answer, IntentSnapshot):
                    await uow.webhooks.lock_intent(operation.gateway, answer.intent_id)
                payment = await uow.payments.lock(operation.payment_id)
                saved = await uow.operations.get(operation.operation_id)
                if payment is None or saved is None:
                    raise PaymentNotFound
                if not saved.open:
                    return payment, None  # concluded by recovery, by a repetition or by its first caller
                if await self._take_over(uow, payment, saved, answer, version, fetched):
                    following = then(saved, payment, answer.error if isinstance(answer, _Refusal) else None)
                    if (
                        operation.kind is OperationKind.CREATE
                        and isinstance(answer, _Refusal)
                        and not following
                    ):
                        payment.abandon(self.occasion(), told=saved.checks > 0)
                    await self._save(uow, payment, saved, following)
                    return payment, following
                version = payment.version
            if isinstance(answer, IntentSnapshot):
                gateway = self.gateways.of(operation.gateway)
                answer, fetched = await gateway.get_intent(answer.intent_id), True

    async def _take_over(
        self,
        uow: PaymentsUnitOfWork,
        payment: Payment,
        operation: Operation,
        answer: IntentSnapshot | RefundSnapshot | _Refusal,
        version: int,
        fetched: bool,
    ) -> bool:
        """Record the answer on the payment; False where it must be fetched again first."""
        occasion = self.occasion()
        if isinstance(answer, IntentSnapshot):
            current = payment.version == version or payment.intent_id is None
            verdict = Verdict.RECORDED if current else payment.judge(answer)
            creation = operation.kind is OperationKind.CREATE
            if (
                creation
                and not fetched
                and await uow.webhooks.has_waiting(operation.gateway, answer.intent_id)
            ):
                # What waited is younger than the answer. Recovery applies it, once the intent is bound.
                verdict = Verdict.FETCH
            if verdict is Verdict.FETCH:
                return False
            if verdict is Verdict.RECORDED:
                payment.record_intent(answer, occasion)
        else:
            await self._settle_refund(uow, payment, operation, answer, occasion)
        if isinstance(answer, _Refusal):
            operation.failed(str(answer.error), occasion.now)
        else:
            operation.succeeded(occasion.now)
        payment.end(operation)
        return True

    async def _settle_refund(
        self,
        uow: PaymentsUnitOfWork,
        payment: Payment,
        operation: Operation,
        answer: RefundSnapshot | _Refusal,
        occasion: Occasion,
    ) -> None:
        refund = await uow.refunds.get(operation.refund_id) if operation.refund_id else None
        if refund is None:
            return
        if isinstance(answer, RefundSnapshot):
            payment.record_refund(refund, answer, occasion)
        elif refund.status is RefundStatus.PENDING:
            refund.operation_unknown = False
            payment.decide_refund(refund, RefundStatus.FAILED, answer.error.code, occasion)
        await uow.refunds.save(refund)

    async def _save(
        self, uow: PaymentsUnitOfWork, payment: Payment, concluded: Operation, following: Operation | None
    ) -> None:
        await uow.operations.save(concluded)
        if following is not None:
            await start(uow, payment, following)
        else:
            await uow.payments.save(payment)
        await uow.commit()

    async def _put_off(self, operation: Operation, error: str) -> Payment:
        """Say that the outcome is not known; recovery takes it from here."""
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(operation.payment_id)
            saved = await uow.operations.get(operation.operation_id)
            if payment is None or saved is None:
                raise PaymentNotFound
            if saved.open:
                saved.unknown(error, self.clock.now())
                await uow.operations.save(saved)
                await self._show_unknown(uow, payment, saved)
                await uow.commit()
            return payment

    async def _show_unknown(self, uow: PaymentsUnitOfWork, payment: Payment, operation: Operation) -> None:
        if operation.kind is not OperationKind.REFUND:
            if payment.in_flight == operation.operation_id and not payment.operation_unknown:
                payment.operation_unknown = True
                await uow.payments.mark_operation_unknown(payment)
            return
        refund = await uow.refunds.get(operation.refund_id) if operation.refund_id else None
        if refund is not None and not refund.operation_unknown:
            refund.operation_unknown = True
            await uow.refunds.save(refund)


def _shows(operation: Operation, payment: Payment, intent: IntentSnapshot) -> bool:
    """Whether the intent, as the gateway has it now, shows that the operation was carried out."""
    if payment.version != operation.payment_version:
        return True  # something was recorded since it began: what the gateway has now is the outcome
    if intent.status in (IntentStatus.SUCCEEDED, IntentStatus.CANCELED):
        return True
    if operation.kind is OperationKind.CAPTURE:
        return intent.amount_captured > payment.amount_captured
    if operation.kind is OperationKind.CANCEL:
        return False
    return (intent.status, intent.failed_charge_id or payment.failed_charge_id, intent.next_action) != (
        payment.status,
        payment.failed_charge_id,
        payment.next_action,
    )


async def resume(runner: OperationRunner, operation: Operation, payment: Payment) -> Payment:
    """Answer the repetition of a request whose operation was saved before.

    Raises GatewayRefusedRequest where that operation's outcome was a refusal.
    """
    if operation.open:
        return await runner.recover(operation)
    if operation.status is OperationStatus.FAILED:
        raise refusal(payment, operation.error)
    return payment


def refusal(payment: Payment, message: str | None, *, pointer: str | None = None) -> GatewayRefusedRequest:
    """The error that tells of a refused operation, and of the payment if that stands all the same."""
    error = GatewayRefusedRequest(message, pointer=pointer)
    if payment.status is not IntentStatus.CANCELED:
        error.payment_id = payment.payment_id
    return error
