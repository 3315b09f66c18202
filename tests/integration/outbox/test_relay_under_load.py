"""Writers and relays at once, with everything going wrong that can: a checker finds nothing lost or inverted.

Writers use savepoints, roll back, dawdle, take their transaction ids long before their locks; backends of
writers and relays are killed; the broker fails half-way through pages. A seed replays the decisions, though
not the moments at which they meet.
"""

import asyncio
import random
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from outbox import Event, Outbox, Relay
from outbox.testing.memory import InMemoryPublisher
from tests.integration.outbox.conftest import async_url
from tests.integration.outbox.events import event

STREAMS = 10
WRITERS = 6
TRANSACTIONS = 30


class FlakyPublisher(InMemoryPublisher):
    """Now and then accepts only a part of a page."""

    def __init__(self, rng: random.Random, failure_rate: float) -> None:
        super().__init__()
        self.rng = rng
        self.failure_rate = failure_rate

    async def publish(self, events: Sequence[Event]) -> None:
        if self.rng.random() < self.failure_rate:
            self.accept = self.rng.randrange(len(events) + 1)
        try:
            await super().publish(events)
        finally:
            self.accept = None
        await asyncio.sleep(0)


class Load:
    def __init__(self, url: str, outbox: Outbox, seed: int, *, chaos: bool) -> None:
        self.rng = random.Random(seed)
        self.outbox = outbox
        self.chaos = chaos
        self.writers = self._engine(url, "writer")
        self.relays = self._engine(url, "relay")
        self.observer = self._engine(url, "observer")
        self.publisher = FlakyPublisher(self.rng, 0.2 if chaos else 0.0)
        self.done = asyncio.Event()

    @staticmethod
    def _engine(url: str, name: str) -> AsyncEngine:
        return create_async_engine(
            async_url(url), pool_size=10, connect_args={"server_settings": {"application_name": name}}
        )

    async def run(self) -> None:
        async with self.observer.begin() as connection:
            await connection.execute(
                text("CREATE TABLE counter (stream text PRIMARY KEY, n bigint NOT NULL)")
            )
            await connection.execute(
                text("INSERT INTO counter SELECT 's' || n, 0 FROM generate_series(1, :n) AS n"),
                {"n": STREAMS},
            )
        async with asyncio.TaskGroup() as tasks:
            relays = [tasks.create_task(self._relay(page)) for page in (3, 7)]
            killer = tasks.create_task(self._kill()) if self.chaos else None
            await asyncio.gather(*(self._write() for _ in range(WRITERS)))
            self.done.set()
            if killer:
                await killer
            await asyncio.gather(*relays)
        self.publisher.failure_rate = 0.0
        await self.relays.dispose()  # the pool may still hold connections whose backends were killed
        await Relay(self.relays, self.outbox, self.publisher).drain()

    async def close(self) -> None:
        for engine in (self.writers, self.relays, self.observer):
            await engine.dispose()

    async def _write(self) -> None:
        for _ in range(TRANSACTIONS):
            try:
                async with self.writers.connect() as connection:
                    await self._transaction(connection)
            except Exception:
                if not self.chaos:
                    raise

    async def _transaction(self, connection: AsyncConnection) -> None:
        rng = self.rng
        if rng.random() < 0.3:  # an old transaction id for a late event
            await connection.execute(text("SELECT pg_current_xact_id()"))
            await self._dawdle()
        for stream in sorted(rng.sample(range(1, STREAMS + 1), rng.randint(1, 3))):
            savepoint = await connection.begin_nested() if rng.random() < 0.4 else None
            await self._append(connection, f"s{stream}")
            if savepoint is not None:
                await (savepoint.rollback() if rng.random() < 0.4 else savepoint.commit())
        await self._dawdle()
        await (connection.rollback() if rng.random() < 0.2 else connection.commit())

    async def _append(self, connection: AsyncConnection, stream: str) -> None:
        count = self.rng.randint(1, 3)
        last = await connection.scalar(
            text("UPDATE counter SET n = n + :count WHERE stream = :stream RETURNING n"),
            {"count": count, "stream": stream},
        )
        assert last is not None
        events = [event(stream, n) for n in range(last - count + 1, last + 1)]
        await self.outbox.append(connection, events)

    async def _dawdle(self) -> None:
        await asyncio.sleep(self.rng.choice((0, 0, 0, 0.002, 0.01, 0.05)))

    async def _relay(self, page: int) -> None:
        relay = Relay(self.relays, self.outbox, self.publisher, page=page)
        while not self.done.is_set():
            try:
                await relay.drain()
            except Exception:
                if not self.chaos:
                    raise
            await asyncio.sleep(0.001)

    async def _kill(self) -> None:
        while not self.done.is_set():
            await asyncio.sleep(0.05)
            async with self.observer.connect() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND application_name IN ('writer', 'relay') ORDER BY random() LIMIT 1"
                    )
                )

    async def committed(self) -> dict[str, list[tuple[int, str]]]:
        """The log as it is: per stream, numbers and ids in order."""
        log: dict[str, list[tuple[int, str]]] = {}
        async with self.observer.connect() as connection:
            rows = await connection.execute(
                text("SELECT stream, sequence, id FROM shop.outbox_event ORDER BY stream, sequence")
            )
            for row in rows:
                log.setdefault(row.stream, []).append((row.sequence, str(row.id)))
        return log


def first_publications(events: Sequence[Event]) -> dict[str, list[tuple[int, str]]]:
    """Per stream, what was published, each event where it was published first."""
    seen: dict[str, dict[tuple[int, str], None]] = {}
    for e in events:
        assert e.sequence is not None
        seen.setdefault(e.stream, {}).setdefault((e.sequence, str(e.id)))
    return {stream: list(published) for stream, published in seen.items()}


@pytest.mark.parametrize("seed", [1, 2])
async def test_without_failures_each_event_is_published_exactly_once_in_order(
    empty_database_url: str, outbox: Outbox, seed: int
) -> None:
    load = Load(empty_database_url, outbox, seed, chaos=False)
    await load.run()
    committed = await load.committed()
    await load.close()

    assert sum(len(events) for events in committed.values()) > 100
    assert all([n for n, _ in events] == list(range(1, len(events) + 1)) for events in committed.values())
    assert first_publications(load.publisher.events) == committed
    assert len({e.id for e in load.publisher.events}) == len(load.publisher.events)


@pytest.mark.parametrize("seed", [3, 4, 5])
async def test_with_killed_backends_and_a_failing_broker_nothing_is_lost_or_inverted(
    empty_database_url: str, outbox: Outbox, seed: int
) -> None:
    load = Load(empty_database_url, outbox, seed, chaos=True)
    await load.run()
    committed = await load.committed()
    await load.close()

    assert sum(len(events) for events in committed.values()) > 100
    assert first_publications(load.publisher.events) == committed
