"""The worker process: takes batches of events from the broker, lets the order side follow them, and sends webhooks."""

import asyncio
from collections.abc import Sequence
from functools import partial

from adapters.dramatiq import worker as dramatiq_worker
from adapters.dramatiq.actor import declare_actor
from entrypoints.bootstrap import Container, build_container, make_broker_of
from entrypoints.refusals import StartRefused
from entrypoints.settings import Settings
from entrypoints.traces import work_on_batch
from entrypoints.worker.consumers import effect_inboxes, payment_events_inbox
from entrypoints.worker.deliveries import DeliveryLoop
from entrypoints.worker.periodic import periodically
from outbox import Event, OrderedInbox, UnorderedInbox

Inbox = OrderedInbox | UnorderedInbox

RETRY_SECONDS = 1.0
"""How often the inboxes' own schedules are looked at."""


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`, then finish what is in hand. Any number of these processes may run.

    Raises StartRefused for the payment service alone, which consumes nothing.
    """
    if not settings.runs("orders"):
        raise StartRefused("The payment service has no work for a worker: its relay and HTTP do it all.")
    container = build_container(settings)
    await container.start()
    broker = make_broker_of(settings)
    try:
        async with asyncio.TaskGroup() as tasks:
            inboxes: Sequence[Inbox] = (payment_events_inbox(container), *effect_inboxes(container))
            for inbox in inboxes:
                declare_actor(broker, inbox.consumer, partial(_receive, container, inbox))
                retry = periodically(
                    f"{inbox.consumer}: retry", RETRY_SECONDS, partial(_run_due, container, inbox), stop
                )
                tasks.create_task(retry)
            tasks.create_task(DeliveryLoop(container.orders.webhooks.deliver).run(stop))
            tasks.create_task(dramatiq_worker.run_worker(broker, stop))
    finally:
        broker.close()
        await container.stop()


async def _receive(container: Container, inbox: Inbox, events: Sequence[Event]) -> None:
    with work_on_batch(events):
        await inbox.receive(container.orders.engine, events)
    container.orders.waker.wake()  # for the effects that the orders asked for


async def _run_due(container: Container, inbox: Inbox) -> None:
    received = await inbox.run_due(container.orders.engine)
    if received.applied:
        container.orders.waker.wake()
