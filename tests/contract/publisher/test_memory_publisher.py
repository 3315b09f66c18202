"""The in-memory publisher passes the contract of publishers."""

from collections.abc import Sequence

import pytest

from outbox import Event
from outbox.testing.memory import InMemoryPublisher
from outbox.testing.publisher_contract import BrokerUnderTest, PublisherContract


class Memory:
    def __init__(self) -> None:
        self.memory = InMemoryPublisher()
        self.publisher = self.memory

    async def received(self) -> Sequence[Event]:
        return self.memory.events

    async def forget(self) -> None:
        self.memory.forget()

    async def go_away(self) -> None:
        self.memory.accept = 0


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    def broker(self) -> BrokerUnderTest:
        return Memory()
