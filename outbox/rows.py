"""Events as rows and back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from outbox.event import Event


def arrays_of(events: Sequence[Event]) -> dict[str, list[Any]]:
    """The events as parallel arrays, for unnest()."""
    return {
        "ids": [event.id for event in events],
        "topics": [event.topic for event in events],
        "streams": [event.stream for event in events],
        "sequences": [event.sequence for event in events],
        "types": [event.type for event in events],
        "payloads": [event.payload.decode() for event in events],
        "headers": [json.dumps(dict(event.headers)) for event in events],
    }


def event_of(row: Mapping[Any, Any]) -> Event:
    """The event in a row whose payload and headers were selected as text."""
    return Event(
        row["id"],
        row["topic"],
        row["stream"],
        row["sequence"],
        row["type"],
        row["payload"].encode(),
        json.loads(row["headers"]),
    )
