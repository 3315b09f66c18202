"""Asks consumers what they have and publishes again what is missing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from outbox.event import EventKey
from outbox.log import Outbox
from outbox.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Comparison:
    """A consumer's answer."""

    missing: frozenset[UUID]  # neither applied nor waiting
    applied: Mapping[str, int]  # per stream asked about, the last applied sequence; empty where unordered


class ConsumerView(Protocol):
    """A consumer as its producer sees it: in the same process, or an HTTP client."""

    @property
    def name(self) -> str: ...

    @property
    def topic(self) -> str: ...

    async def compare(self, events: Sequence[EventKey]) -> Comparison: ...

    async def park_forked(self, streams: Mapping[str, str]) -> None:
        """Park these streams as forked, each for its cause: the consumer is ahead of the producer."""


@dataclass(slots=True)
class Report:
    compared: int = 0
    missing: int = 0
    published: int = 0
    forked: int = 0


class AntiEntropy:
    def __init__(
        self, engine: AsyncEngine, outbox: Outbox, publisher: Publisher, consumers: Sequence[ConsumerView]
    ) -> None: ...

    async def run_once(self) -> Report:
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        raise NotImplementedError
