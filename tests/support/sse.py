"""A client of Server-Sent Events, by the parts of the standard that we use."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass
class EventStream:
    """Reads one response to its end; comments and `retry` are noted."""

    response: httpx.Response
    comments: int = 0
    retry: int | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """The id and the data of each event."""
        event_id, data = 0, ""
        async for line in self.response.aiter_lines():
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif name == "retry":
                self.retry = int(value)
            elif name == "id":
                event_id = int(value)
            elif name == "data":
                data += value
            elif not line and data:
                yield event_id, json.loads(data)
                data = ""
