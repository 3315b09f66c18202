"""Owns delivery: asks each consumer what it has, and publishes again what is missing.

The window of events not yet compared ends in snapshots, like a relay's, and is read by the same
cursors: no position and no time could bound it, since a transaction that commits late would fall
behind such an edge and be lost with the broker. An event that is missing when the window passes it
becomes a gap: a row that stays until the consumer has the event.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.anti_entropy_sql import AntiEntropySql
from outbox.baseline import readers_of
from outbox.cursor import NOTHING_SEEN, READING, Cursor, LoggedKey, LogReader
from outbox.database import transaction
from outbox.event import EventKey
from outbox.inbox import Comparison
from outbox.log import Outbox
from outbox.publisher import Publisher
from outbox.signals import wait_any

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 300.0  # between two publications of the same gap
TRIM_ROUNDS_EVERY = 64  # as the cursors: appended, for an updated row bloats under a held snapshot
LONGEST_BACKOFF_SECONDS = 30.0  # while the database, the broker or a consumer is away


class ConsumerView(Protocol):
    """A consumer as its producer sees it: in the same process, or through an HTTP client."""

    @property
    def name(self) -> str: ...

    @property
    def topic(self) -> str: ...

    async def compare(self, events: Sequence[EventKey], /) -> Comparison:
        """What the consumer has of these events."""

    async def park_forked(self, streams: Mapping[str, str], /) -> None:
        """Park these streams, each for its cause: the consumer is ahead of the producer's log."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How eagerly a consumer is compared with the log. Times in seconds."""

    round_seconds: float = 1.0
    grace_seconds: float = 2.0  # an event may be on its way for so long, or for twice the queue's delay
    gaps: int = 10_000  # the window waits while so many are open
    published: int = 1_000  # at most so many gaps are published again in a round
    page: int = 1_000  # events compared at a time, per lane
    sweep_seconds: float = 86_400.0  # between two comparisons of the whole log


@dataclass(slots=True)
class Report:
    """What one round found."""

    compared: int = 0
    missing: int = 0  # new gaps
    closed: int = 0  # gaps that the consumer has by now
    published: int = 0
    forked: int = 0  # streams in which a consumer is ahead of the log

    def add(self, other: "Report") -> None:
        self.compared += other.compared
        self.missing += other.missing
        self.closed += other.closed
        self.published += other.published
        self.forked += other.forked


class AntiEntropy:
    """The producer's side for all of its consumers. Any number may run: one at a time works on a consumer."""

    def __init__(
        self,
        engine: AsyncEngine,
        outbox: Outbox,
        publisher: Publisher,
        consumers: Sequence[ConsumerView],
        *,
        pace: Pace | None = None,
    ) -> None:
        self._engine = engine
        self._publisher = publisher
        self._pace = pace or Pace()
        self._sql = AntiEntropySql(outbox.schema)
        self._outbox = outbox
        self._consumers = [
            _Compared(
                view, *(LogReader(outbox, name, page=self._pace.page) for name in readers_of(view.name))
            )
            for view in consumers
        ]

    async def run_once(self) -> Report:
        """One round over all consumers.

        Raises PublishFailed, what a consumer's view raises, and what the driver raises; each round
        begins where the last one that committed ended.
        """
        report = Report()
        for consumer in self._consumers:
            report.add(await self._round(consumer))
        return report

    async def run(self, stop: asyncio.Event) -> None:
        """Rounds until `stop`; after a failure with a growing pause."""
        failures = 0
        while not stop.is_set():
            pause = self._pace.round_seconds
            for consumer in self._consumers:
                try:
                    await self._round(consumer)
                    failures = 0
                except Exception as error:  # noqa: BLE001 - tried again; a view may raise anything
                    failures += 1
                    pause = min(self._pace.round_seconds * 2**failures, LONGEST_BACKOFF_SECONDS)
                    logger.warning("%s is not compared with the log: %r", consumer.view.name, error)
            await wait_any(stop, seconds=pause)

    async def _round(self, consumer: "_Compared") -> Report:
        began = time.monotonic()
        marker = await self._publisher.marker()
        grace = max(self._pace.grace_seconds, 2 * await self._publisher.delay_seconds())
        report = Report()
        if await self._has_forgotten(consumer, marker):
            logger.warning("the broker has lost its memory: what %s lacks is sent again", consumer.view.name)
            grace = 0.0
        while await self._compare_page(consumer, consumer.window, grace, report):
            pass
        await self._compare_page(consumer, consumer.sweep, self._pace.sweep_seconds, report)
        await self._send_gaps(consumer, grace, report)
        if report.missing or report.published:
            logger.info("%s lacked %d, was sent %d", consumer.view.name, report.missing, report.published)
        await self._record(consumer.view.name, report, time.monotonic() - began)
        return report

    async def _record(self, name: str, report: Report, took_seconds: float) -> None:
        """Keep what the round found, for operators."""
        async with transaction(self._engine, synchronous_commit="off") as connection:
            await connection.execute(
                self._sql.lock_rounds, {"lock": f"{self._outbox.schema} rounds of {name}"}
            )
            added = {"consumer": name, "took_seconds": took_seconds, **asdict(report)}
            number = (await connection.execute(self._sql.add_round, added)).scalar_one()
            if number % TRIM_ROUNDS_EVERY == 0:
                await connection.execute(self._sql.trim_rounds, {"consumer": name, "round": number})

    async def _has_forgotten(self, consumer: "_Compared", marker: str | None) -> bool:
        """Whether the broker's marker is another than last time; then every open gap is due."""
        if marker is None:
            return False
        asked = {"consumer": consumer.view.name, "marker": marker}
        async with transaction(self._engine) as connection:
            if await connection.scalar(self._sql.is_marker_known, asked):
                return False
            await connection.execute(self._sql.remember_marker, asked)
            await connection.execute(self._sql.all_due, asked)
        return True

    async def _compare_page(
        self, consumer: "_Compared", reader: LogReader, grace: float, report: Report
    ) -> bool:
        """One page of each free lane; whether there is more of what has waited long enough.

        None while too many gaps are open: the window waits until the consumer keeps up.
        """
        await reader.prepare(self._engine)
        async with transaction(self._engine, first=reader.locking(), **READING) as connection:
            open_gaps = await connection.scalar(self._sql.count_gaps, {"consumer": consumer.view.name})
            if open_gaps >= self._pace.gaps:
                return False
            places = await reader.places(connection)
            if places is None:
                return False
            if places.are_rebased:
                await reader.append(connection, places.cursors)
                return True
            cursors = places.cursors
            if reader is consumer.sweep and not all(cursor.target for cursor in cursors):
                asked = {"consumer": consumer.view.name}
                line = (await connection.execute(self._sql.baseline, asked)).one_or_none()
                cursors = [c if c.target else _from_the_beginning(c, line) for c in cursors]
            cursors = [cursor if cursor.target else _aimed(cursor, places.snapshot) for cursor in cursors]
            if grace == 0:
                cursors = [c if c.last_position else _aimed(c, places.snapshot) for c in cursors]
            ripe = [c for c in cursors if grace == 0 or c.last_position > 0 or c.age_seconds >= grace]
            found, after = await reader.read_keys(connection, ripe, places.snapshot)
            await self._compare(connection, consumer, found, report)
            begun = [new for new, old in zip(cursors, places.cursors, strict=True) if new is not old]
            read = {cursor.lane for cursor in after}
            await reader.append(connection, [*after, *(c for c in begun if c.lane not in read)])
        return any(cursor.last_position > 0 for cursor in after)

    async def _compare(
        self, connection: AsyncConnection, consumer: "_Compared", found: Sequence[LoggedKey], report: Report
    ) -> None:
        mine = [logged for logged in found if logged.topic == consumer.view.topic]
        if not mine:
            return
        answer = await consumer.view.compare([logged.key for logged in mine])
        missing = [logged for logged in mine if logged.key.id in answer.missing]
        report.compared += len(mine)
        report.missing += len(missing)
        if missing:
            await connection.execute(self._sql.open_gaps, {"consumer": consumer.view.name, **_gaps(missing)})
        report.forked += await self._park_ahead(connection, consumer, mine, answer)

    async def _park_ahead(
        self,
        connection: AsyncConnection,
        consumer: "_Compared",
        compared: Sequence[LoggedKey],
        answer: Comparison,
    ) -> int:
        """Park the streams in which the consumer has applied numbers that the log never gave out.

        The log is asked after the consumer: what it applied was committed here before.
        """
        last: dict[str, int] = {}
        for logged in compared:
            if logged.key.sequence is not None:
                last[logged.key.stream] = logged.key.sequence
        ahead = {s: n for s, n in answer.applied.items() if n > last.get(s, n)}
        if not ahead:
            return 0
        asked = {"topic": consumer.view.topic, "streams": list(ahead)}
        given = {row.stream: row.last for row in await connection.execute(self._sql.last_given, asked)}
        forked = {
            stream: f"forked: {applied} applied, but only {given.get(stream, 0)} in the producer's log"
            for stream, applied in ahead.items()
            if applied > given.get(stream, 0)
        }
        if forked:
            for stream, cause in forked.items():
                logger.error("%s: stream %s is parked, %s", consumer.view.name, stream, cause)
            await consumer.view.park_forked(forked)
        return len(forked)

    async def _send_gaps(self, consumer: "_Compared", grace: float, report: Report) -> None:
        """Close the due gaps that are gaps no more, and publish the events of the others again."""
        async with transaction(self._engine, **READING) as connection:
            asked = {"consumer": consumer.view.name, "limit": self._pace.published}
            gaps = (await connection.execute(self._sql.due_gaps, asked)).all()
            if not gaps:
                return
            answer = await consumer.view.compare([EventKey(g.id, g.stream, g.sequence) for g in gaps])
            closed = [gap.id for gap in gaps if gap.id not in answer.missing]
            lacking = [gap for gap in gaps if gap.id in answer.missing]
            name = consumer.view.name
            await connection.execute(self._sql.close_gaps, {"consumer": name, "ids": closed})
            report.closed += len(closed)
            if not lacking:
                return
            events = await consumer.window.fetch(connection, {g.position: g.lane for g in lacking})
            await self._publisher.publish([logged.event for logged in events])
            report.published += len(events)
            await connection.execute(
                self._sql.postpone,
                {
                    "consumer": name,
                    "ids": [gap.id for gap in lacking],
                    "grace": max(grace, self._pace.grace_seconds),
                    "longest": LONGEST_WAIT_SECONDS,
                },
            )


@dataclass(frozen=True, slots=True)
class _Compared:
    """A consumer with its two places in the log."""

    view: ConsumerView
    window: LogReader
    sweep: LogReader


def _aimed(cursor: Cursor, snapshot: str) -> Cursor:
    """The cursor with a target, to be read once it has aged."""
    return replace(cursor, target=snapshot, age_seconds=0.0)


def _from_the_beginning(cursor: Cursor, baseline: Row[Any] | None) -> Cursor:
    """The cursor at the consumer's first event again, restored rows included."""
    base = baseline.snapshot if baseline is not None else NOTHING_SEEN
    if baseline is not None and baseline.system_identifier == cursor.system_identifier:
        return replace(cursor, base=base, restored_base=None)  # what was restored came before it
    return replace(cursor, base=NOTHING_SEEN, restored_base=base if cursor.restored_position else None)


def _gaps(missing: Sequence[LoggedKey]) -> dict[str, list[object]]:
    return {
        "ids": [logged.key.id for logged in missing],
        "lanes": [logged.lane for logged in missing],
        "positions": [logged.position for logged in missing],
        "streams": [logged.key.stream for logged in missing],
        "sequences": [logged.key.sequence for logged in missing],
    }
