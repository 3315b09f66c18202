"""The processes of a benchmark, made of the application's parts.

`python -m benchmarks.process relay|worker|http FILE`; on SIGTERM the worker writes to FILE when each batch
was applied, by the clock that all processes of a machine share, and the ids of its events; the HTTP server
writes what its time went into.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.dramatiq.actor import declare_actor
from adapters.dramatiq.broker import make_broker
from adapters.dramatiq.publisher import DramatiqPublisher
from adapters.dramatiq.worker import run_worker
from benchmarks.overhead import Overhead
from benchmarks.profile import Sampler
from entrypoints.bootstrap import build_container
from entrypoints.cli.serve import serve
from entrypoints.cli.serving import run_until_signal
from entrypoints.environment import load_settings
from entrypoints.logging import configure_logging
from entrypoints.settings import Settings
from entrypoints.traces import work_on_batch
from entrypoints.worker.consumers import payment_events_inbox
from entrypoints.worker.subscriptions import ORDERS, consumers_by_topic
from outbox import AntiEntropy, Event, InboxView, Relay


async def relay(settings: Settings, stop: asyncio.Event) -> None:
    """The payments' log alone: what the orders ask the world for is not this benchmark's subject."""
    container = build_container(settings)
    await container.start()
    broker = make_broker(settings.redis_url.reveal())
    publisher = DramatiqPublisher(broker, consumers_by_topic())
    side = container.payments
    view = InboxView(container.orders.engine, payment_events_inbox(container), ORDERS.topic)
    url = settings.payments_database_url.reveal()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(side.engine, side.outbox, publisher, listen_dsn=url).run(stop))
        tasks.create_task(AntiEntropy(side.engine, side.outbox, publisher, [view]).run(stop))
    publisher.close()
    await container.stop()


async def worker(settings: Settings, stop: asyncio.Event, file: Path) -> None:
    container = build_container(settings)
    await container.start()
    broker = make_broker(settings.redis_url.reveal())
    inbox = payment_events_inbox(container)
    applied: list[tuple[float, list[str]]] = []

    async def receive(events: Sequence[Event]) -> None:
        with work_on_batch(events):
            await inbox.receive(container.orders.engine, events)
        applied.append((time.monotonic(), [str(event.id) for event in events]))

    declare_actor(broker, inbox.consumer, receive)
    await run_worker(broker, stop)
    await asyncio.to_thread(file.write_text, json.dumps(applied), "ascii")
    await container.stop()


async def http(settings: Settings, stop: asyncio.Event, file: Path) -> None:
    overhead = Overhead()
    overhead.install()
    sampler = Sampler()
    sampler.start()
    await serve(settings, None, stop)
    sampler.stop()
    told = {
        "parts": dict(sampler.parts),
        "functions": dict(sampler.functions.most_common(100)),
        "calls": {path: calls for path, calls in overhead.calls.items() if len(calls) > 1},
    }
    await asyncio.to_thread(file.write_text, json.dumps(told, indent=2), "ascii")


def main(role: str, file: str) -> None:
    settings = load_settings(os.environ)
    # A server in production logs each request.
    configure_logging("INFO" if role == "http" else "WARNING", "json" if role == "http" else "console")
    work = {
        "relay": lambda stop: relay(settings, stop),
        "worker": lambda stop: worker(settings, stop, Path(file)),
        "http": lambda stop: http(settings, stop, Path(file)),
    }[role]
    run_until_signal(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
