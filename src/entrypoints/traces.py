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

_IDS_AND_FLAGS = "(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
# Version 00 ends after the flags, a later one may go on; ff is none.
_TRACEPARENT = re.compile(f"00-{_IDS_AND_FLAGS}|(?!00|ff)[0-9a-f]{{2}}-{_IDS_AND_FLAGS}(-[^,]*)?")
_TRACE, _FLAGS = slice(3, 35), slice(53, 55)
_SAMPLED = 0x01  # the one flag of version 00; the others are sent on as zero


def new_span(ids: IdFactory) -> str:
    """A UUIDv7's last eight bytes are random but for two set bits, so they are never zero."""
    return ids.event_id().hex[16:]


def continued(given: str | None, ids: IdFactory, span: str | None = None) -> str:
    """The context of a new span (or this one): in the given trace, or where there is no valid one, in a new trace."""
    if given is None or _TRACEPARENT.fullmatch(given) is None:
        return f"00-{ids.event_id().hex}-{span or new_span(ids)}-01"
    sampled = int(given[_FLAGS], 16) & _SAMPLED
    return f"00-{given[_TRACE]}-{span or new_span(ids)}-{sampled:02x}"


def trace_fields(traceparent: str) -> dict[str, str]:
    """What the log's lines say of it; the trace's id by itself is what people search for."""
    return {"traceparent": traceparent, "trace_id": traceparent[_TRACE]}


def current_traceparent() -> str | None:
    """The context of the work under way."""
    value = structlog.contextvars.get_contextvars().get("traceparent")
    return str(value) if value else None


class EventSpans:
    """Our work on a batch: one span, in the trace of each of its events."""

    def __init__(self, events: Sequence[Event], ids: IdFactory) -> None:
        self._given = {event.id: event.headers.get("traceparent") for event in events}
        self._ids = ids
        self._span = new_span(ids)
        self._made: dict[UUID, str] = {}

    def of(self, event_id: UUID) -> str:
        """The context in this event's trace."""
        if event_id not in self._made:
            self._made[event_id] = continued(self._given.get(event_id), self._ids, self._span)
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
