"""The unordered inbox: effects on the world, each with its event's id as the idempotency key."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.database import BY_INDEX, cause_of, identifier, transaction
from outbox.event import Event, EventKey
from outbox.inbox import Comparison, EffectHandler, GiveUp, Received, RetryPolicy
from outbox.partitions import Dropped
from outbox.rows import arrays_of, event_of
from outbox.unordered_days import forget_days
from outbox.unordered_sql import UnorderedSql, unordered_ddl

logger = logging.getLogger(__name__)

ATTEMPT_SECONDS = 30.0  # one call of the handler
HOLD_SECONDS = 60.0  # an attempt that said nothing for so long died with its process
TOGETHER = 8  # calls of the handler at a time, from one batch


class UnorderedInbox:
    """One consumer's unordered inbox in one schema; several consumers share the tables.

    An event is stored before anything is done about it, and its effect is carried out outside any
    transaction: at least once, with `event.id` as the stable idempotency key. It is done once the
    handler has returned; a failure is tried again by a schedule in PostgreSQL and parked in the end,
    or at once where the handler raises GiveUp.
    """

    def __init__(
        self, schema: str, consumer: str, handler: EffectHandler, *, retry: RetryPolicy | None = None
    ) -> None:
        self.schema = identifier(schema)
        self.consumer = consumer
        self._handler = handler
        self._retry = retry or RetryPolicy()
        self._sql = UnorderedSql(schema)

    def ddl(self) -> list[str]:
        """The statements that make the tables in the (existing) schema, for a migration; once per schema."""
        return unordered_ddl(self.schema)

    async def receive(self, engine: AsyncEngine, events: Sequence[Event]) -> Received:
        """Store the new ones, then carry each out; what fails here is carried out by run_due().

        An event from before the days that are remembered (see drop_partitions) is parked: it may be new
        or a repeat, and an operator retries or skips it.
        Raises what the driver raises where the database is away: then nothing is lost as long as the
        sender sends again.
        """
        distinct = {event.id: event for event in events}
        async with transaction(engine, **BY_INDEX) as connection:
            result = await connection.execute(
                self._sql.store, {"consumer": self.consumer, **arrays_of(list(distinct.values()))}
            )
            stored = result.all()
        refused = [row.id for row in stored if row.is_refused]
        for event_id in refused:
            logger.error(
                "%s: event %s is parked, older than what the inbox remembers", self.consumer, event_id
            )
        received = Received(repeated=len(events) - len(stored), parked=len(refused))
        await self._run_all(engine, [row.id for row in stored if not row.is_refused], received)
        return received

    async def run_due(self, engine: AsyncEngine, *, limit: int = 100) -> Received:
        """Carry out up to `limit` stored events whose time has come."""
        async with transaction(engine, **BY_INDEX) as connection:
            due = await connection.scalars(self._sql.due, {"consumer": self.consumer, "limit": limit})
            ids = list(due)
        received = Received()
        await self._run_all(engine, ids, received)
        return received

    async def _run_all(self, engine: AsyncEngine, ids: Sequence[UUID], received: Received) -> None:
        queue = list(reversed(ids))

        async def work() -> None:
            while queue:
                received.add(await self._run(engine, queue.pop()))

        await asyncio.gather(*(work() for _ in range(min(TOGETHER, len(ids)))))

    async def _run(self, engine: AsyncEngine, event_id: UUID) -> Received:
        asked = {"consumer": self.consumer, "id": event_id}
        async with transaction(engine, **BY_INDEX) as connection:
            result = await connection.execute(self._sql.claim, {**asked, "hold": HOLD_SECONDS})
            row = result.one_or_none()
        if row is None:
            return Received()  # somebody else has it, or did it
        event = event_of(row._mapping)
        if row.attempts > self._retry.attempts:
            return await self._fail(engine, event, None)
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await self._handler(event)
        except GiveUp as refusal:
            return await self._fail(engine, event, str(refusal), attempts=1)
        except Exception as error:  # noqa: BLE001 - retried by the schedule, parked by its limit
            return await self._fail(engine, event, cause_of(error))
        async with transaction(engine, **BY_INDEX) as connection:
            await connection.execute(self._sql.done, asked)
        return Received(applied=1)

    async def _fail(
        self, engine: AsyncEngine, event: Event, cause: str | None, *, attempts: int | None = None
    ) -> Received:
        """`attempts` is after how many it is parked, where that is not the policy's."""
        async with transaction(engine, **BY_INDEX) as connection:
            is_parked = await connection.scalar(
                self._sql.record_failure,
                {
                    "consumer": self.consumer,
                    "id": event.id,
                    "cause": cause,
                    "attempts": attempts or self._retry.attempts,
                    "first": self._retry.first_seconds,
                    "longest": self._retry.longest_seconds,
                },
            )
        if is_parked:
            logger.error("%s: effect of event %s is parked", self.consumer, event.id)
        return Received(parked=1) if is_parked else Received(failed=1)

    async def compare(self, connection: AsyncConnection, keys: Sequence[EventKey]) -> Comparison:
        """Which of the events were never stored here."""
        asked = {"consumer": self.consumer, "ids": [key.id for key in keys]}
        known = set(await connection.scalars(self._sql.known, asked))
        return Comparison(frozenset(key.id for key in keys if key.id not in known), {})

    async def park_forked(self, connection: AsyncConnection, streams: Mapping[str, str]) -> None:
        """Nothing: without numbers, no stream can be ahead of another."""

    async def ensure_partitions(self, connection: AsyncConnection, *, days_ahead: int = 7) -> None:
        """Make the partitions of today (UTC) and the days ahead that are missing; never commits.

        For all consumers of the schema. A partition whose lock is not granted within two seconds is
        left to the next call; until then its events are kept in the default one.
        """
        await connection.execute(self._sql.make_partitions, {"days": days_ahead})

    async def drop_partitions(self, engine: AsyncEngine, *, retention_days: int) -> Dropped:
        """Forget the ids of days that ended at least so many days ago, for all consumers of the schema.

        What comes from those days from now on is refused and parked, never taken for new. What is not
        carried out yet or parked is kept in the default partition, and so are ids that tell no time.
        Keep more days than the producer's log does, or its anti-entropy asks for what is forgotten.
        Receivers wait for a fifth of a second at most; a day whose lock is not granted by then is left
        to the next call. Raises ValueError for less than a day.
        """
        return await forget_days(engine, self.schema, self._sql, retention_days=retention_days)

    async def retry(self, connection: AsyncConnection, event_id: UUID) -> bool:
        """Make a parked event due now, with all its attempts again; never commits. False where none is."""
        result = await connection.execute(self._sql.unpark, {"consumer": self.consumer, "id": event_id})
        return bool(result.rowcount)

    async def skip(self, connection: AsyncConnection, event_id: UUID, *, reason: str) -> bool:
        """Give up a failed or parked event, keeping it and the reason; never commits. False where none is."""
        result = await connection.execute(
            self._sql.skip, {"consumer": self.consumer, "id": event_id, "reason": reason}
        )
        return bool(result.rowcount)
