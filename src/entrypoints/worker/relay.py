"""The relay process: publishes what the logs hold, owns delivery, and takes up what was left open."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from adapters.dramatiq.publisher import DramatiqPublisher
from entrypoints.bootstrap import Container, build_container, make_broker_of
from entrypoints.composition.order_side import OrderSide
from entrypoints.composition.payment_side import PaymentSide
from entrypoints.operating.audit import AnchorHeads
from entrypoints.settings import Settings
from entrypoints.traces import in_new_traces
from entrypoints.worker.consumers import effect_inboxes, payment_events_inbox
from entrypoints.worker.periodic import periodically
from entrypoints.worker.reconciling import GatewayRound, orders_round_of, summarize_day
from entrypoints.worker.subscriptions import EFFECTS, ORDERS, consumers_by_topic, consumers_of
from entrypoints.worker.waiting import check_payments
from entrypoints.worker.webhook_log import WebhookPublisher
from outbox import AntiEntropy, InboxView, Relay

RECOVERY_SECONDS = 2.0
CHECK_SECONDS = 10.0
BALANCE_SECONDS = 20.0
"""How often the gateway's balance is read: while nothing moves, it costs one call for each account."""
HOUSEKEEPING_SECONDS = 3600.0
WEBHOOK_SECONDS = 0.5
SUMMARY_SECONDS = 60.0
ANCHOR_SECONDS = 600.0
FORGET_KEYS_AT_ONCE = 1000

Work = Iterator[Coroutine[Any, Any, None]]


async def run_relay(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`. Any number of these processes may run: they share the work."""
    container = build_container(settings)
    await container.start()
    broker = make_broker_of(settings)
    publisher = DramatiqPublisher(broker, consumers_by_topic(), now=container.clock.now)
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in (
                *_relays(container, publisher, stop),
                *_recovery(container, stop),
                *_housekeeping(container.orders, consumers_of("orders"), settings, stop),
                *_housekeeping(container.payments, consumers_of("payments"), settings, stop),
                *_forgetting(container, settings, stop),
                *_webhooks(container, stop),
                *_anchors(container, stop),
                *_reconciliation(container, stop),
            ):
                tasks.create_task(work)
    finally:
        publisher.close()
        broker.close()
        await container.stop()


def _relays(container: Container, publisher: DramatiqPublisher, stop: asyncio.Event) -> Work:
    """For each log its relay, and the comparison with what its consumers have."""
    payments, orders, settings = container.payments, container.orders, container.settings
    payment_events = InboxView(orders.engine, payment_events_inbox(container), ORDERS.topic)
    effects = [
        InboxView(orders.engine, inbox, subscription.topic)
        for inbox, subscription in zip(effect_inboxes(container), EFFECTS.values(), strict=True)
    ]
    for side, views, url in (
        (payments, [payment_events], settings.payments_listen_database_url),
        (orders, effects, settings.orders_listen_database_url),
    ):
        yield Relay(side.engine, side.outbox, publisher, listen_dsn=url.reveal() or None).run(stop)
        yield AntiEntropy(side.engine, side.outbox, publisher, views).run(stop)


def _recovery(container: Container, stop: asyncio.Event) -> Work:
    """Operations at the gateway and attempts at the payment side that nobody waits for any more, and
    payments that wait for time to pass."""
    for name, work in (
        ("recover_operations", container.payments.recover_operations),
        ("recover_attempts", container.orders.recover_attempts),
    ):
        yield periodically(name, RECOVERY_SECONDS, in_new_traces(work, container.ids), stop)
    expire = in_new_traces(container.orders.expire_checkouts, container.ids)
    yield periodically("expire_checkouts", CHECK_SECONDS, expire, stop)
    check = in_new_traces(partial(check_payments, container), container.ids)
    yield periodically("check_payments", CHECK_SECONDS, check, stop)
    import_balance = in_new_traces(container.payments.ledger.import_balance, container.ids)
    yield periodically("import_balance", BALANCE_SECONDS, import_balance, stop)
    approvals = in_new_traces(container.payments.expire_approvals, container.ids)
    yield periodically("expire_approvals", CHECK_SECONDS, approvals, stop)
    remind = in_new_traces(container.payments.remind_of_evidence, container.ids)
    yield periodically("remind_of_evidence", CHECK_SECONDS, remind, stop)


def _housekeeping(
    side: OrderSide | PaymentSide, followers: Sequence[str], settings: Settings, stop: asyncio.Event
) -> Work:
    async def make_partitions() -> None:
        async with side.engine.begin() as connection:
            await side.outbox.ensure_partitions(connection)

    async def drop_partitions() -> None:
        await side.outbox.drop_partitions(
            side.engine, retention_days=settings.outbox_retention_days, consumers=followers
        )

    async def forget_keys() -> None:
        while await side.idempotency.delete_expired(FORGET_KEYS_AT_ONCE) == FORGET_KEYS_AT_ONCE:
            pass

    schema = side.outbox.schema
    yield periodically(f"{schema}: make partitions", HOUSEKEEPING_SECONDS, make_partitions, stop)
    yield periodically(f"{schema}: drop partitions", HOUSEKEEPING_SECONDS, drop_partitions, stop)
    yield periodically(f"{schema}: forget idempotency keys", HOUSEKEEPING_SECONDS, forget_keys, stop)


def _webhooks(container: Container, stop: asyncio.Event) -> Work:
    """Those that the gateway sends us are forgotten; ours are made from the log of payments, and forgotten."""
    forget = container.payments.forget_webhooks
    yield periodically("payments: forget webhooks", HOUSEKEEPING_SECONDS, forget, stop)
    payments, ours = container.payments, container.orders.webhooks
    # Polled, for half a second is soon enough: a closer look would cost each payment its part.
    relay = Relay(payments.engine, payments.outbox, WebhookPublisher(ours.queue))
    yield periodically("payments: queue webhooks", WEBHOOK_SECONDS, relay.drain, stop)
    yield periodically("orders: forget deliveries", HOUSEKEEPING_SECONDS, ours.forget, stop)
    yield periodically("orders: configure webhooks", HOUSEKEEPING_SECONDS, ours.configure, stop)


def _reconciliation(container: Container, stop: asyncio.Event) -> Work:
    seconds = container.settings.reconcile_seconds
    compare_orders = in_new_traces(orders_round_of(container), container.ids)
    yield periodically("reconcile orders", seconds, compare_orders, stop)
    yield periodically("daily summary", SUMMARY_SECONDS, partial(summarize_day, container), stop)
    compare_gateway = GatewayRound(container, container.payments.reconciliation.compare())
    yield periodically("reconcile gateway", seconds, in_new_traces(compare_gateway, container.ids), stop)


def _anchors(container: Container, stop: asyncio.Event) -> Work:
    """The heads of the audit logs, said where the database's owner does not write."""
    tell = AnchorHeads(container.audit.logs, container.sign_audit_head, container.clock.now)
    yield periodically("audit: tell the heads", ANCHOR_SECONDS, tell, stop)


def _forgetting(container: Container, settings: Settings, stop: asyncio.Event) -> Work:
    """The days of the inboxes of effects, which share them: made ahead, and forgotten after the retention."""
    engine, (inbox, *_) = container.orders.engine, effect_inboxes(container)

    async def make_partitions() -> None:
        async with engine.begin() as connection:
            await inbox.ensure_partitions(connection)

    async def drop_partitions() -> None:
        await inbox.drop_partitions(engine, retention_days=settings.inbox_retention_days)

    name = f"{inbox.schema} inbox"
    yield periodically(f"{name}: make partitions", HOUSEKEEPING_SECONDS, make_partitions, stop)
    yield periodically(f"{name}: drop partitions", HOUSEKEEPING_SECONDS, drop_partitions, stop)
