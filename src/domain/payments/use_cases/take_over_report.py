"""Take in what the gateway has of an object now, as if the webhook that tells of it came."""

from dataclasses import dataclass

from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import (
    DisputeSnapshot,
    GatewayEvent,
    GatewayFailed,
    IntentSnapshot,
    RefundSnapshot,
)
from domain.payments.gateway_lists import lists_of
from domain.payments.payment import Payment
from domain.payments.ports import PaymentsUnitOfWork
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.payments.webhook import WebhookOutcome
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.gateway_objects import ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOverReport:
    caller: Caller
    kind: ObjectKind
    gateway: str
    object_id: str
    """The gateway's id of it."""
    cause: str
    """Why this is done, for the audit log; its first word names it."""


@dataclass(frozen=True, slots=True)
class TakeOverReportHandler:
    receive: ReceiveWebhookHandler

    async def __call__(self, command: TakeOverReport) -> WebhookOutcome:
        """What became of it; NOTHING_NEW where the payment knew, and then nothing is written.

        Raises GatewayUnavailable.
        """
        snapshot = await self._fetch(command)
        event = GatewayEvent(
            event_id=command.cause.partition(" ")[0],
            type=f"reconciliation.{command.kind}",
            created_at=self.receive.clock.now(),
            snapshot=snapshot,
        )

        async def keep(uow: PaymentsUnitOfWork, outcome: WebhookOutcome, payment: Payment | None) -> None:
            if payment is None or outcome is not WebhookOutcome.APPLIED:
                return
            entry = AuditEntry.of(
                command.caller,
                "payment.take_over",
                "payment",
                payment.payment_id,
                at=self.receive.clock.now(),
                reason=command.cause,
                after={
                    "object": command.kind.value,
                    "gatewayId": command.object_id,
                    "status": payment.status.value,
                    "amountCaptured": payment.amount_captured,
                    "amountRefunded": payment.amount_refunded,
                },
            )
            await uow.audit.append(entry)

        return await self.receive.process(command.gateway, event, keep)

    async def _fetch(self, command: TakeOverReport) -> IntentSnapshot | RefundSnapshot | DisputeSnapshot:
        gateway = self.receive.gateways.of(command.gateway)
        try:
            match command.kind:
                case ObjectKind.INTENT:
                    return await gateway.get_intent(command.object_id)
                case ObjectKind.DISPUTE:
                    return await gateway.get_dispute(command.object_id)
                case _:
                    lists = lists_of(gateway)
                    if lists is None:
                        raise GatewayUnavailable(f"The gateway account {command.gateway} has no lists.")
                    return await lists.get_refund(command.object_id)
        except GatewayFailed as error:
            raise GatewayUnavailable(str(error)) from error
