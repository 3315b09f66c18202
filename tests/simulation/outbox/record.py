"""What the databases say, read for the checkers. No statement and no code of the outbox's is used."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from tests.simulation.outbox.checkers import Fact, Held, LogRow, Place, Stream

PRODUCER = """
CREATE TABLE fact (id uuid PRIMARY KEY, stream text NOT NULL, sequence bigint);
CREATE TABLE counter (stream text PRIMARY KEY, last bigint NOT NULL DEFAULT 0);
"""
# No key: a doubled effect is to be seen, not refused.
CONSUMER = "CREATE TABLE effect (place bigserial, id uuid NOT NULL, stream text NOT NULL, sequence bigint);"


@dataclass(frozen=True)
class Record:
    """One look at all there is."""

    facts: list[Fact]
    effects: list[Fact]  # of the ordered consumer, as they happened
    skipped: list[Fact]
    held: list[Held]
    streams: Mapping[str, Stream]
    places: list[Place]  # the relays' newest, but those that speak of another cluster
    log: list[LogRow]

    @property
    def forked(self) -> set[str]:
        return {name for name, stream in self.streams.items() if stream.forked}


async def look(observer: asyncpg.Connection, publisher: str) -> Record:
    async with observer.transaction(isolation="repeatable_read", readonly=True):
        return Record(
            facts=await facts(observer),
            effects=await _facts(observer, "SELECT id, stream, sequence FROM effect ORDER BY place"),
            skipped=await _facts(observer, "SELECT id, stream, sequence FROM orders.inbox_skipped"),
            held=[
                Held(
                    Fact(r["id"], r["stream"], r["sequence"]),
                    r["parked"],
                    r["due"],
                    r["attempts"],
                    r["cause"],
                )
                for r in await observer.fetch(
                    "SELECT id, stream, sequence, parked_at IS NOT NULL AS parked, due_at IS NOT NULL AS due,"
                    " attempts, cause FROM orders.inbox_waiting"
                )
            ],
            streams={
                r["stream"]: Stream(r["applied"], r["forked"])
                for r in await observer.fetch("SELECT stream, applied, forked FROM orders.inbox_stream")
            },
            places=await _places(observer, publisher),
            log=[
                LogRow(r["id"], r["lane"], r["position"], int(r["xid"]))
                for r in await observer.fetch("SELECT id, lane, position, xid::text FROM shop.outbox_event")
            ],
        )


async def facts(observer: asyncpg.Connection) -> list[Fact]:
    return await _facts(observer, "SELECT id, stream, sequence FROM fact")


async def _facts(observer: asyncpg.Connection, query: str) -> list[Fact]:
    return [Fact(r["id"], r["stream"], r["sequence"]) for r in await observer.fetch(query)]


async def _places(observer: asyncpg.Connection, publisher: str) -> list[Place]:
    rows = await observer.fetch(
        """
        SELECT DISTINCT ON (lane) lane, base::text, target::text, last_position, highest_position,
            restored_position, restored_base::text, system_identifier = s.here AS is_here
        FROM shop.outbox_cursor, (SELECT system_identifier AS here FROM pg_control_system()) AS s
        WHERE publisher = $1 ORDER BY lane, entry DESC
        """,
        publisher,
    )
    return [
        Place(
            r["lane"], r["base"], r["target"], r["last_position"], r["highest_position"],
            r["restored_position"], r["restored_base"],
        )
        for r in rows
        if r["is_here"]
    ]  # fmt: skip
