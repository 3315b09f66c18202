"""Take in what the gateway reports by itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from domain.payments.current import adopt_update, record_current
from domain.payments.dispute import Dispute
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import (
    CustomerDeleted,
    DisputeSnapshot,
    GatewayEvent,
    GatewayFailed,
    IntentSnapshot,
    RefundSnapshot,
    UnreadableReport,
)
from domain.payments.judgement import judge
from domain.payments.payment import Occasion, Payment
from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.refund import NOTHING_GIVEN, Refund, RefundStatus
from domain.payments.refund_audit import outcome, picture
from domain.payments.routing import Gateways
from domain.payments.verdict import Verdict
from domain.payments.webhook import StoredWebhook, WebhookKept, WebhookOutcome
from domain.shared.system import Clock, IdFactory
from domain.shared.timeline import Detail


@dataclass(frozen=True, slots=True)
class ReceiveWebhook:
    """Sent to the address of the account `gateway`; the signature is over the bytes of the body."""

    gateway: str
    body: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class Receipt:
    event: GatewayEvent
    outcome: WebhookOutcome


Keep = Callable[[PaymentsUnitOfWork, WebhookOutcome, Payment | None], Awaitable[None]]
"""Writes what became of an event. Raises WebhookKept, here or at the commit, where another transaction has done so."""

Fetched = Mapping[str, IntentSnapshot | DisputeSnapshot]
"""Objects as the gateway holds them now, by its ids."""


@dataclass(frozen=True, slots=True)
class ReceiveWebhookHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    clock: Clock
    ids: IdFactory

    async def __call__(self, command: ReceiveWebhook) -> Receipt:
        """Keep the event and apply it, in one transaction; when this returns it is committed.

        Raises WebhookSignatureInvalid, WebhookBodyInvalid, and GatewayUnavailable where the object
        had to be fetched and could not be (nothing is kept then: the gateway sends the event again).
        """
        gateway = command.gateway
        event = self.gateways.verifier_of(gateway).verify(command.body, command.signature)
        received_at = self.clock.now()

        async def keep(uow: PaymentsUnitOfWork, outcome: WebhookOutcome, payment: Payment | None) -> None:
            webhook = StoredWebhook(
                gateway=gateway,
                event_id=event.event_id,
                type=event.type,
                created_at=event.created_at,
                received_at=received_at,
                # Of a customer who was deleted, as when we had them erased, nothing is kept that tells who it was.
                body=None if isinstance(event.snapshot, CustomerDeleted) else command.body,
                intent_id=event.intent_id,
                payment_id=payment.payment_id if payment else None,
                outcome=outcome,
                is_known=event.is_known,
            )
            await uow.webhooks.insert(webhook)

        try:
            outcome = await self._nothing_new(gateway, event, keep)
            return Receipt(event, outcome or await self.process(gateway, event, keep))
        except WebhookKept:
            return Receipt(event, WebhookOutcome.REPEATED)

    async def _nothing_new(self, gateway: str, event: GatewayEvent, keep: Keep) -> WebhookOutcome | None:
        """Keep an event that was kept before, or that the payment knows already; None for any other.

        Most are so, since the answer to a call tells the same. What is committed is enough to say it: the
        payment is not locked, for a report that is no news now is none later.
        """
        snapshot = event.snapshot
        if snapshot is None:
            return None  # nothing is applied: the insertion alone tells whether it was kept before
        payment_id = snapshot.payment_id if isinstance(snapshot, IntentSnapshot) else None
        async with self.unit_of_work() as uow:
            is_kept, payment = await uow.webhooks.look(gateway, event.event_id, payment_id)
            if is_kept:
                return WebhookOutcome.REPEATED
            if not isinstance(snapshot, IntentSnapshot) or payment is None:
                return None
            ours = (payment.gateway, payment.intent_id) == (gateway, event.intent_id)
            if not ours or judge(payment, snapshot) is not Verdict.NOTHING_NEW:
                return None
            await keep(uow, WebhookOutcome.NOTHING_NEW, payment)
            await uow.commit()
        return WebhookOutcome.NOTHING_NEW

    async def process(self, gateway: str, event: GatewayEvent, keep: Keep) -> WebhookOutcome:
        """Apply an event of this account and `keep` what became of it, in one transaction.

        Raises GatewayUnavailable where the object had to be fetched and could not be.
        """
        fetched: Fetched = {}
        version = 0
        while True:
            async with self.unit_of_work() as uow:
                payment = await self._lock_payment(uow, gateway, event)
                current = fetched if payment is not None and payment.version == version else {}
                verdict = await self._apply(uow, payment, event, current) if payment else Verdict.NOTHING_NEW
                if payment is None or verdict is not Verdict.FETCH:
                    if payment is not None and verdict is Verdict.RECORDED:
                        await uow.payments.save(payment)
                    outcome = await self._outcome(uow, gateway, event, payment, verdict)
                    await keep(uow, outcome, payment)
                    await uow.commit()
                    return outcome
                version = payment.version
            fetched = await self._fetch(gateway, [event])

    async def apply_waiting(self, payment_id: str) -> None:
        """Apply the webhooks that waited for this payment, which is known by now, in one transaction.

        Raises GatewayUnavailable where the intent had to be fetched and could not be; they wait on then.
        """
        fetched: Fetched = {}
        version = 0
        while True:
            async with self.unit_of_work() as uow:
                payment = await uow.payments.lock(payment_id)
                if payment is None or payment.intent_id is None:
                    return
                current = fetched if payment.version == version else {}
                verdicts, ambiguous = [], []
                for webhook in await uow.webhooks.take_waiting(
                    payment.gateway, payment.intent_id, payment_id
                ):
                    event = self.gateways.verifier_of(webhook.gateway).read(webhook.body or b"")
                    verdict = await self._apply(uow, payment, event, current)
                    outcome = await self._outcome(uow, webhook.gateway, event, payment, verdict)
                    await uow.webhooks.decide(webhook.gateway, webhook.event_id, outcome, payment_id)
                    verdicts.append(verdict)
                    if verdict is Verdict.FETCH:
                        ambiguous.append(event)
                if not ambiguous:
                    if Verdict.RECORDED in verdicts:
                        await uow.payments.save(payment)
                    await uow.commit()
                    return
                version, gateway = payment.version, payment.gateway
            fetched = {**current, **await self._fetch(gateway, ambiguous)}

    async def _fetch(self, account: str, ambiguous: Sequence[GatewayEvent]) -> Fetched:
        """What the gateway holds now of the objects that decide these events: a dispute, else the intent."""
        fetched: dict[str, IntentSnapshot | DisputeSnapshot] = {}
        try:
            gateway = self.gateways.of(account)
            for event in ambiguous:
                if isinstance(event.snapshot, DisputeSnapshot):
                    dispute_id = event.snapshot.gateway_dispute_id
                    fetched[dispute_id] = await gateway.get_dispute(dispute_id)
                elif event.intent_id is not None and event.intent_id not in fetched:
                    fetched[event.intent_id] = await gateway.get_intent(event.intent_id)
        except GatewayFailed as error:
            raise GatewayUnavailable from error
        return fetched

    async def _lock_payment(
        self, uow: PaymentsUnitOfWork, gateway: str, event: GatewayEvent
    ) -> Payment | None:
        """The payment that the event is about, locked: one of the account that reports. None where none is known, and then none can become so
        before this transaction ends."""
        snapshot, intent_id = event.snapshot, event.intent_id
        if isinstance(snapshot, IntentSnapshot) and snapshot.payment_id is not None:
            named = await uow.payments.lock(snapshot.payment_id)
            if named and named.gateway == gateway and named.intent_id in (None, intent_id):
                return named
        if intent_id is None:
            return None
        payment_id = await uow.payments.find_by_intent(gateway, intent_id)
        if payment_id is None:
            await uow.webhooks.lock_intent(gateway, intent_id)
            payment_id = await uow.payments.find_by_intent(gateway, intent_id)
        return await uow.payments.lock(payment_id) if payment_id else None

    async def _outcome(
        self,
        uow: PaymentsUnitOfWork,
        gateway: str,
        event: GatewayEvent,
        payment: Payment | None,
        verdict: Verdict,
    ) -> WebhookOutcome:
        snapshot = event.snapshot
        if isinstance(snapshot, UnreadableReport):
            return WebhookOutcome.UNREADABLE
        if isinstance(snapshot, CustomerDeleted):
            user_id, customer_id = snapshot.user_id, snapshot.gateway_customer_id
            if user_id and await uow.customers.forget(gateway, user_id, customer_id):
                return WebhookOutcome.APPLIED
            return WebhookOutcome.NOTHING_NEW
        if payment is None:
            return WebhookOutcome.IGNORED if event.intent_id is None else WebhookOutcome.WAITING
        return WebhookOutcome.APPLIED if verdict is Verdict.RECORDED else WebhookOutcome.NOTHING_NEW

    async def _apply(
        self, uow: PaymentsUnitOfWork, payment: Payment, event: GatewayEvent, fetched: Fetched
    ) -> Verdict:
        occasion = Occasion(self.clock.now(), self.ids.event_id)
        snapshot = event.snapshot
        if isinstance(snapshot, DisputeSnapshot):
            current_dispute = fetched.get(snapshot.gateway_dispute_id)
            return await _apply_dispute(uow, payment, snapshot, current_dispute, occasion)
        current = fetched.get(event.intent_id or "")
        assert current is None or isinstance(current, IntentSnapshot)
        if isinstance(snapshot, RefundSnapshot):
            return await self._apply_refund(uow, payment, snapshot, current, occasion)
        if isinstance(snapshot, UnreadableReport):
            return payment.note_unreadable(occasion)
        if not isinstance(snapshot, IntentSnapshot):
            return Verdict.NOTHING_NEW
        if current is not None:
            return await record_current(uow, payment, current, occasion)
        verdict = judge(payment, snapshot)
        if verdict is Verdict.RECORDED:
            await adopt_update(uow, payment, snapshot)
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
            told = await record_current(uow, payment, fetched, occasion)
        refund = await uow.refunds.find_by_gateway_id(snapshot.gateway_refund_id)
        if refund is None and snapshot.refund_id:
            refund = await uow.refunds.get(snapshot.refund_id)
        if refund is not None and refund.payment_id != payment.payment_id:
            return payment.note_contradiction(occasion)
        if refund is not None and refund.has_given_up(snapshot):
            if snapshot.status in NOTHING_GIVEN:
                return told  # late news of an attempt that has failed: another has taken its place
            payment.note_given_up(occasion)
        elif refund is not None:
            before = picture(refund)
            verdict = payment.record_refund(refund, snapshot, occasion)
            await uow.refunds.save(refund)
            await self._note(uow, payment, refund, before, occasion)
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
        await self._note(uow, payment, refund, {}, occasion)
        return Verdict.RECORDED

    @staticmethod
    async def _note(
        uow: PaymentsUnitOfWork,
        payment: Payment,
        refund: Refund,
        before: Mapping[str, Detail],
        occasion: Occasion,
    ) -> None:
        if told := outcome(payment.gateway, refund, at=occasion.now, before=before):
            await uow.audit.append(told)


async def _apply_dispute(
    uow: PaymentsUnitOfWork,
    payment: Payment,
    snapshot: DisputeSnapshot,
    fetched: IntentSnapshot | DisputeSnapshot | None,
    occasion: Occasion,
) -> Verdict:
    disputes = await uow.disputes.of_payment(payment.payment_id)
    known = next((one for one in disputes if one.gateway_dispute_id == snapshot.gateway_dispute_id), None)
    if known is None and await uow.disputes.get(snapshot.gateway_dispute_id) is not None:
        return payment.note_contradiction(occasion)
    if known is None:
        dispute = Dispute.of(snapshot, payment.payment_id, occasion.now)
        payment.open_dispute(dispute, occasion)
        await uow.disputes.put(dispute)
        return Verdict.RECORDED
    if isinstance(fetched, DisputeSnapshot):
        verdict = Verdict.NOTHING_NEW if known.knows(fetched) else Verdict.RECORDED
        snapshot = fetched
    else:
        verdict = known.judge(snapshot)
    if verdict is Verdict.RECORDED:
        others_open = any(not one.status.closed for one in disputes if one is not known)
        payment.record_dispute(known, snapshot, others_open=others_open, occasion=occasion)
        await uow.disputes.put(known)
    return verdict
