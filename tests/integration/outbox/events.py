"""Events for tests: small, numbered, with ids that can be told apart."""

import json
from collections.abc import Sequence
from uuid import uuid4

from outbox import Event


def event(stream: str, sequence: int | None, *, topic: str = "facts", **data: object) -> Event:
    return Event(
        id=uuid4(),
        topic=topic,
        stream=stream,
        sequence=sequence,
        type="Happened",
        payload=json.dumps({"n": sequence, **data}).encode(),
        headers={"traceparent": "00-1"},
    )


def stream_of(name: str, count: int, *, first: int = 1) -> list[Event]:
    return [event(name, first + i) for i in range(count)]


def numbers(events: Sequence[Event], stream: str) -> list[int | None]:
    return [e.sequence for e in events if e.stream == stream]
