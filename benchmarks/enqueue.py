"""What the outbox costs the business transaction: a webhook's, which is the shortest there is with an event."""

import statistics
import time
from dataclasses import dataclass, field
from functools import partial

from adapters.cloudevents import payment_events
from adapters.postgres.payments import EventEncoder, PostgresPayments, PostgresPaymentsUnitOfWork
from adapters.postgres.transaction import Transaction
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from benchmarks.scenario import NOW, TRACEPARENT
from domain.payments.gateway import CaptureMethod, GatewayEvent, IntentSnapshot, IntentStatus
from domain.payments.payment import Payment
from domain.payments.routing import Account, Gateways
from domain.payments.use_cases.receive_webhook import ReceiveWebhook, ReceiveWebhookHandler
from domain.payments.webhook import WebhookOutcome
from domain.shared.payment_events import CardMethod, PaymentEvent
from entrypoints.bootstrap import Container
from outbox import Event

TRANSACTIONS = 1_000  # of each kind, in turn


class _NoOutbox(PostgresPayments):
    """The same transaction without it."""

    async def save(self, payment: Payment) -> None:
        payment.take_events()
        await super().save(payment)


class _NoOutboxUnitOfWork(PostgresPaymentsUnitOfWork):
    def _open(self, transaction: Transaction) -> None:
        super()._open(transaction)
        self.payments = _NoOutbox(transaction, self._outbox, self._encode)


@dataclass(slots=True)
class _Reports:
    """A verifier that takes any body for the report that a payment succeeded."""

    signature_header = "Signature"

    ids: SystemIds
    payments: list[Payment] = field(default_factory=list)

    def verify(self, body: bytes, signature: str) -> GatewayEvent:
        payment = self.payments.pop()
        snapshot = IntentSnapshot(
            intent_id=payment.intent_id or "",
            status=IntentStatus.SUCCEEDED,
            amount=payment.amount,
            currency=payment.currency,
            amount_capturable=0,
            amount_captured=payment.amount,
            client_secret=None,
            next_action=None,
            last_error=None,
            failed_charge_id=None,
            charge_id=self.ids.new("ch"),
            method=CardMethod("visa", "4242"),
            capture_before=None,
            multicapture=None,
            cancellation_reason=None,
            customer_id=None,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
        )
        return GatewayEvent(
            event_id=self.ids.new("evt"), type="payment_intent.succeeded", created_at=NOW, snapshot=snapshot
        )

    def read(self, body: bytes) -> GatewayEvent:
        raise NotImplementedError("no webhook waits here")


async def measure(container: Container) -> dict[str, float]:
    """Milliseconds of a webhook's transaction with the outbox and without, and what it costs in per cent."""
    ids = SystemIds()
    reports = _Reports(ids)
    handlers = {
        name: _handler(container, kind, reports, ids, encode)
        for name, kind, encode in (
            (
                "with",
                PostgresPaymentsUnitOfWork,
                partial(payment_events.encode, traceparent=lambda: TRACEPARENT),
            ),
            ("without", _NoOutboxUnitOfWork, _not_encoded),
        )
    }
    command = ReceiveWebhook("stripe", b"{}" * 1_000, "")
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(TRANSACTIONS + 50):
        for name, handler in handlers.items():
            reports.payments.append(await _a_payment(container, ids))
            begun = time.perf_counter()
            receipt = await handler(command)
            if number >= 50:  # statements are prepared by then
                seconds[name].append(time.perf_counter() - begun)
            assert receipt.outcome is WebhookOutcome.APPLIED
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "webhook without outbox, median ms": median["without"] * 1000,
        "webhook with outbox, median ms": median["with"] * 1000,
        "enqueue costs, %": (median["with"] / median["without"] - 1) * 100,
    }


def _handler(
    container: Container,
    kind: type[PostgresPaymentsUnitOfWork],
    reports: _Reports,
    ids: SystemIds,
    encode: EventEncoder,
) -> ReceiveWebhookHandler:
    uow = partial(kind, container.payments.engine, container.payments.outbox, encode, lambda: None)
    gateways = Gateways([Account(container.payments.gateways.of("stripe"), reports)])
    return ReceiveWebhookHandler(uow, gateways, SystemClock(), ids)


def _not_encoded(event: PaymentEvent) -> Event:
    return Event(event.event_id, "", "", 1, "", b"", {})


async def _a_payment(container: Container, ids: SystemIds) -> Payment:
    payment = Payment(
        payment_id=ids.new("pay"),
        order_id=ids.new("ord"),
        amount=8174,
        currency="EUR",
        capture_method=CaptureMethod.AUTOMATIC,
        gateway="stripe",
        created_at=NOW,
        updated_at=NOW,
        intent_id=ids.new("pi"),
        status=IntentStatus.PROCESSING,
    )
    uow = PostgresPaymentsUnitOfWork(
        container.payments.engine, container.payments.outbox, _not_encoded, lambda: None
    )
    async with uow:
        await uow.payments.add(payment)
        await uow.commit()
    return payment
