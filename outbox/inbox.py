"""What consumers of both kinds share: the handler's shape, the counts, the schedule of retries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.event import Event


class Handler(Protocol):
    """Applies events of ordered streams inside the inbox's transaction."""

    async def __call__(self, connection: AsyncConnection, events: Sequence[Event], /) -> None:
        """Apply the events in the given order through this connection; never commit.

        Its statements are planned by index where there is one (`outbox.database.BY_INDEX`).
        A batch holds events of many streams, each stream's in order. Any exception
        rolls the batch back; its events are then tried one at a time.
        """


class EffectHandler(Protocol):
    """Carries one event out into the world, outside any transaction.

    It may run more than once for an event: `event.id` is the idempotency key to hand on.
    """

    async def __call__(self, event: Event, /) -> None: ...


class GiveUp(Exception):
    """Raised by an `EffectHandler` that knows that no repetition helps: the event is parked at once, with this text."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed event is tried again, and when it is given up (parked)."""

    attempts: int = 10  # made alone; those in a batch do not count
    first_seconds: float = 1.0  # before the second attempt; doubles each time, with jitter
    longest_seconds: float = 300.0


@dataclass(slots=True)
class Received:
    """What became of the events handed in."""

    applied: int = 0
    repeated: int = 0  # had been applied, or were waiting, before
    waiting: int = 0  # stored until the ones before them have come or succeeded
    failed: int = 0  # attempts that failed and are scheduled again
    parked: int = 0  # given up: an operator decides

    def add(self, other: "Received") -> None:
        self.applied += other.applied
        self.repeated += other.repeated
        self.waiting += other.waiting
        self.failed += other.failed
        self.parked += other.parked


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """A consumer's place in one stream."""

    applied: int  # the sequence of the last applied event; 0 before the first
    waiting: Mapping[int, UUID] = field(default_factory=dict)  # stored, not applied, by sequence
    forked: str | None = None  # why the stream is parked as forked


@dataclass(frozen=True, slots=True)
class Comparison:
    """A consumer's answer about some events."""

    missing: frozenset[UUID]  # neither applied nor stored
    applied: Mapping[str, int]  # per stream, the last applied sequence; empty where unordered
