"""Take in what the gateway reports by itself."""

from dataclasses import dataclass
from enum import StrEnum

from domain.payments.dispute import Dispute
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayEvent,
    GatewayFailed,
    IntentSnapshot,
    RefundSnapshot,
    Snapshot,
)
from domain.payments.payment import Occasion, Payment, Verdict
from domain.payments.ports import PaymentsUnitOfWork, StoredWebhook, UnitOfWorkFactory
from domain.payments.refund import Refund, RefundStatus
from domain.payments.routing import Gateways
from domain.shared.system import Clock, IdFactory


class WebhookOutcome(StrEnum):
    APPLIED = "APPLIED"
    NOTHING_NEW = "NOTHING_NEW"
    REPEATED = "REPEATED"
    """This very event was kept before."""
    WAITING = "WAITING"
    """No payment of ours is known for it yet."""
    IGNORED = "IGNORED"
    """It is about something that payments do not follow; kept all the same."""


@dataclass(frozen=True, slots=True)
class ReceiveWebhook:
    """Sent to the address of the account `gateway`; the signature is over the bytes of the body."""

    gateway: str
    body: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class ReceiveWebhookHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    clock: Clock
    ids: IdFactory

    async def __call__(self, command: ReceiveWebhook) -> WebhookOutcome:
        """Keep the event and apply it, in one transaction; when this returns it is committed.

        Raises WebhookSignatureInvalid, WebhookBodyInvalid, and GatewayUnavailable where the object
        had to be fetched and could not be (nothing is kept then: the gateway sends the event again).
        """
        event = self.gateways.verifier_of(command.gateway).verify(command.body, command.signature)
        fetched: IntentSnapshot | None = None
        version = 0
        while True:
            async with self.unit_of_work() as uow:
                payment, repeated = await self._keep(uow, command, event)
                if repeated:
                    return WebhookOutcome.REPEATED
                if payment is None or event.snapshot is None:
                    await uow.commit()
                    return WebhookOutcome.IGNORED if event.snapshot is None else WebhookOutcome.WAITING
                current = fetched if fetched is not None and payment.version == version else None
                verdict = await self._apply(uow, payment, event, current)
                if verdict is not Verdict.FETCH:
                    if verdict is Verdict.RECORDED:
                        await uow.payments.save(payment)
                    await uow.commit()
                    return WebhookOutcome("APPLIED" if verdict is Verdict.RECORDED else "NOTHING_NEW")
                version = payment.version
            fetched = await self._fetch(command.gateway, event.snapshot.intent_id or "")

    async def apply_waiting(self, payment_id: str) -> None:
        """Apply the webhooks that waited for this payment, which is known by now, in one transaction.

        Raises GatewayUnavailable where the intent had to be fetched and could not be; they wait on then.
        """
        fetched: IntentSnapshot | None = None
        version = 0
        while True:
            async with self.unit_of_work() as uow:
                payment = await uow.payments.lock(payment_id)
                if payment is None or payment.intent_id is None:
                    return
                current = fetched if payment.version == version else None
                verdicts = []
                for webhook in await uow.webhooks.take_waiting(
                    payment.gateway, payment.intent_id, payment_id
                ):
                    event = self.gateways.verifier_of(webhook.gateway).read(webhook.body)
                    verdicts.append(await self._apply(uow, payment, event, current))
                if Verdict.FETCH not in verdicts:
                    if Verdict.RECORDED in verdicts:
                        await uow.payments.save(payment)
                    await uow.commit()
                    return
                version, gateway, intent_id = payment.version, payment.gateway, payment.intent_id
            fetched = await self._fetch(gateway, intent_id)

    async def _fetch(self, gateway: str, intent_id: str) -> IntentSnapshot:
        try:
            return await self.gateways.of(gateway).get_intent(intent_id)
        except GatewayFailed as error:
            raise GatewayUnavailable from error

    async def _keep(
        self, uow: PaymentsUnitOfWork, command: ReceiveWebhook, event: GatewayEvent
    ) -> tuple[Payment | None, bool]:
        """Insert the event; its payment, locked, and whether the event was there before."""
        intent_id = event.snapshot.intent_id if event.snapshot else None
        payment_id = await self._find_payment(uow, command.gateway, event.snapshot)
        if payment_id is None and intent_id is not None:
            await uow.webhooks.lock_intent(command.gateway, intent_id)
            payment_id = await uow.payments.find_by_intent(command.gateway, intent_id)
        webhook = StoredWebhook(
            gateway=command.gateway,
            event_id=event.event_id,
            type=event.type,
            created_at=event.created_at,
            received_at=self.clock.now(),
            body=command.body,
            intent_id=intent_id,
            payment_id=payment_id,
        )
        if not await uow.webhooks.insert(webhook):
            return None, True
        return (await uow.payments.lock(payment_id) if payment_id else None), False

    async def _find_payment(
        self, uow: PaymentsUnitOfWork, gateway: str, snapshot: Snapshot | None
    ) -> str | None:
        """The payment that a report is about: one of the account that reports, whatever the metadata says."""
        if isinstance(snapshot, IntentSnapshot) and snapshot.payment_id is not None:
            named = await uow.payments.get(snapshot.payment_id)
            if (
                named is not None
                and named.gateway == gateway
                and named.intent_id in (None, snapshot.intent_id)
            ):
                return named.payment_id
        if snapshot is None or snapshot.intent_id is None:
            return None
        return await uow.payments.find_by_intent(gateway, snapshot.intent_id)

    async def _apply(
        self, uow: PaymentsUnitOfWork, payment: Payment, event: GatewayEvent, fetched: IntentSnapshot | None
    ) -> Verdict:
        occasion = Occasion(self.clock.now(), self.ids.event_id)
        snapshot = event.snapshot
        if isinstance(snapshot, RefundSnapshot):
            return await self._apply_refund(uow, payment, snapshot, fetched, occasion)
        if isinstance(snapshot, DisputeSnapshot):
            return await self._apply_dispute(uow, payment, snapshot, occasion)
        if not isinstance(snapshot, IntentSnapshot):
            return Verdict.NOTHING_NEW
        if fetched is not None:
            return _record_current(payment, fetched, occasion)
        verdict = payment.judge(snapshot)
        if verdict is Verdict.RECORDED:
            payment.record_intent(snapshot, occasion)
        return verdict

    async def _apply_refund(
        self,
        uow: PaymentsUnitOfWork,
        payment: Payment,
        snapshot: RefundSnapshot,
        fetched: IntentSnapshot | None,
        occasion: Occasion,
    ) -> Verdict:
        told = Verdict.NOTHING_NEW
        if payment.amount_captured == 0:
            # Money that came back was taken before: the report of that has been overtaken by this one.
            if fetched is None:
                return Verdict.FETCH
            told = _record_current(payment, fetched, occasion)
        refund = await uow.refunds.get(snapshot.refund_id) if snapshot.refund_id else None
        refund = refund or await uow.refunds.find_by_gateway_id(snapshot.gateway_refund_id)
        if refund is not None and refund.payment_id == payment.payment_id:
            verdict = payment.record_refund(refund, snapshot, occasion)
            await uow.refunds.save(refund)
            return told if verdict is Verdict.NOTHING_NEW else verdict
        refund = Refund(
            refund_id=self.ids.new("ref"),
            payment_id=payment.payment_id,
            amount=snapshot.amount,
            currency=snapshot.currency,
            reason=snapshot.reason,
            status=RefundStatus.PENDING,
            gateway_refund_id=snapshot.gateway_refund_id,
            created_at=occasion.now,
            updated_at=occasion.now,
        )
        payment.record_foreign_refund(refund)
        payment.record_refund(refund, snapshot, occasion)
        await uow.refunds.add(refund)
        return Verdict.RECORDED

    async def _apply_dispute(
        self, uow: PaymentsUnitOfWork, payment: Payment, snapshot: DisputeSnapshot, occasion: Occasion
    ) -> Verdict:
        known = await uow.disputes.get(snapshot.gateway_dispute_id)
        dispute = known or Dispute(
            gateway_dispute_id=snapshot.gateway_dispute_id,
            payment_id=payment.payment_id,
            amount=snapshot.amount,
            currency=snapshot.currency,
            reason=snapshot.reason,
            status=snapshot.status,
            closed=False,
            opened_at=occasion.now,
            updated_at=occasion.now,
        )
        verdict = payment.record_dispute(dispute, snapshot, new=known is None, occasion=occasion)
        if verdict is Verdict.RECORDED:
            await uow.disputes.put(dispute)
        return verdict


def _record_current(payment: Payment, fetched: IntentSnapshot, occasion: Occasion) -> Verdict:
    """Record what the gateway holds now."""
    if payment.knows(fetched):
        return Verdict.NOTHING_NEW
    payment.record_intent(fetched, occasion)
    return Verdict.RECORDED
