"""What an operator can ask and do: how far everything is, what is parked and why, and what to do about it."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.anti_entropy import ConsumerView
from outbox.cursor import READING
from outbox.database import transaction
from outbox.event import EventKey
from outbox.inbox import Comparison
from outbox.log import Outbox
from outbox.operations_sql import InboxSql, LogSql
from outbox.ordered import OrderedInbox
from outbox.publisher import Publisher
from outbox.selection import NO_END, Selection, listed, select
from outbox.status import (
    ConsumerStatus,
    Count,
    DeadGroup,
    EventPage,
    LaneStatus,
    ListedEvent,
    LogStatus,
    Replayed,
    Retried,
    RoundStatus,
    WindowStatus,
)
from outbox.unordered import UnorderedInbox

LOOKING = {**READING, "statement_timeout": "5s"}
COUNTED = 1_000  # unpublished events of a lane, and open gaps, that are counted at most
ASKED = 250  # events after the window's edge, per lane, that a consumer is asked about
HELD = 10_000  # rows of an inbox that are counted, grouped or retried at most
RATED = 200  # of the newest events of a lane
SCANNED = 2_000  # rows that a page filtered by type reads at most
LISTED = 1_000


Note = Callable[[AsyncConnection, str], Awaitable[None]]
"""Writes down in the transaction what was done to this stream or event."""


@dataclass(frozen=True, slots=True)
class Held:
    """What lies in a consumer's inbox, each counted up to `HELD`; ages in seconds, None where there is nothing."""

    waiting: int
    due: int
    parked: int
    forked: int
    oldest_seconds: float | None
    overdue_seconds: float | None


class Follower(ConsumerView, Protocol):
    """A consumer as its producer's operators see it: with its inbox here, or through an HTTP client."""

    async def held(self) -> Held: ...


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer's inbox in a database of its own, and the topic that it follows."""

    engine: AsyncEngine
    inbox: OrderedInbox | UnorderedInbox
    topic: str

    @property
    def name(self) -> str:
        return self.inbox.consumer

    async def compare(self, events: Sequence[EventKey], /) -> Comparison:
        async with transaction(self.engine, **LOOKING) as connection:
            return await self.inbox.compare(connection, events)

    async def park_forked(self, streams: Mapping[str, str], /) -> None:
        async with transaction(self.engine) as connection:
            await self.inbox.park_forked(connection, streams)

    async def held(self) -> Held:
        counts = InboxSql(self.inbox.schema, is_ordered=isinstance(self.inbox, OrderedInbox)).counts
        async with transaction(self.engine, **LOOKING) as connection:
            row = (await connection.execute(counts, {"consumer": self.name, "limit": HELD})).one()
        return Held(
            waiting=row.waiting,
            due=row.due,
            parked=row.parked,
            forked=row.forked,
            oldest_seconds=row.oldest_seconds,
            overdue_seconds=row.overdue_seconds,
        )


class Operations:
    """One log with its consumers, to look at and to act on.

    Every statement is by index and bounded, so that looking costs the same at the millionth event.
    Methods raise what the driver raises where a database is away, and KeyError for a consumer that
    is not among those given.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        outbox: Outbox,
        publishers: Sequence[str],
        consumers: Sequence[Consumer],
        elsewhere: Sequence[Follower] = (),
    ) -> None:
        """`elsewhere` are consumers whose inboxes others act on: here they can be looked at."""
        self.schema = outbox.schema
        self.consumers: Mapping[str, Consumer] = {consumer.name: consumer for consumer in consumers}
        self.followers: Mapping[str, Follower] = {one.name: one for one in (*consumers, *elsewhere)}
        self.topics = sorted({consumer.topic for consumer in (*consumers, *elsewhere)})
        self._engine = engine
        self._lanes = outbox.lanes
        self._publishers = publishers
        self._sql = LogSql(outbox.schema)
        self._inboxes = {
            c.name: InboxSql(c.inbox.schema, is_ordered=isinstance(c.inbox, OrderedInbox)) for c in consumers
        }

    # Looking

    async def log_status(self) -> LogStatus:
        """What each publisher has before it; asks the producer's database alone."""
        async with transaction(self._engine, **LOOKING) as connection:
            log = (await connection.execute(self._sql.log)).one()
            asked = {"lanes": self._lanes, "limit": RATED}
            arrivals = (await connection.execute(self._sql.arrivals, asked)).all()
            lanes: list[LaneStatus] = []
            for publisher in self._publishers:
                asked_of = {"publisher": publisher, "lanes": self._lanes, "limit": COUNTED}
                rows = await connection.execute(self._sql.lanes, asked_of)
                lanes.extend(_lane(publisher, row) for row in rows)
        return LogStatus(
            schema=self.schema,
            lanes=lanes,
            appended_total=log.last_position,
            appended_per_second=sum(_arrivals_per_second(row) for row in arrivals),
            is_default_partition_used=log.is_default_used,
        )

    async def consumer_status(self, name: str) -> ConsumerStatus:
        """What the consumer has not applied yet; asks the producer's database, then the consumer.

        Raises what a follower elsewhere does, besides.
        """
        consumer = self.followers[name]
        async with transaction(self._engine, **LOOKING) as connection:
            now = (await connection.execute(self._sql.now)).scalar_one()
            window, asked_for, is_cut = await self._unknown(connection, consumer)
        keys = [EventKey(row.id, row.stream, row.sequence) for row in asked_for]
        held = await consumer.held()
        answer = await consumer.compare(keys) if keys else None
        lacking = {row.id: row for row in asked_for if answer and row.id in answer.missing}
        ages = [(now - row.created_at).total_seconds() for row in lacking.values() if row.created_at]
        on_the_way = max(ages, default=None)
        unreceived = Count(len(lacking), is_cut)
        waiting, due, parked = (_count(number, HELD) for number in (held.waiting, held.due, held.parked))
        return ConsumerStatus(
            consumer=name,
            topic=consumer.topic,
            lag=unreceived + waiting + due + parked,
            lag_seconds=_longer(on_the_way, held.oldest_seconds),
            behind_seconds=_longer(on_the_way, held.overdue_seconds),
            unreceived=unreceived,
            waiting=waiting,
            due=due,
            parked=parked,
            forked=_count(held.forked, HELD),
            window=window,
        )

    async def _unknown(
        self, connection: AsyncConnection, consumer: Follower
    ) -> tuple[WindowStatus, list[Row[Any]], bool]:
        """The window, the events of which only the consumer can say whether it has them, and whether not all."""
        asked = {"publisher": f"anti-entropy:{consumer.name}", "lanes": self._lanes, "limit": ASKED}
        edge = await connection.scalar(self._sql.edge, asked)
        after = (await connection.execute(self._sql.after_edge, asked)).all()
        asked = {"consumer": consumer.name, "limit": COUNTED}
        gaps = (await connection.execute(self._sql.gaps, asked)).all()
        last = (await connection.execute(self._sql.last_round, {"consumer": consumer.name})).one_or_none()
        window = WindowStatus(edge, _count(len(gaps), COUNTED), _round(last) if last else None)
        is_cut = len(gaps) >= COUNTED or max(Counter(r.lane for r in after).values(), default=0) >= ASKED
        return window, [*(row for row in after if row.topic == consumer.topic), *gaps], is_cut

    async def events(
        self, *, stream: str | None = None, type: str | None = None, after: int | None = None, limit: int = 50
    ) -> EventPage:
        """A page of the log in the order of positions; without `after` and `stream`, its newest events.

        Raises ValueError for a limit that is not within 1 to 1000.
        """
        if not 1 <= limit <= LISTED:
            raise ValueError(f"limit must lie between 1 and {LISTED}")
        scanned = limit if type is None else SCANNED
        asked: dict[str, object] = {
            "lanes": self._lanes,
            "limit": scanned,
            "after": after or 0,
            "until": NO_END,
        }
        statement = self._sql.page
        if stream is not None:
            statement = self._sql.stream_page
            asked |= {"stream": stream, "topics": self.topics}
        elif after is None:
            statement = self._sql.newest_page
        async with transaction(self._engine, **LOOKING) as connection:
            rows = [listed(row) for row in await connection.execute(statement, asked)]
        found = [row for row in rows if type in {None, row.event.type}]
        if statement is self._sql.newest_page:
            return EventPage(found[:limit][::-1], None)
        if len(found) > limit:
            return EventPage(found[:limit], found[limit - 1].position)
        return EventPage(found, rows[-1].position if len(rows) == scanned else None)

    async def dead(self, name: str) -> list[DeadGroup]:
        """What the consumer has parked, and streams it has forked, by cause; the largest group first.

        Of the latest 10,000 parked events.
        """
        asked = {"consumer": name, "limit": HELD}
        sql = self._inboxes[name]
        async with transaction(self.consumers[name].engine, **LOOKING) as connection:
            parked = (await connection.execute(sql.dead, asked)).all()
            forked = (await connection.execute(sql.forked, asked)).all()
        groups = [DeadGroup(consumer=name, **row._mapping) for row in parked]
        groups += [
            DeadGroup(consumer=name, events=0, first_at=None, last_at=None, event_ids=(), **row._mapping)
            for row in forked
        ]
        return sorted(groups, key=lambda group: (-group.events, -group.streams, group.cause))

    # Acting

    async def retry(
        self,
        name: str,
        *,
        stream: str | None = None,
        event_id: UUID | None = None,
        cause: str | None = None,
        note: Note | None = None,
    ) -> Retried:
        """Let what is parked go on: one stream, that of one event, or all of one cause (as `dead` names it).

        An unordered consumer has events only, no streams to go on. Each is resumed in a transaction of its
        own, in which it is also noted, and tried within a second by any worker. Raises ValueError unless exactly one is named.
        """
        if sum(given is not None for given in (stream, event_id, cause)) != 1:
            raise ValueError("name a stream, an event or a cause")
        inbox, engine = self.consumers[name].inbox, self.consumers[name].engine
        if isinstance(inbox, UnorderedInbox):
            if stream is not None:
                raise ValueError(f"{name} is unordered: name an event or a cause")
            ids = [event_id] if event_id is not None else await self._matching(name, cause)
            results = [(str(i), await _retry_event(engine, inbox, i, note)) for i in ids]
        else:
            if event_id is not None:
                stream = await self._stream_of(name, event_id)
                streams = [] if stream is None else [stream]
            else:
                streams = [stream] if stream is not None else await self._matching(name, cause)
            results = [(s, await self._retry_stream(engine, inbox, s, note)) for s in streams]
        return Retried(
            resumed=sum(is_resumed for _, is_resumed in results),
            refused=[what for what, is_resumed in results if not is_resumed]
            or ([] if results else [str(event_id or cause)]),
        )

    async def _matching(self, name: str, cause: str | None) -> list[Any]:
        """Streams, or ids where unordered, of what is parked for this cause."""
        sql, asked = self._inboxes[name], {"consumer": name, "cause": cause, "limit": HELD}
        async with transaction(self.consumers[name].engine, **LOOKING) as connection:
            return list(await connection.scalars(sql.of_cause, asked))

    async def _stream_of(self, name: str, event_id: UUID) -> str | None:
        asked = {"consumer": name, "id": event_id}
        async with transaction(self.consumers[name].engine, **LOOKING) as connection:
            found: str | None = await connection.scalar(self._inboxes[name].stream_of_parked, asked)
        return found

    async def _retry_stream(
        self, engine: AsyncEngine, inbox: OrderedInbox, stream: str, note: Note | None
    ) -> bool:
        async with transaction(engine) as connection:
            asked = {"consumer": inbox.consumer, "stream": stream}
            is_stuck = await connection.scalar(self._inboxes[inbox.consumer].is_stuck, asked)
            is_resumed = bool(is_stuck) and await inbox.retry(connection, stream)
            if is_resumed and note is not None:
                await note(connection, stream)
            return is_resumed

    async def skip(self, name: str, event_id: UUID, *, reason: str, note: Note | None = None) -> bool:
        """Leave out a failed or parked event for good; it is kept with the reason, and noted in the same
        transaction. False where none is held.

        Raises ValueError for an empty reason.
        """
        if not reason.strip():
            raise ValueError("a reason is required")
        consumer = self.consumers[name]
        async with transaction(consumer.engine) as connection:
            is_skipped = await consumer.inbox.skip(connection, event_id, reason=reason.strip())
            if is_skipped and note is not None:
                await note(connection, str(event_id))
            return is_skipped

    def select(self, selection: Selection, *, page: int = 500) -> AsyncIterator[list[ListedEvent]]:
        """The selected events that the log holds now, in the order of positions, in pages.

        No transaction is open between two pages.
        """
        return select(self._engine, self._sql, self._lanes, LOOKING, selection, page=page)

    async def replay(
        self, publisher: Publisher, selection: Selection, *, page: int = 500
    ) -> AsyncIterator[Replayed]:
        """Publish the selected events again, with the same ids; how far it has come, after each page.

        Harmless, since a consumer does nothing about what it has. Whoever iterates may stop at any page
        and go on later from its position. Raises PublishFailed where the broker refuses.
        """
        events = 0
        async for found in self.select(selection, page=page):
            await publisher.publish([one.event for one in found])
            events += len(found)
            yield Replayed(events, found[-1].position)


async def _retry_event(engine: AsyncEngine, inbox: UnorderedInbox, event_id: UUID, note: Note | None) -> bool:
    async with transaction(engine) as connection:
        is_resumed = await inbox.retry(connection, event_id)
        if is_resumed and note is not None:
            await note(connection, str(event_id))
        return is_resumed


def _count(number: int, bound: int) -> Count:
    return Count(min(number, bound), number >= bound)


def _longer(one: float | None, other: float | None) -> float | None:
    return max((seconds for seconds in (one, other) if seconds is not None), default=None)


def _lane(publisher: str, row: Row[Any]) -> LaneStatus:
    return LaneStatus(
        publisher=publisher,
        lane=row.lane,
        unpublished=_count(row.number, COUNTED),
        oldest_seconds=row.oldest_seconds,
        published_total=row.events,
        published_per_second=(row.events - row.events_before) / row.span if row.span else 0.0,
    )


def _arrivals_per_second(row: Row[Any]) -> float:
    """Of one lane: over the last minute, or over the newest events where these all came within it."""
    if row.newest == row.recent == RATED and row.span > 0:
        return float(row.newest / row.span)
    return float(row.recent / 60)


def _round(row: Row[Any]) -> RoundStatus:
    return RoundStatus(**{name: row._mapping[name] for name in RoundStatus.__dataclass_fields__})
