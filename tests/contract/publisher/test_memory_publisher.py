"""The in-memory publisher passes the contract of publishers."""

import pytest

from outbox.testing.memory import InMemoryBroker
from outbox.testing.publisher_contract import BrokerUnderTest, PublisherContract


class TestMemoryPublisher(PublisherContract):
    @pytest.fixture
    def broker(self) -> BrokerUnderTest:
        return InMemoryBroker()
