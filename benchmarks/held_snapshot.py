"""Somebody holds a snapshot for a minute at 1,000 events a second: what becomes of the relay's read and the
inbox's receive.

`python -m benchmarks.held_snapshot [--seconds 60] [--rate 1000] [--batch 10] [--json FILE]`. Writer, relay and
consumer run in this process, on a PostgreSQL of its own with its defaults. Each time is of one call in
milliseconds: a relay's pass (which locks, reads, publishes to memory and moves its cursor), and the inbox's
receive of one batch. "before" is measured for a sixth of the time ahead of the snapshot, "held" during the last sixth of it.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import make_engine
from benchmarks.machine import a_machine
from outbox import Event, OrderedInbox, Outbox, Relay
from outbox.testing.memory import InMemoryPublisher

STREAM_LENGTH = 5  # events of a payment


class Line:
    """Writer, relay and consumer, with the time that each call took."""

    def __init__(self, engine: AsyncEngine, rate: int, batch: int) -> None:
        self.engine = engine
        self.rate = rate
        self.batch = batch
        self.outbox = Outbox("shop")
        self.broker = InMemoryPublisher()
        self.relay = Relay(engine, self.outbox, self.broker)
        self.inbox = OrderedInbox("shop", "orders", self._apply)
        self.read_ms: list[float] = []
        self.receive_ms: list[float] = []
        self.written = 0

    async def _apply(self, connection: AsyncConnection, events: object) -> None:
        """The inbox's own work is measured, not a handler's."""

    async def prepare(self) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text("CREATE SCHEMA shop"))
            for statement in [*self.outbox.ddl(), *self.inbox.ddl()]:
                await connection.execute(text(statement))

    async def run(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write(until))
            tasks.create_task(self._relay(until))
            tasks.create_task(self._receive(until))

    async def _write(self, until: float) -> None:
        """Twenty transactions a second, to leave the machine to what is measured."""
        due = time.perf_counter()
        while due < until:
            events = [self._event() for _ in range(self.rate // 20)]
            async with self.engine.begin() as connection:
                await self.outbox.append(connection, events)
            due += 0.05
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    def _event(self) -> Event:
        """A thousand streams are open at a time; each is done after its fifth event."""
        round_, place = divmod(self.written, 1_000)
        self.written += 1
        stream = f"{round_ // STREAM_LENGTH}-{place}"
        return Event(uuid4(), "facts", stream, round_ % STREAM_LENGTH + 1, "Happened", b'{"a":1}', {})

    async def _relay(self, until: float) -> None:
        while time.perf_counter() < until:
            begun = time.perf_counter()
            if await self.relay.drain():
                self.read_ms.append(1_000 * (time.perf_counter() - begun))
            await asyncio.sleep(0.02)

    async def _receive(self, until: float) -> None:
        while time.perf_counter() < until:
            batch, self.broker.events[: self.batch] = self.broker.events[: self.batch], []
            if not batch:
                await asyncio.sleep(0.005)
                continue
            begun = time.perf_counter()
            await self.inbox.receive(self.engine, batch)
            self.receive_ms.append(1_000 * (time.perf_counter() - begun))

    def take(self) -> dict[str, dict[str, float]]:
        """The times since the last taking."""
        taken = {"relay": _summary(self.read_ms), "receive": _summary(self.receive_ms)}
        self.read_ms, self.receive_ms = [], []
        return taken

    async def dead_rows(self) -> dict[str, int]:
        async with self.engine.connect() as connection:
            sizes = await connection.execute(
                text(
                    "SELECT relname, n_dead_tup, pg_relation_size(relid) / 8192 AS pages FROM pg_stat_user_tables"
                    " WHERE schemaname = 'shop' AND n_dead_tup > 0 ORDER BY n_dead_tup DESC"
                )
            )
            return {row.relname: row.n_dead_tup for row in sizes}


def _summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "calls": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[len(ordered) * 99 // 100], 2),
    }


async def measure(url: str, seconds: float, rate: int, batch: int) -> dict[str, object]:
    engine = make_engine(url, pool_size=5, application="benchmark")
    line = Line(engine, rate, batch)
    await line.prepare()
    await line.run(seconds / 12)  # warms up
    line.take()
    await line.run(seconds / 6)
    before = line.take()
    async with engine.connect() as holder:
        await holder.execution_options(isolation_level="REPEATABLE READ")
        await holder.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        await holder.execute(text("SELECT count(*) FROM shop.outbox_cursor"))
        await line.run(seconds * 5 / 6)
        line.take()
        await line.run(seconds / 6)
        held = line.take()
        dead = await line.dead_rows()
    left = len(line.broker.events)
    await engine.dispose()
    return {
        "seconds": seconds, "rate": rate, "batch": batch, "written": line.written, "behind": left,
        "before": before, "held": held, "dead rows": dead,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument(
        "--batch", type=int, default=10, help="events that the inbox receives at a time, at most"
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with a_machine() as machine:
        result = asyncio.run(measure(machine.database_url, asked.seconds, asked.rate, asked.batch))
    print(json.dumps(result, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
