"""W3C trace context (https://www.w3.org/TR/trace-context/): each piece of work is a span of its own in its caller's trace.

The `traceparent` of the work at hand is a context variable of structlog's, so that it is on every
line of the log and in every event that is written. `tracestate` is not carried: it is free text of
the caller's, and events are kept.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from domain.shared.system import IdFactory
from outbox import Event

# Version ff and ids of zeros are invalid; version 00 ends after the flags, a later one may go on.
_TRACEPARENT = re.compile(
    "(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    "-(?P<flags>[0-9a-f]{2})(?P<more>-[^,]*)?"
)
_SAMPLED = 0x01  # the one flag of version 00; the others are sent on as zero


def continued(given: str | None, ids: IdFactory) -> str:
    """The context of a new span: in the given trace, or where there is no valid one, in a new trace.

    A UUIDv7's last eight bytes are random but for two set bits, so they are never zero.
    """
    new = ids.event_id().hex
    found = _TRACEPARENT.fullmatch(given) if given else None
    if found is None or (found["version"] == "00" and found["more"] is not None):
        return f"00-{new}-{new[16:]}-01"
    return f"00-{found['trace']}-{new[16:]}-{int(found['flags'], 16) & _SAMPLED:02x}"


def trace_fields(traceparent: str) -> dict[str, str]:
    """What the log's lines say of it; the trace's id by itself is what people search for."""
    return {"traceparent": traceparent, "trace_id": traceparent[3:35]}


def current_traceparent() -> str | None:
    """The context of the work under way."""
    value = structlog.contextvars.get_contextvars().get("traceparent")
    return str(value) if value else None


class EventSpans:
    """For each event of a batch the context of our work on it, made when it is first asked for."""

    def __init__(self, events: Sequence[Event], ids: IdFactory) -> None:
        self._given = {event.id: event.headers.get("traceparent") for event in events}
        self._ids = ids
        self._made: dict[UUID, str] = {}

    def of(self, event_id: UUID) -> str:
        if event_id not in self._made:
            self._made[event_id] = continued(self._given.get(event_id), self._ids)
        return self._made[event_id]

    @contextmanager
    def work_on(self, event_id: UUID) -> Iterator[None]:
        """Log lines and new events inside belong to this event and its trace, not to the batch around it."""
        # structlog's own sign for a variable that is not bound.
        unbound: dict[str, Any] = {"batch": ...}
        with bound_contextvars(event_id=str(event_id), **trace_fields(self.of(event_id)), **unbound):
            yield


@contextmanager
def work_on_batch(events: Sequence[Event]) -> Iterator[None]:
    """Log lines inside name the events and their traces; a batch is of many, so it continues none."""
    batch = [{"event_id": str(event.id), "traceparent": event.headers.get("traceparent")} for event in events]
    with bound_contextvars(batch=batch):
        yield


def in_new_traces(work: Callable[[], Awaitable[object]], ids: IdFactory) -> Callable[[], Awaitable[object]]:
    """The same work, each run of it in a trace of its own: nobody asked for it, but what it writes has a cause."""

    async def traced() -> object:
        with bound_contextvars(**trace_fields(continued(None, ids))):
            return await work()

    return traced
