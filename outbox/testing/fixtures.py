"""Fixtures for tests of programs that use this package: `pytest_plugins = ["outbox.testing.fixtures"]`."""

import pytest

# Its failures then show what was compared, as those of the test modules themselves do.
pytest.register_assert_rewrite("outbox.testing.publisher_contract")

from outbox.testing.memory import InMemoryBroker, InMemoryPublisher  # noqa: E402


@pytest.fixture
def memory_publisher() -> InMemoryPublisher:
    """A publisher that keeps what it accepts, for tests of relays and of what is appended."""
    return InMemoryPublisher()


@pytest.fixture
def memory_broker() -> InMemoryBroker:
    """The same as `PublisherContract` wants a broker to be."""
    return InMemoryBroker()
