"""Recording what the gateway holds now: the one way in for facts that we fetched."""

from domain.payments.gateway import IntentSnapshot, PaymentGateway
from domain.payments.judgement import knows
from domain.payments.operation import OperationKind
from domain.payments.payment import Occasion, Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.verdict import Verdict
from domain.shared.system import Clock, IdFactory


async def record_current(
    uow: PaymentsUnitOfWork, payment: Payment, fetched: IntentSnapshot, occasion: Occasion
) -> Verdict:
    """Record, on the locked payment, a report that was fetched since the payment last changed."""
    await adopt_update(uow, payment, fetched)
    if knows(payment, fetched):
        return Verdict.NOTHING_NEW
    payment.record_intent(fetched, occasion)
    return Verdict.RECORDED


async def adopt_update(uow: PaymentsUnitOfWork, payment: Payment, snapshot: IntentSnapshot) -> None:
    """Take the amount of an update in flight that this report is the first to tell of."""
    if snapshot.amount == payment.amount or payment.in_flight is None:
        return
    operation = await uow.operations.get(payment.in_flight)
    if operation is None or operation.kind is not OperationKind.UPDATE:
        return
    if operation.target_amount == snapshot.amount:
        payment.amount = snapshot.amount


async def refresh(
    unit_of_work: UnitOfWorkFactory, gateway: PaymentGateway, payment: Payment, clock: Clock, ids: IdFactory
) -> Payment:
    """The payment with what the gateway holds of its intent now. Raises GatewayFailed."""
    while payment.intent_id is not None:
        fetched = await gateway.get_intent(payment.intent_id)
        async with unit_of_work() as uow:
            locked = await uow.payments.lock(payment.payment_id) or payment
            if locked.version == payment.version:
                occasion = Occasion(clock.now(), ids.event_id)
                if await record_current(uow, locked, fetched, occasion) is Verdict.RECORDED:
                    await uow.payments.save(locked)
                    await uow.commit()
                return locked
            payment = locked  # it has changed since before the fetch, which may be older than the change
    return payment
