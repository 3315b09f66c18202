"""Batches of events as they travel in one message."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec

from outbox import Event

PUBLISHED_AT = "published-at"
"""The header with the time at which the message was made; the log, which is never changed, cannot know it."""

EVENTS_PER_MESSAGE = 200  # one transaction of the consumer; larger ones gain little and hold locks longer


class _WireEvent(msgspec.Struct, array_like=True):
    id: UUID
    topic: str
    stream: str
    sequence: int | None
    type: str
    payload: msgspec.Raw  # a JSON document of its own, passed on unread
    headers: dict[str, str]


class _WireBatch(msgspec.Struct):
    events: list[_WireEvent]
    version: int = 1
    published_at: str | None = None


class UnreadableBatch(Exception):
    """The message is not a batch that this version understands."""


def encode_batch(events: Sequence[Event], published_at: str | None = None) -> str:
    """`published_at` (RFC 3339) comes out with each event, as its header PUBLISHED_AT."""
    batch = _WireBatch(
        [
            _WireEvent(
                event.id,
                event.topic,
                event.stream,
                event.sequence,
                event.type,
                msgspec.Raw(event.payload),
                dict(event.headers),
            )
            for event in events
        ],
        published_at=published_at,
    )
    return msgspec.json.encode(batch).decode()


def decode_batch(data: str) -> list[Event]:
    """Raises UnreadableBatch for anything that encode_batch of this version does not write."""
    try:
        batch = msgspec.json.decode(data, type=_WireBatch)
    except msgspec.MsgspecError as error:
        raise UnreadableBatch(str(error)) from error
    if batch.version != 1:
        raise UnreadableBatch(f"version {batch.version}")
    besides = {PUBLISHED_AT: batch.published_at} if batch.published_at else {}
    return [
        Event(e.id, e.topic, e.stream, e.sequence, e.type, bytes(e.payload), e.headers | besides)
        for e in batch.events
    ]


def batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """The events in batches of at most EVENTS_PER_MESSAGE, each stream's together and in order.

    Batches are handled side by side, so a stream that is spread over several would
    only have its later events wait.
    """
    streams: dict[str, list[Event]] = {}
    for event in events:
        streams.setdefault(event.stream, []).append(event)
    batch: list[Event] = []
    for members in streams.values():
        if batch and len(batch) + len(members) > EVENTS_PER_MESSAGE:
            yield batch
            batch = []
        batch.extend(members)
        while len(batch) > EVENTS_PER_MESSAGE:
            yield batch[:EVENTS_PER_MESSAGE]
            batch = batch[EVENTS_PER_MESSAGE:]
    if batch:
        yield batch
