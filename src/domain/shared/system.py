"""The system ports: time and identity come from outside, so that a test can set them."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, in UTC with its zone."""
        ...


class IdFactory(Protocol):
    def new(self, prefix: str) -> str:
        """A new id, `prefix` + `_` + 26 characters that sort by the time of their making."""
        ...

    def event_id(self) -> UUID:
        """A new UUID version 7 (RFC 9562), for an event."""
        ...
