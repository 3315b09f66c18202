"""The ordered inbox: a consumer's place in each stream and the effect commit together."""

import asyncio
import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.baseline import begin_streams
from outbox.database import BY_INDEX, cause_of, driver_of, hex_array, identifier, transaction
from outbox.event import Event, EventKey
from outbox.inbox import Comparison, Handler, Received, RetryPolicy, StreamProgress
from outbox.ordered_sql import OrderedSql, ordered_ddl
from outbox.ordering import Place, Plan, Stored, make_plan, sequence_of
from outbox.rows import arrays_of, event_of

logger = logging.getLogger(__name__)

_CONSUMER = re.compile(r"[A-Za-z0-9_.:-]{1,100}")  # fit to stand in SQL between quotes

# A statement must end before any time limit around receive() does, or it could commit unseen.
APPLYING = {"statement_timeout": "10s", "idle_in_transaction_session_timeout": "30s", **BY_INDEX}
HOLD_SECONDS = 60.0  # an attempt that said nothing for so long died with its process
FORGET_EVERY_SECONDS = 600.0
FORGET_ATTEMPT_HOURS = 1  # a cut-off attempt whose events never came again: they are elsewhere by now


class OrderedInbox:
    """One consumer's ordered inbox in one schema; several consumers share the tables.

    A number the stream has passed is a repeat, the next one is applied, a later one waits. An event
    that fails stops its own stream and no other; it is tried again by a schedule in PostgreSQL, alone,
    and parked once `retry` says so.
    """

    def __init__(
        self, schema: str, consumer: str, handler: Handler, *, retry: RetryPolicy | None = None
    ) -> None:
        self.schema = identifier(schema)
        if not _CONSUMER.fullmatch(consumer):
            raise ValueError(f"not a consumer's name: {consumer!r}")
        self.consumer = consumer
        self._forget_at = 0.0
        self._incarnation: int | None = None
        self._attempts = itertools.count(1)
        self._handler = handler
        self._retry = retry or RetryPolicy()
        self._sql = OrderedSql(schema)

    def ddl(self) -> list[str]:
        """The statements that make the tables in the (existing) schema, for a migration; once per schema."""
        return ordered_ddl(self.schema)

    async def receive(self, engine: AsyncEngine, events: Sequence[Event]) -> Received:
        """Take in a batch: whatever happens, each event is applied, a repeat, or safely stored.

        Raises ValueError for an event without a sequence, and what the driver raises where the database
        is away: then nothing is lost as long as the sender sends again.
        """
        for event in events:
            sequence_of(event)
        if not events:
            return Received()
        attempt = await self._next_attempt(engine)
        try:
            received, alone = await self._apply(engine, events, attempt)
        except Exception as error:  # noqa: BLE001 - answered: its events are tried one at a time
            logger.warning(
                "%s tries a batch of %d one by one after %s", self.consumer, len(events), type(error).__name__
            )
            received, alone = await self._set_aside(engine, events, attempt)
        for stream in alone:
            tried = await self._run_stream(engine, stream)
            stuck = 1 if tried.failed or tried.parked else 0
            received.waiting -= min(received.waiting, tried.applied + stuck)
            received.add(tried)
        return received

    async def run_due(self, engine: AsyncEngine, *, limit: int = 100) -> Received:
        """Try up to `limit` stored events whose time has come, each alone."""
        await self._forget_attempts(engine)
        received = Received()
        for _ in range(limit):
            tried = await self._try_due(engine, None)
            if tried is None:
                break
            received.add(tried)
        return received

    async def _run_stream(self, engine: AsyncEngine, stream: str) -> Received:
        received = Received()
        while (tried := await self._try_due(engine, stream)) is not None:
            received.add(tried)
        return received

    async def _next_attempt(self, engine: AsyncEngine) -> int:
        """A number that no other attempt has, in this process or another."""
        if self._incarnation is None:
            async with transaction(engine) as connection:
                driver = await driver_of(connection)
                self._incarnation = int(await driver.fetchval(self._sql.next_incarnation))
        return self._incarnation << 32 | next(self._attempts)

    async def _forget_attempts(self, engine: AsyncEngine) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._forget_at:
            return
        async with transaction(engine) as connection:
            await connection.execute(self._sql.forget_attempts, {"hours": FORGET_ATTEMPT_HOURS})
        self._forget_at = now + FORGET_EVERY_SECONDS

    async def _apply(
        self, engine: AsyncEngine, events: Sequence[Event], attempt: int
    ) -> tuple[Received, list[str]]:
        """Apply what can be applied, in one transaction; the counts, and streams to go on with alone.

        That the events are in hand is committed before it.
        """
        numbered = self._numbered(events, attempt)
        begun, ended = self._sql.begin_attempt % numbered, self._sql.end_attempt % numbered
        entered = self._entered(events)
        async with transaction(engine, before=begun, first=entered, last=ended, **APPLYING) as connection:
            plan, suspects = await self._plan(connection, events, attempt)
            if plan.run:
                await self._handler(connection, await self._with_payloads(connection, plan.run))
                await self._advance(connection, plan.places)
            await self._store(connection, plan)
            await self._clear(connection, suspects)
        return _counts(plan, applied=len(plan.run)), [event.stream for event in plan.suspects]

    async def _set_aside(
        self, engine: AsyncEngine, events: Sequence[Event], attempt: int
    ) -> tuple[Received, list[str]]:
        """Store a batch that failed, so that each of its streams goes on alone."""
        ended = self._sql.end_attempt % self._numbered(events, attempt)
        async with transaction(engine, first=self._entered(events), last=ended, **APPLYING) as connection:
            plan, suspects = await self._plan(connection, events, attempt, alone=True)
            await self._store(connection, plan)
            await self._clear(connection, suspects)
        return _counts(plan, applied=0), [event.stream for event in plan.suspects]

    async def _plan(
        self, connection: AsyncConnection, events: Sequence[Event], attempt: int, *, alone: bool = False
    ) -> tuple[Plan, list[UUID]]:
        """Decide what to do with events whose streams are locked; also which are in other hands.

        Those were in hand when a process died, or are with one that waits for our locks: suspecting
        them costs only that they are tried alone.
        """
        ids = [event.id for event in events]
        driver = await driver_of(connection)
        rows = await driver.fetch(self._sql.read_entered, self.consumer, _streams_of(events), ids, attempt)
        places: dict[str, Place] = {}
        stored, suspects = [], []
        for stream, sequence, event_id, is_plain, recent_ids, forked, address in rows:
            if address is not None:
                places[stream] = Place(sequence, recent_ids, forked, address)
            elif stream is not None:
                stored.append(Stored(stream, sequence, event_id, is_plain))
            else:
                suspects.append(event_id)
        return make_plan(events, places, stored, set(ids if alone else suspects)), suspects

    def _entered(self, events: Sequence[Event]) -> str:
        """Locks the streams of these events, in sorted order like everybody."""
        return self._sql.enter_streams % (self.consumer, hex_array(_streams_of(events)))

    async def _clear(self, connection: AsyncConnection, suspects: Sequence[UUID]) -> None:
        """Forget what earlier attempts say of these: they are dealt with."""
        if suspects:
            driver = await driver_of(connection)
            await driver.execute(self._sql.clear_suspects, self.consumer, suspects)

    def _numbered(self, events: Sequence[Event], attempt: int) -> tuple[str, str, int]:
        """An attempt's values as its statements have them between quotes."""
        return self.consumer, ",".join({event.id.hex for event in events}), attempt

    async def _with_payloads(
        self, connection: AsyncConnection, members: Sequence[Event | Stored]
    ) -> list[Event]:
        """The events to run, with those that were stored taken out of the store."""
        stored = [member for member in members if isinstance(member, Stored)]
        taken: dict[UUID, Event] = {}
        if stored:
            result = await connection.execute(
                self._sql.take_waiting,
                {
                    "consumer": self.consumer,
                    "streams": [row.stream for row in stored],
                    "sequences": [row.sequence for row in stored],
                    "ids": [row.id for row in stored],
                },
            )
            taken = {row.id: event_of(row._mapping) for row in result}
        return [taken[member.id] if isinstance(member, Stored) else member for member in members]

    async def _advance(self, connection: AsyncConnection, places: Mapping[str, Place]) -> None:
        moved = places.values()
        done = await (await driver_of(connection)).execute(
            self._sql.advance,
            [place.address for place in moved],
            [place.applied for place in moved],
            [_array(place.recent_ids) for place in moved],
        )
        if done != f"UPDATE {len(moved)}":
            raise RuntimeError(f"{len(moved)} streams were to move on, but {done}")

    async def _store(self, connection: AsyncConnection, plan: Plan) -> None:
        events = [*plan.wait, *(event for event, _ in plan.forks)]
        if not events:
            return
        causes: list[str | None] = [*(None for _ in plan.wait), *(cause for _, cause in plan.forks)]
        await connection.execute(
            self._sql.store, {"consumer": self.consumer, **arrays_of(events), "causes": causes}
        )
        if plan.forks:
            for event, cause in plan.forks:
                logger.error("%s: stream %s is parked, %s", self.consumer, event.stream, cause)
            await self.park_forked(connection, {event.stream: cause for event, cause in plan.forks})
        if plan.suspects:
            await self._promote(connection, [event.stream for event in plan.suspects])

    async def _promote(self, connection: AsyncConnection, streams: Sequence[str]) -> None:
        await connection.execute(
            self._sql.promote_heads, {"consumer": self.consumer, "streams": list(streams)}
        )

    async def _try_due(self, engine: AsyncEngine, stream: str | None) -> Received | None:
        """Try one due event of this stream, or of any; None when there is none."""
        async with transaction(engine) as connection:
            result = await connection.execute(
                self._sql.claim_due,
                {"consumer": self.consumer, "stream": stream, "hold": HOLD_SECONDS},
            )
            row = result.one_or_none()
        if row is None:
            return None
        event = event_of(row._mapping)
        if row.attempts > self._retry.attempts:
            return await self._fail(engine, event, None)
        try:
            return await self._apply_alone(engine, event)
        except Exception as error:  # noqa: BLE001 - retried by the schedule, parked by its limit
            return await self._fail(engine, event, cause_of(error))

    async def _apply_alone(self, engine: AsyncEngine, event: Event) -> Received:
        async with transaction(engine, **APPLYING) as connection:
            place = (await self._lock(connection, [event.stream]))[event.stream]
            stored = Stored(event.stream, sequence_of(event), event.id)
            if place.forked is not None or place.applied + 1 != stored.sequence:
                # Parked as forked, or skipped, since it became due: that was no attempt.
                asked = {"stream": event.stream, "sequence": event.sequence, "id": event.id}
                await connection.execute(self._sql.rest, {"consumer": self.consumer, **asked})
                return Received()
            (taken,) = await self._with_payloads(connection, [stored])
            await self._handler(connection, [taken])
            await self._advance(connection, {event.stream: place.after([event.id])})
            await self._promote(connection, [event.stream])
        return Received(applied=1)

    async def _fail(self, engine: AsyncEngine, event: Event, cause: str | None) -> Received:
        async with transaction(engine, **BY_INDEX) as connection:
            result = await connection.execute(
                self._sql.record_failure,
                {
                    "consumer": self.consumer,
                    "stream": event.stream,
                    "sequence": event.sequence,
                    "id": event.id,
                    "cause": cause,
                    "attempts": self._retry.attempts,
                    "first": self._retry.first_seconds,
                    "longest": self._retry.longest_seconds,
                },
            )
            is_parked = result.scalar_one_or_none()
        if is_parked is None:
            return Received()  # an operator skipped it meanwhile
        if is_parked:
            logger.error("%s: event %s of stream %s is parked", self.consumer, event.id, event.stream)
        return Received(parked=1) if is_parked else Received(failed=1)

    async def progress(
        self, connection: AsyncConnection, streams: Sequence[str]
    ) -> Mapping[str, StreamProgress]:
        """This consumer's place in each of the streams; those it never heard of stand at 0."""
        stored, places = await self._read(connection, streams)
        waiting: dict[str, dict[int, UUID]] = {}
        for row in stored:
            waiting.setdefault(row.stream, {})[row.sequence] = row.id
        return {
            stream: StreamProgress(place.applied, waiting.get(stream, {}), place.forked)
            for stream, place in ((stream, places.get(stream, Place())) for stream in streams)
        }

    async def compare(self, connection: AsyncConnection, keys: Sequence[EventKey]) -> Comparison:
        """Which of the events are neither applied nor stored here, and how far their streams are.

        An event whose number was passed with another id counts as missing, so that it comes again
        and its stream is parked as forked.
        """
        stored, places = await self._read(connection, sorted({key.stream for key in keys}))
        known = {row.id for row in stored}
        missing = frozenset(
            key.id
            for key in keys
            if key.id not in known and not places.get(key.stream, Place()).has_passed(key)
        )
        return Comparison(missing, {stream: place.applied for stream, place in places.items()})

    async def _read(
        self, connection: AsyncConnection, streams: Sequence[str]
    ) -> tuple[list[Stored], dict[str, Place]]:
        # The store first: an event that is applied from it in between is then seen at least once.
        stored = await self._read_waiting(connection, streams)
        asked = {"consumer": self.consumer, "streams": list(streams)}
        places = {row.stream: _place(row) for row in await connection.execute(self._sql.read_streams, asked)}
        return stored, places

    async def park_forked(self, connection: AsyncConnection, streams: Mapping[str, str]) -> None:
        """Park these streams, each for its cause, until an operator retries them; never commits."""
        await connection.execute(
            self._sql.mark_forked,
            {"consumer": self.consumer, "streams": list(streams), "causes": list(streams.values())},
        )

    async def begin_at(self, connection: AsyncConnection, last_numbers: Mapping[str, int]) -> None:
        """Count these streams as applied up to these numbers, for a consumer that came later; never commits.

        The numbers are those of `Outbox.begin_consumer`. The log no longer knows a stream whose events
        are all past its retention: a producer that keeps counters of its own reads them first, calls
        begin_consumer then, and gives the higher of both. Called again it changes nothing.
        """
        await begin_streams(connection, self.schema, self.consumer, last_numbers)

    async def retry(self, connection: AsyncConnection, stream: str) -> bool:
        """Let a parked or forked stream go on with its next event, due now; never commits.

        Events whose number is already taken stay parked: skip them. False where two events
        claim to be the next, so that one must be skipped first, or where the stream is not known.
        """
        place = (await self._lock(connection, [stream])).get(stream)
        if place is None:
            return False
        rows = await self._read_waiting(connection, [stream])
        heads = [row for row in rows if row.sequence == place.applied + 1]
        if len(heads) > 1:
            return False
        head = {"consumer": self.consumer, "stream": stream, "sequence": place.applied + 1}
        await connection.execute(self._sql.unpark, head)
        await connection.execute(self._sql.clear_fork, {"consumer": self.consumer, "stream": stream})
        await self._promote(connection, [stream])
        return True

    async def skip(self, connection: AsyncConnection, event_id: UUID, *, reason: str) -> bool:
        """Leave out a failed or parked event, keeping it and the reason; never commits.

        If it was the next of its stream, the stream goes on after it. False where no such event is held.
        """
        asked = {"consumer": self.consumer, "id": event_id}
        held = (await connection.execute(self._sql.find_held, asked)).one_or_none()
        place = (await self._lock(connection, [held.stream])).get(held.stream) if held else None
        held = (await connection.execute(self._sql.find_held, asked)).one_or_none()  # now that it is locked
        if held is None or place is None:
            return False
        await connection.execute(self._sql.skip, {**asked, "reason": reason})
        rows = await self._read_waiting(connection, [held.stream])
        rivals = [row for row in rows if row.sequence == held.sequence]
        if held.sequence == place.applied + 1 and not rivals:
            await self._advance(connection, {held.stream: place.after([event_id])})
            await self._promote(connection, [held.stream])
        return True

    async def _lock(self, connection: AsyncConnection, streams: Sequence[str]) -> dict[str, Place]:
        """Lock the streams (sorted, as everybody does) that this consumer has heard of."""
        driver = await driver_of(connection)
        rows = await driver.fetch(self._sql.lock_streams, self.consumer, streams)
        return {row["stream"]: Place(*row[1:]) for row in rows}

    async def _read_waiting(self, connection: AsyncConnection, streams: Sequence[str]) -> list[Stored]:
        driver = await driver_of(connection)
        return [Stored(*row) for row in await driver.fetch(self._sql.read_waiting, self.consumer, streams)]


def _place(row: Row[Any]) -> Place:
    return Place(row.applied, row.recent_ids, row.forked)


def _streams_of(events: Sequence[Event]) -> list[str]:
    return sorted({event.stream for event in events})


def _array(ids: Sequence[UUID]) -> str:
    """A PostgreSQL array literal: unnest() would flatten an array of arrays."""
    return "{" + ",".join(event_id.hex for event_id in ids) + "}"


def _counts(plan: Plan, *, applied: int) -> Received:
    return Received(applied=applied, repeated=plan.repeated, waiting=len(plan.wait), parked=len(plan.forks))
