"""Carrying out saved operations: the one place where money-moving calls are sent and concluded.

`run` sends an operation that was just saved. `recover` is for one whose outcome nobody knows: it
looks the object up first and repeats the identical request only where the gateway has nothing.
Both end in the same transaction: outcome, payment and events together, once.
"""

from dataclasses import dataclass
from typing import Protocol

from domain.payments.current import adopt_update, refresh
from domain.payments.errors import GatewayUnavailable, PaymentNotFound
from domain.payments.gateway import (
    GatewayFailed,
    GatewayNotSent,
    GatewayRefused,
    GatewayUnknown,
    GatewayUnreadable,
    IntentSnapshot,
    RefundSnapshot,
)
from domain.payments.judgement import judge
from domain.payments.operation import Operation, OperationKind, OperationStatus
from domain.payments.outcome import Outcome, outcome_of, refusal
from domain.payments.payment import Occasion, Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import RefundStatus
from domain.payments.refund_audit import outcome, picture
from domain.payments.routing import Gateways
from domain.payments.verdict import Verdict
from domain.shared.system import Clock, IdFactory


class NextOperation(Protocol):
    """What follows an operation."""

    async def on_refusal(self, operation: Operation, refused: GatewayRefused) -> None:
        """Outside any transaction, before a refusal is concluded: ask what the next operation will need."""
        ...

    def __call__(
        self, concluded: Operation, payment: Payment, refused: GatewayRefused | None
    ) -> Operation | None:
        """Inside the transaction that concludes an operation: the one that follows it, if any."""
        ...


class _NoneFollows:
    async def on_refusal(self, operation: Operation, refused: GatewayRefused) -> None:
        return

    def __call__(self, concluded: Operation, payment: Payment, refused: GatewayRefused | None) -> None:
        return


_none_follows = _NoneFollows()


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
        """Send an operation that was just saved and conclude it; the payment as it is afterwards.

        Raises GatewayRefusedRequest, PaymentStateForbids or AuthorizationExpired where it proved to have
        done nothing (a refund instead ends FAILED), and GatewayUnavailable where a creation never left
        us, so that its payment is forgotten. An unknown outcome is no error: the payment says so.
        """
        try:
            return await self._send(operation, then)
        except GatewayNotSent as error:
            if operation.kind is OperationKind.CREATE and await self._forget(operation):
                raise GatewayUnavailable from error
            return await self._put_off(operation, error)

    async def _send(self, operation: Operation, then: NextOperation) -> Payment:
        """Raises GatewayNotSent, besides what `run` does."""
        try:
            answer = await self.gateways.of(operation.gateway).execute(
                operation.request, operation.operation_id
            )
        except GatewayNotSent:
            raise
        except GatewayUnknown as error:
            return await self._put_off(operation, error)
        except GatewayRefused as error:
            await then.on_refusal(operation, error)
            return await self._go_on(operation, _Refusal(error), then)
        return await self._go_on(operation, answer, then)

    async def recover(self, operation: Operation, then: NextOperation = _none_follows) -> Payment:
        """Find out what became of an operation; repeat it, within 20 h, where the gateway has nothing of it.

        One whose place a cancellation has taken is never repeated: what nobody wants any more must not be done.
        """
        try:
            found = await self._look_up(operation)
        except (GatewayUnknown, GatewayUnavailable) as error:
            return await self._put_off(operation, error)
        except GatewayRefused as error:
            return await self._put_off(operation, f"the look-up was refused: {error}")
        if found is not None:
            return await self._go_on(operation, found, then)
        if operation.may_repeat(self.clock.now()):
            return await self._repeat(operation, then)
        lost = GatewayRefused("never_arrived", "the gateway never received the request")
        return await self._go_on(operation, _Refusal(lost), then)

    async def _repeat(self, operation: Operation, then: NextOperation) -> Payment:
        """Send the identical request once more, on record: from now on it may have been sent twice."""
        async with self.unit_of_work() as uow:
            payment, saved = await _locked(uow, operation)
            if not saved.open:
                return payment
            superseded = (
                operation.kind is not OperationKind.REFUND and payment.in_flight != operation.operation_id
            )
            if not superseded:
                saved.sent_again(self.clock.now())
                await uow.operations.save(saved)
                await uow.commit()
        if superseded:
            return await self._put_off(operation, "a cancellation has taken its place")
        try:
            return await self._send(operation, then)
        except GatewayNotSent as error:
            return await self._put_off(operation, error)

    async def _forget(self, operation: Operation) -> bool:
        """Undo a creation that never left us; False where more than its saving has happened meanwhile."""
        async with self.unit_of_work() as uow:
            found = await uow.operations.lock(operation.operation_id)
            if found is None or found[1].status is not OperationStatus.STARTED:
                return False  # recovery or a repetition of the request has sent it, or was told of it
            payment, _ = found
            if payment.version > 1:
                return False
            await uow.payments.forget(payment)
            await uow.commit()
        return True

    def occasion(self) -> Occasion:
        return Occasion(self.clock.now(), self.ids.event_id)

    async def _look_up(self, operation: Operation) -> IntentSnapshot | RefundSnapshot | None:
        """What the gateway has of this operation, None where it has nothing."""
        gateway = self.gateways.of(operation.gateway)
        if operation.kind is OperationKind.CREATE:
            return await gateway.find_intent(operation.payment_id, created_after=operation.created_at)
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(operation.payment_id)
            refund = await uow.refunds.get(operation.refund_id) if operation.refund_id else None
        if payment is None or payment.intent_id is None:
            raise PaymentNotFound
        if refund is not None:  # no other attempt at it begins while this operation is open
            return await gateway.find_refund(payment.intent_id, refund.refund_id, refund.attempt)
        intent = await gateway.get_intent(payment.intent_id)
        return None if outcome_of(operation, payment, intent) is Outcome.NOT_YET else intent

    async def _go_on(
        self, operation: Operation, answer: IntentSnapshot | RefundSnapshot | _Refusal, then: NextOperation
    ) -> Payment:
        try:
            payment, concluded, following = await self._conclude(operation, answer, then)
        except GatewayFailed as error:
            return await self._put_off(operation, error)
        if following is not None:
            return await self.run(following, then)
        if concluded.status is OperationStatus.FAILED and operation.kind is not OperationKind.REFUND:
            refused = answer.error if isinstance(answer, _Refusal) else None
            raise refusal(
                concluded,
                await self._refreshed(payment),
                refused.message if refused else concluded.error,
                pointer=refused.pointer if refused else None,
            )
        return payment

    async def _refreshed(self, payment: Payment) -> Payment:
        """The payment as the gateway has it, whose state may be why it refused; as we have it, if it does not say."""
        try:
            return await refresh(
                self.unit_of_work, self.gateways.of(payment.gateway), payment, self.clock, self.ids
            )
        except GatewayFailed:
            return payment  # the refusal is decided and saved; a webhook or the next look-up tells the rest

    async def _conclude(
        self, operation: Operation, answer: IntentSnapshot | RefundSnapshot | _Refusal, then: NextOperation
    ) -> tuple[Payment, Operation, Operation | None]:
        """Save the outcome; a report that may be old by now is fetched again until it is current.

        The payment, the operation as it is concluded, and the one that follows it.
        """
        version, fetched = operation.payment_version, False
        while True:
            async with self.unit_of_work() as uow:
                if operation.kind is OperationKind.CREATE and isinstance(answer, IntentSnapshot):
                    await uow.webhooks.lock_intent(operation.gateway, answer.intent_id)
                payment, saved = await _locked(uow, operation)
                if not saved.open:  # concluded by recovery, by a repetition or by its first caller
                    return payment, saved, None
                if await self._take_over(uow, payment, saved, answer, version, fetched):
                    following = then(saved, payment, answer.error if isinstance(answer, _Refusal) else None)
                    if (
                        operation.kind is OperationKind.CREATE
                        and isinstance(answer, _Refusal)
                        and not following
                    ):
                        payment.abandon(self.occasion(), told=saved.checks > 0)
                    await self._save(uow, payment, saved, following)
                    return payment, saved, following
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
        occasion, failure = self.occasion(), None
        if isinstance(answer, IntentSnapshot):
            verdict = await self._judge(uow, payment, operation, answer, version, fetched)
            if verdict is Verdict.FETCH:
                return False
            if outcome_of(operation, payment, answer) is Outcome.PRECLUDED:
                failure = f"the intent was {answer.status.lower()} before"
            if verdict is Verdict.RECORDED:
                await adopt_update(uow, payment, answer)
                payment.record_intent(answer, occasion)
        else:
            await self._settle_refund(uow, payment, operation, answer, occasion)
        if isinstance(answer, _Refusal):
            failure = str(answer.error)
        if failure is None:
            operation.succeeded(occasion.now)
        else:
            operation.failed(failure, occasion.now)
        payment.end(operation)
        return True

    async def _judge(
        self,
        uow: PaymentsUnitOfWork,
        payment: Payment,
        operation: Operation,
        answer: IntentSnapshot,
        version: int,
        fetched: bool,
    ) -> Verdict:
        """What the answer is worth: it may have been overtaken by other reports on its way."""
        creation = operation.kind is OperationKind.CREATE
        if creation and not fetched and await uow.webhooks.has_waiting(operation.gateway, answer.intent_id):
            # What waited is younger than the answer. Recovery applies it, once the intent is bound.
            return Verdict.FETCH
        if payment.version == version or payment.intent_id is None:
            return Verdict.RECORDED
        # Nobody tried the intent yet, so that only a current report tells an update's amount.
        return Verdict.FETCH if operation.kind is OperationKind.UPDATE else judge(payment, answer)

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
        before = picture(refund)
        if isinstance(answer, RefundSnapshot):
            payment.record_refund(refund, answer, occasion)
        elif refund.status is RefundStatus.PENDING:
            refund.operation_unknown = False
            payment.decide_refund(refund, RefundStatus.FAILED, answer.error.code, occasion)
        await uow.refunds.save(refund)
        if told := outcome(operation.gateway, refund, at=occasion.now, before=before):
            await uow.audit.append(told)

    async def _save(
        self, uow: PaymentsUnitOfWork, payment: Payment, concluded: Operation, following: Operation | None
    ) -> None:
        await uow.operations.save(concluded)
        if following is not None:
            await start(uow, payment, following)
        else:
            await uow.payments.save(payment)
        await uow.commit()

    async def _put_off(self, operation: Operation, cause: Exception | str) -> Payment:
        """Say that the outcome is not known; recovery takes it from here.

        A person is called where the gateway's word is one that we cannot read, or is out for long.
        """
        async with self.unit_of_work() as uow:
            payment, saved = await _locked(uow, operation)
            if saved.open:
                now = self.clock.now()
                saved.unknown(str(cause), now)
                await uow.operations.save(saved)
                await self._show_unknown(
                    uow,
                    payment,
                    saved,
                    is_grave=isinstance(cause, GatewayUnreadable) or saved.is_overdue(now),
                )
                await uow.commit()
            return payment

    async def _show_unknown(
        self, uow: PaymentsUnitOfWork, payment: Payment, operation: Operation, *, is_grave: bool
    ) -> None:
        shown = (payment.operation_unknown, payment.attention)
        if is_grave:
            payment.note_undecided()
        if payment.in_flight == operation.operation_id:
            payment.operation_unknown = True
        if shown != (payment.operation_unknown, payment.attention):
            await uow.payments.mark_operation_unknown(payment)
        refund = await uow.refunds.get(operation.refund_id) if operation.refund_id else None
        if refund is not None and not refund.operation_unknown:
            refund.operation_unknown = True
            await uow.refunds.save(refund)


async def _locked(uow: PaymentsUnitOfWork, operation: Operation) -> tuple[Payment, Operation]:
    """The operation as it was saved and its payment, both locked. Raises PaymentNotFound."""
    found = await uow.operations.lock(operation.operation_id)
    if found is None:
        raise PaymentNotFound
    return found


async def resume(runner: OperationRunner, operation: Operation, payment: Payment) -> Payment:
    """Answer the repetition of a request whose operation was saved before.

    Raises GatewayRefusedRequest, PaymentStateForbids or AuthorizationExpired where that operation failed.
    """
    if operation.open:
        return await runner.recover(operation)
    if operation.status is OperationStatus.FAILED:
        raise refusal(operation, payment, operation.error)
    return payment
