"""How a log and its consumers stand: what Operations answers, and when that is an alarm."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outbox.event import Event


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows, counted up to a bound so that it stays cheap whatever there is."""

    number: int
    is_more: bool = False  # the bound was reached: there may be more

    def __str__(self) -> str:
        return f"{self.number}+" if self.is_more else str(self.number)

    def __add__(self, other: "Count") -> "Count":
        return Count(self.number + other.number, self.is_more or other.is_more)


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """What one publisher has before it in one lane."""

    publisher: str
    lane: int
    unpublished: Count
    oldest_seconds: float | None  # age of the oldest unpublished event; None where there is none
    published_total: int  # events ever published from this lane, repetitions of a page included
    published_per_second: (
        float  # over the last minute, or over the cursor's kept entries if those are younger
    )


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """The last completed round of anti-entropy for a consumer, and the totals of all of them."""

    ended_at: datetime
    ended_seconds: float  # ago
    took_seconds: float
    compared: int
    missing: int
    closed: int
    published: int
    forked: int
    total_compared: int
    total_missing: int
    total_closed: int
    total_published: int
    total_forked: int


@dataclass(frozen=True, slots=True)
class WindowStatus:
    """How far anti-entropy has come for a consumer."""

    edge_seconds: float | None  # since the snapshot was taken that every lane has been compared up to
    gaps: Count  # events that the consumer lacked when the window passed them, and was not seen to have since
    last_round: RoundStatus | None  # None before the first


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """What a consumer has not applied yet.

    `lag` counts each event of its topic that is committed in the log and not applied: those it holds
    (waiting, due or parked), those behind the window's edge that it lacked and still lacks, and those
    after the edge that it says it does not have, wherever they are on their way. What was skipped
    counts as applied.
    """

    consumer: str
    topic: str
    lag: Count
    lag_seconds: float | None  # age of the oldest of these, held ones counted from their receipt
    behind_seconds: float | None  # age of the oldest not received, or how long the longest due one is overdue
    unreceived: Count  # on their way, or lost and to be sent again
    waiting: Count  # held until the ones before them have come or succeeded
    due: Count  # new, failed or cut off; tried again by the schedule
    parked: Count  # given up: an operator decides
    forked: Count  # streams, in which producer and consumer disagree: an operator decides
    window: WindowStatus


@dataclass(frozen=True, slots=True)
class LogStatus:
    """A log as a whole."""

    schema: str
    lanes: Sequence[LaneStatus]  # per publisher and lane
    appended_total: int  # positions ever given out, those rolled back included
    appended_per_second: float  # over the last minute, or less where many came
    is_default_partition_used: bool  # the days ahead ran out: an alarm


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event of the log with its address."""

    lane: int
    position: int
    created_at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of the log in the order of positions, and where the next begins; None at the log's end.

    A filter may leave a page short or empty although more follows. A transaction that commits late
    brings events with positions that a reader has passed already: this is a list, not a subscription.
    """

    events: Sequence[ListedEvent]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """What was given up for one cause, numbers and ids in it aside."""

    consumer: str
    cause: str  # words that hold a digit replaced by #: what `retry` takes
    example: str  # one cause as it was recorded
    events: int
    streams: int
    first_at: datetime | None  # parked; None for streams that are forked without an event of their own
    last_at: datetime | None
    event_ids: Sequence[UUID]  # a few, the latest first
    stream_names: Sequence[str]  # a few


@dataclass(frozen=True, slots=True)
class Retried:
    """How many streams (or events, where unordered) go on, and those that do not."""

    resumed: int
    refused: Sequence[str]  # nothing of it is parked, or two events claim to be the next: skip one


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far a replay has come."""

    events: int
    position: int  # of the last one


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond which a status is an alarm. Times in seconds."""

    unpublished_seconds: float = 30.0
    behind_seconds: float = 60.0
    round_seconds: float = 120.0


def alarms(
    log: LogStatus, consumers: Sequence[ConsumerStatus], limits: Limits | None = None
) -> Iterator[str]:
    """What a person should look at, one sentence each."""
    limits = limits or Limits()
    if log.is_default_partition_used:
        yield f"{log.schema}: the default partition is in use, for the days ahead ran out"
    for lane in log.lanes:
        if (lane.oldest_seconds or 0.0) > limits.unpublished_seconds:
            yield (
                f"{log.schema}: {lane.publisher} has {lane.unpublished} unpublished in lane {lane.lane}, "
                f"the oldest for {lane.oldest_seconds:.0f} s"
            )
    for status in consumers:
        yield from _consumer_alarms(status, limits)


def _consumer_alarms(status: ConsumerStatus, limits: Limits) -> Iterator[str]:
    name = status.consumer
    if status.parked.number:
        yield f"{name}: {status.parked} event(s) parked"
    if status.forked.number:
        yield f"{name}: {status.forked} stream(s) forked"
    if (status.behind_seconds or 0.0) > limits.behind_seconds:
        yield (
            f"{name}: {status.behind_seconds:.0f} s behind, with {status.unreceived} event(s) not received "
            f"and {status.due} due"
        )
    last = status.window.last_round
    if last is None:
        yield f"{name}: anti-entropy has never run"
    elif last.ended_seconds > limits.round_seconds:
        yield f"{name}: anti-entropy has not completed a round for {last.ended_seconds:.0f} s"
