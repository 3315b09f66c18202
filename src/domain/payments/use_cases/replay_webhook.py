"""Process a kept webhook again, as if it came now."""

from dataclasses import dataclass
from enum import StrEnum

from domain.payments.errors import GatewayUnavailable
from domain.payments.payment import Payment
from domain.payments.ports import PaymentsUnitOfWork
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.payments.webhook import WebhookBodyInvalid, WebhookOutcome
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller


class NotReplayed(StrEnum):
    """Why a webhook could not be processed again."""

    NOT_KEPT = "NOT_KEPT"
    """No webhook has this id."""
    BODY_GONE = "BODY_GONE"
    """Its body was removed after the retention time."""
    GATEWAY_UNAVAILABLE = "GATEWAY_UNAVAILABLE"
    """It may be out of date, and the gateway, which knows, could not be asked."""


@dataclass(frozen=True, slots=True)
class ReplayWebhookHandler:
    receive: ReceiveWebhookHandler

    async def __call__(self, caller: Caller, gateway: str, event_id: str) -> WebhookOutcome | NotReplayed:
        """What became of it this time: NOTHING_NEW where the first time had its effect."""
        async with self.receive.unit_of_work() as uow:
            webhook = await uow.webhooks.get(gateway, event_id)
        if webhook is None:
            return NotReplayed.NOT_KEPT
        if webhook.body is None:
            return NotReplayed.BODY_GONE
        try:
            event = self.receive.gateways.verifier_of(gateway).read(webhook.body)
        except WebhookBodyInvalid:
            return WebhookOutcome.UNREADABLE  # what a former version read, this one does not: it stays kept

        async def keep(uow: PaymentsUnitOfWork, outcome: WebhookOutcome, payment: Payment | None) -> None:
            payment_id = payment.payment_id if payment else None
            await uow.webhooks.decide(gateway, event_id, outcome, payment_id)
            entry = AuditEntry.of(
                caller,
                "webhook.replay",
                "webhook",
                event_id,
                at=self.receive.clock.now(),
                before={"outcome": webhook.outcome},
                after={"outcome": outcome, "gateway": gateway, "paymentId": payment_id},
            )
            await uow.audit.append(entry)

        try:
            return await self.receive.process(gateway, event, keep)
        except GatewayUnavailable:
            return NotReplayed.GATEWAY_UNAVAILABLE
