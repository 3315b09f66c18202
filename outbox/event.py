"""One fact in the log, and the few names that identify it."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that somebody committed.

    `stream` names what the fact is about; events of one stream keep their order.
    `sequence` counts 1, 2, 3 … without gaps within the stream, given by the writer under
    a lock of its own; None marks a stream without order. `payload` is a JSON document:
    it is stored as jsonb, so its white space and the order of its keys may change on the way.
    """

    id: UUID
    topic: str
    stream: str
    sequence: int | None
    type: str
    payload: bytes
    headers: Mapping[str, str]

    @property
    def key(self) -> "EventKey":
        return EventKey(self.id, self.stream, self.sequence)


@dataclass(frozen=True, slots=True)
class EventKey:
    """What two sides need to know of an event to compare who has it."""

    id: UUID
    stream: str
    sequence: int | None


def lane_of(stream: str, lanes: int) -> int:
    """The lane of a stream: the same on every machine and in every version, since rows carry it."""
    return zlib.crc32(stream.encode()) % lanes
