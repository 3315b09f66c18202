"""The relay process: publishes what the logs hold, owns delivery, and takes up what was left open."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from adapters.dramatiq.publisher import DramatiqPublisher
from entrypoints.bootstrap import Container, build_container, make_broker_of
from entrypoints.composition.order_side import OrderSide
from entrypoints.composition.payment_side import PaymentSide
from entrypoints.composition.sides import PaymentsPart
from entrypoints.operating.audit import AnchorHeads
from entrypoints.settings import Settings
from entrypoints.traces import in_new_traces
from entrypoints.worker.consumers import effect_inboxes
from entrypoints.worker.periodic import in_turn, periodically
from entrypoints.worker.reconciling import GatewayRound, ledger_round_of, orders_round_of, summarize_day
from entrypoints.worker.subscriptions import EFFECTS, consumers_by_topic, consumers_of
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
LEDGER_SECONDS = 30.0
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
            for work in _anchors(container, stop):
                tasks.create_task(work)
            for work in _comparisons(container, stop):
                tasks.create_task(work)
            for side in container.running:
                for work in _housekeeping(side, consumers_of(side.outbox.schema), settings, stop):
                    tasks.create_task(work)
            if container.sides.payments is not None:
                for work in _of_payments(container, container.sides.payments, publisher, stop):
                    tasks.create_task(work)
            if container.sides.orders is not None:
                for work in _of_orders(container, publisher, stop):
                    tasks.create_task(work)
    finally:
        publisher.close()
        broker.close()
        await container.stop()


def _of_payments(
    container: Container, payments: PaymentsPart, publisher: DramatiqPublisher, stop: asyncio.Event
) -> Work:
    """The relay of payments' log and the comparison with what its consumers have, operations at the gateway that
    nobody waits for any more, payments that wait for time to pass, and webhooks."""
    side, listen = payments.side, container.settings.payments_listen_database_url
    yield Relay(side.engine, side.outbox, publisher, listen_dsn=listen.reveal() or None).run(stop)
    yield AntiEntropy(side.engine, side.outbox, publisher, payments.followers).run(stop)
    recover = in_new_traces(side.recover_operations, container.ids)
    yield periodically("recover_operations", RECOVERY_SECONDS, recover, stop)
    check = in_new_traces(partial(check_payments, container), container.ids)
    yield periodically("check_payments", CHECK_SECONDS, check, stop)
    import_balance = in_new_traces(side.ledger.import_balance, container.ids)
    yield periodically("import_balance", BALANCE_SECONDS, import_balance, stop)
    approvals = in_new_traces(side.expire_approvals, container.ids)
    yield periodically("expire_approvals", CHECK_SECONDS, approvals, stop)
    remind = in_new_traces(side.remind_of_evidence, container.ids)
    yield periodically("remind_of_evidence", CHECK_SECONDS, remind, stop)
    yield periodically("payments: forget webhooks", HOUSEKEEPING_SECONDS, side.forget_webhooks, stop)
    # Polled, for half a second is soon enough: a closer look would cost each payment its part.
    webhooks = Relay(side.engine, side.outbox, WebhookPublisher(payments.queue_webhooks))
    yield periodically("payments: queue webhooks", WEBHOOK_SECONDS, webhooks.drain, stop)


def _of_orders(container: Container, publisher: DramatiqPublisher, stop: asyncio.Event) -> Work:
    """The relay of orders' log and the comparison with what its consumers have, attempts at the payment side that
    nobody waits for any more, checkouts that expire, and what is forgotten."""
    side, listen = container.orders, container.settings.orders_listen_database_url
    effects = [
        InboxView(side.engine, inbox, subscription.topic)
        for inbox, subscription in zip(effect_inboxes(container), EFFECTS.values(), strict=True)
    ]
    yield Relay(side.engine, side.outbox, publisher, listen_dsn=listen.reveal() or None).run(stop)
    yield AntiEntropy(side.engine, side.outbox, publisher, effects).run(stop)
    recover = in_new_traces(side.recover_attempts, container.ids)
    yield periodically("recover_attempts", RECOVERY_SECONDS, recover, stop)
    expire = in_new_traces(side.expire_checkouts, container.ids)
    yield periodically("expire_checkouts", CHECK_SECONDS, expire, stop)
    yield periodically("orders: forget deliveries", HOUSEKEEPING_SECONDS, side.webhooks.forget, stop)
    yield periodically("orders: configure webhooks", HOUSEKEEPING_SECONDS, side.webhooks.configure, stop)
    yield from _forgetting(container, container.settings, stop)


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


def _comparisons(container: Container, stop: asyncio.Event) -> Work:
    """The comparisons of the books, and the day's summary: one at a time, for each keeps a connection for its lock
    while it works on others, and together they could take all that a small pooler has."""
    turn, seconds = asyncio.Lock(), container.settings.reconcile_seconds
    if container.sides.payments is not None:
        compare = container.payments.reconciliation.compare()
        gateway = in_turn(turn, in_new_traces(GatewayRound(container, compare), container.ids))
        yield periodically("reconcile gateway", seconds, gateway, stop)
        ledger = in_turn(turn, ledger_round_of(container))
        yield periodically("reconcile ledger", LEDGER_SECONDS, ledger, stop)
    if container.sides.orders is not None:
        orders = in_turn(turn, in_new_traces(orders_round_of(container), container.ids))
        yield periodically("reconcile orders", seconds, orders, stop)
    summarize = in_turn(turn, partial(summarize_day, container))
    yield periodically("daily summary", SUMMARY_SECONDS, summarize, stop)


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
