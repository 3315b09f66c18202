"""The real outbox on a real database, with a broker in memory, writers whose transactions stay open, and consumers."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from outbox import (
    AntiEntropy,
    Event,
    InboxView,
    OrderedInbox,
    Outbox,
    Pace,
    Relay,
    RetryPolicy,
    UnorderedInbox,
)
from outbox.database import transaction
from outbox.testing.memory import InMemoryPublisher
from tests.simulation.outbox import record
from tests.simulation.outbox.checkers import Fact
from tests.simulation.outbox.dump import Dump
from tests.simulation.outbox.operations import Course, Stage
from tests.support.crash import Crash
from tests.support.driver import ProbedConnection, probe

PUBLISHER = "broker"
LANES = 3
ORDERED = ("a", "b", "c", "d")
UNORDERED = ("u", "v")
WRITERS = 3
PAGES = (1, 2, 3)  # of the relays: small, so that targets are resumed in the middle
ATTEMPTS = 3
DAYS = 4
# What a writer meets whose session was ended or whose lock was not granted, from the driver or through SQLAlchemy.
LOST = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
NEVER = 1e9
PATIENT, EAGER, SWEEPING = range(3)  # the three anti-entropies


# The log's clock, in this simulation, runs behind: DAYS days at first, and each day that passes less. A
# table rather than a setting, for a transaction that is open sees its day end.
PRETENDED_DAYS = f"""
CREATE TABLE pretended (days_ago integer NOT NULL);
INSERT INTO pretended VALUES ({DAYS});
CREATE FUNCTION pretended_now() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT clock_timestamp() - make_interval(days => days_ago) FROM public.pretended';
ALTER TABLE shop.outbox_event ALTER created_at SET DEFAULT public.pretended_now();
DO $$ DECLARE day date; BEGIN
    FOR i IN 1..{DAYS} LOOP
        day := (now() AT TIME ZONE 'UTC')::date - i;
        EXECUTE format(
            'CREATE TABLE shop.outbox_event_%s PARTITION OF shop.outbox_event FOR VALUES FROM (%L) TO (%L)',
            to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END LOOP;
END $$;
"""


@dataclass
class Side:
    """The broker as one of its publishers has it, and what that one has handed over."""

    broker: InMemoryPublisher
    name: str
    accepted: list[Event] = field(default_factory=list)

    async def publish(self, events: Sequence[Event]) -> None:
        here = probe.get()
        if isinstance(here, Course):
            await here.publication()
        before = len(self.broker.events)
        try:
            await self.broker.publish(events)
        finally:
            self.accepted.extend(self.broker.events[before:])

    async def marker(self) -> str | None:
        return await self.broker.marker()

    async def delay_seconds(self) -> float:
        return 0.0


@dataclass
class Poison:
    """What the handlers do with events that say so in their payload: `fail` or `crash`, so many times."""

    tries: Counter[UUID] = field(default_factory=Counter)

    def meet(self, event: Event) -> None:
        kind, times = json.loads(event.payload)["poison"]
        if self.tries[event.id] >= times:
            return
        self.tries[event.id] += 1
        if kind == "crash":
            here = probe.get()
            if isinstance(here, Course):
                here.is_dead = True  # what the same process does beside this ends too
            raise Crash("the worker is gone")
        raise RuntimeError(f"cannot apply {event.sequence}")


class Orders:
    """The ordered consumer: one row per effect, in the inbox's transaction."""

    def __init__(self, poison: Poison) -> None:
        self.poison = poison

    async def __call__(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        await connection.execute(
            text(
                "INSERT INTO effect (id, stream, sequence) SELECT * FROM unnest("
                "CAST(:ids AS uuid[]), CAST(:streams AS text[]), CAST(:sequences AS bigint[]))"
            ),
            {
                "ids": [event.id for event in events],
                "streams": [event.stream for event in events],
                "sequences": [event.sequence for event in events],
            },
        )
        for event in events:
            self.poison.meet(event)


class Mail:
    """The unordered consumer: an outside world that remembers what it was told."""

    def __init__(self, poison: Poison) -> None:
        self.poison = poison
        self.told: Counter[UUID] = Counter()

    async def __call__(self, event: Event) -> None:
        self.poison.meet(event)
        self.told[event.id] += 1


@dataclass(frozen=True)
class Part:
    """What a transaction appends to one stream."""

    stream: str
    count: int
    savepoint: str  # "none", "release" or "roll back"
    poison: tuple[str, int]  # see Poison


@dataclass
class Writer:
    """A business transaction, open from its first event to its end."""

    connection: AsyncConnection | None = None
    streams: set[str] = field(default_factory=set)  # whose counters it has locked


def numbered_id(number: int) -> UUID:
    """A UUID of version 7 of now that ends in the number."""
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | number)


def async_engine(url: str, **settings: str) -> AsyncEngine:
    return create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=20,
        connect_args={"connection_class": ProbedConnection, "server_settings": settings},
    )


class World:
    def __init__(self, url: str, observer: asyncpg.Connection) -> None:
        self.observer = observer
        self.stage = Stage(observer)
        self.engine = async_engine(url, application_name="outbox")
        # A writer that meets the relay's lock on the log gives up soon: rules run one after the other.
        self.writing = async_engine(url, application_name="writer", lock_timeout="300ms")
        self.outbox = Outbox("shop", lanes=LANES)
        self.broker = InMemoryPublisher(PUBLISHER)
        self.relayed = Side(self.broker, PUBLISHER)
        self.relays = [Relay(self.engine, self.outbox, self.relayed, page=page) for page in PAGES]
        self.poison = Poison()
        self.mail_sent = Mail(self.poison)
        retry = RetryPolicy(attempts=ATTEMPTS, first_seconds=0.0)
        self.orders = OrderedInbox("orders", "orders", Orders(self.poison), retry=retry)
        self.mail = UnorderedInbox("orders", "mail", self.mail_sent, retry=retry)
        self.anti_entropies = [
            self._anti_entropy(grace, sweep) for grace, sweep in ((5.0, NEVER), (0.0, NEVER), (5.0, 300.0))
        ]
        self.writers = [Writer() for _ in range(WRITERS)]
        self.poisonous: set[UUID] = set()
        self.written = 0
        self.vanished: set[Fact] = set()  # committed, and lost by restoring an older dump

    def _anti_entropy(self, grace: float, sweep: float) -> AntiEntropy:
        views = [
            InboxView(self.engine, self.orders, "ordered"),
            InboxView(self.engine, self.mail, "unordered"),
        ]
        pace = Pace(grace_seconds=grace, gaps=8, published=3, page=2, sweep_seconds=sweep)
        return AntiEntropy(self.engine, self.outbox, Side(self.broker, "anti-entropy"), views, pace=pace)

    async def prepare(self) -> None:
        """Make the tables, once: worlds are clones of one prepared database."""
        async with self.engine.begin() as connection:
            for schema in ("shop", "orders"):
                await connection.execute(text(f"CREATE SCHEMA {schema}"))
            for statement in [*self.outbox.ddl(), *self.orders.ddl(), *self.mail.ddl()]:
                await connection.execute(text(statement))
        await self.observer.execute(record.PRODUCER + record.CONSUMER + PRETENDED_DAYS)
        await self.observer.execute("INSERT INTO counter SELECT unnest($1::text[])", [*ORDERED, *UNORDERED])

    async def open(self) -> None:
        """Let SQLAlchemy ask the server what it is: whoever is paused in that would hold up all the others."""
        for engine in (self.engine, self.writing):
            async with engine.connect():
                pass

    async def close(self) -> None:
        for writer in self.writers:
            await self.end(writer, "roll back")
        await self.engine.dispose()
        await self.writing.dispose()

    # Writers

    async def write(self, writer: Writer, part: Part, *, early: bool) -> None:
        """Append to a stream in the writer's transaction, unless another's holds the stream."""
        if any(part.stream in other.streams for other in self.writers if other is not writer):
            return
        try:
            if writer.connection is None:
                writer.connection = await self.writing.connect()
                if early:  # an old transaction id for late events
                    await writer.connection.execute(text("SELECT pg_current_xact_id()"))
            writer.streams.add(part.stream)
            nested = None if part.savepoint == "none" else await writer.connection.begin_nested()
            await self._append(writer.connection, part)
            if nested is not None:
                await (nested.rollback() if part.savepoint == "roll back" else nested.commit())
        except LOST:  # its backend was killed, or the log is locked: a business would try again
            await self.end(writer, "give up")

    async def _append(self, connection: AsyncConnection, part: Part) -> None:
        last = await connection.scalar(
            text("UPDATE counter SET last = last + :count WHERE stream = :stream RETURNING last"),
            {"count": part.count, "stream": part.stream},
        )
        assert last is not None
        events = [self._event(part, sequence) for sequence in range(last - part.count + 1, last + 1)]
        await connection.execute(
            text("INSERT INTO fact (id, stream, sequence) VALUES (:id, :stream, :sequence)"),
            [{"id": e.id, "stream": e.stream, "sequence": e.sequence} for e in events],
        )
        await self.outbox.append(connection, events)

    def _event(self, part: Part, sequence: int) -> Event:
        self.written += 1
        is_ordered = part.stream in ORDERED
        event = Event(
            id=numbered_id(self.written),
            topic="ordered" if is_ordered else "unordered",
            stream=part.stream,
            sequence=sequence if is_ordered else None,
            type="Happened",
            payload=json.dumps({"poison": part.poison}).encode(),
            headers={},
        )
        if part.poison[1]:
            self.poisonous.add(event.id)
        return event

    async def end(self, writer: Writer, how: str) -> None:
        connection, writer.connection = writer.connection, None
        writer.streams.clear()
        if connection is None:
            return
        try:
            if how == "commit":
                await connection.commit()
            elif how == "roll back":
                await connection.rollback()
            else:
                await connection.invalidate()
        except LOST:
            await connection.invalidate()
        finally:
            await connection.close()

    async def kill_writer(self, writer: Writer) -> None:
        """The server ends the session; the writer learns of it when it goes on."""
        if writer.connection is not None:
            raw = (await writer.connection.get_raw_connection()).driver_connection
            assert isinstance(raw, asyncpg.Connection)
            if not raw.is_closed():
                await self.stage.kill(raw.get_server_pid())

    # Consumers

    async def receive(self, batch: Sequence[Event], topic: str) -> None:
        """What a worker does: take in a batch, then tell the broker that it may forget it."""
        inbox = self.orders if topic == "ordered" else self.mail
        await inbox.receive(self.engine, batch)
        self.acknowledge(batch)

    def acknowledge(self, batch: Sequence[Event]) -> None:
        """Remove the very copies that were delivered; others of the same event stay."""
        delivered = {id(event) for event in batch}
        self.broker.events[:] = [e for e in self.broker.events if id(e) not in delivered]

    def queue(self, topic: str) -> list[Event]:
        return [event for event in self.broker.events if event.topic == topic]

    async def run_due(self) -> None:
        await self.orders.run_due(self.engine)
        await self.mail.run_due(self.engine)

    async def troubled(self) -> Sequence[str]:
        """The streams in which an event has failed or is parked."""
        rows = await self.observer.fetch(
            "SELECT DISTINCT stream FROM orders.inbox_waiting WHERE due_at IS NOT NULL OR parked_at IS NOT NULL ORDER BY 1"
        )
        return [row["stream"] for row in rows]

    async def operator_retries(self, stream: str) -> None:
        async with transaction(self.engine) as connection:
            await self.orders.retry(connection, stream)

    async def operator_skips(self, stream: str) -> None:
        """The next event of the stream, where it has failed or is parked."""
        found = await self.observer.fetchval(
            "SELECT id FROM orders.inbox_waiting WHERE stream = $1 AND (due_at IS NOT NULL OR parked_at IS NOT NULL)"
            " ORDER BY sequence, id LIMIT 1",
            stream,
        )
        if found is not None:
            async with transaction(self.engine) as connection:
                await self.orders.skip(connection, found, reason="the operator said so")

    # What happens to all of them

    async def time_passes(self) -> None:
        """Ten minutes: every schedule is due, every window ripe. Rows that somebody has locked stay behind."""
        for table, column in (
            ("shop.outbox_cursor", "taken_at"),
            ("shop.outbox_gap", "due_at"),
            ("orders.inbox_waiting", "due_at"),
            ("orders.inbox_event", "due_at"),
            ("orders.inbox_in_hand", "begun_at"),
        ):
            await self.observer.execute(
                f"UPDATE {table} SET {column} = {column} - interval '10 minutes' WHERE ctid = ANY (ARRAY("
                f"SELECT ctid FROM {table} WHERE {column} IS NOT NULL FOR UPDATE SKIP LOCKED))"
            )

    async def kill_idle(self) -> None:
        """Connections that wait in the outbox's pool break; it learns of it when it takes them."""
        pids = await self.observer.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'outbox' AND state = 'idle'"
        )
        self.stage.kills += len(pids)

    async def drop_days(self) -> None:
        await self.outbox.drop_partitions(
            self.engine, retention_days=1, consumers=(self.orders.consumer, self.mail.consumer)
        )

    async def a_day_passes(self) -> None:
        """What is written from now on belongs to the next day, up to today."""
        await self.observer.execute("UPDATE pretended SET days_ago = greatest(days_ago - 1, 0)")

    async def restore(self, dump: Dump, offset: int) -> None:
        """The producer moves to another cluster, whose transaction ids have another meaning.

        Nothing of what was open survives it: the caller has ended all writers and operations.
        """
        facts = await record.facts(self.observer)
        await dump.load(self.observer, offset)
        self.vanished |= set(facts) - set(await record.facts(self.observer))

    async def look(self) -> record.Record:
        return await record.look(self.observer, PUBLISHER)

    @property
    def published(self) -> list[Fact]:
        """What the relays have handed to the broker, in that order, but what its producer knows no more."""
        accepted = [Fact(event.id, event.stream, event.sequence) for event in self.relayed.accepted]
        return [fact for fact in accepted if fact not in self.vanished]
