"""What the relay needs of a broker."""

from collections.abc import Sequence
from typing import Protocol

from outbox.event import Event


class PublishFailed(Exception):
    """The broker did not take the page, or not all of it, or did not say."""


class Publisher(Protocol):
    """Hands events to a broker. `name` owns a cursor of its own in the log: keep it for good."""

    @property
    def name(self) -> str: ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once the broker has accepted all of them, in order within each stream.

        Raises PublishFailed otherwise; some may have been accepted then, and all come again.
        """

    async def marker(self) -> str | None:
        """A value kept in the broker, made when it is not there, lost whenever the broker loses its memory.

        None where the broker cannot lose accepted messages or cannot hold such a value.
        Raises PublishFailed when the broker cannot be asked.
        """

    async def delay_seconds(self) -> float:
        """How long the oldest message has been waiting in the broker; 0 when empty or not known.

        Raises PublishFailed when the broker cannot be asked.
        """
