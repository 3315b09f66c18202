"""The official SDK pointed at the sandbox, and a receiver of its webhooks."""

from collections.abc import AsyncIterator, Iterator

import pytest
import stripe

from tests.integration.sandbox.receiver import Receiver
from tests.support.sandbox import SandboxGateway

RETURN_URL = "https://shop.example/return"


@pytest.fixture(scope="session")
def http_client() -> Iterator[stripe.HTTPXClient]:
    client = stripe.HTTPXClient(allow_sync_methods=True, timeout=20)
    yield client
    client.close()  # type: ignore[no-untyped-call]  # The package has no type here.


@pytest.fixture
def client(sandbox: SandboxGateway, http_client: stripe.HTTPXClient) -> stripe.StripeClient:
    """The first account's; it repeats nothing by itself."""
    return make_client(sandbox.url, http_client)


@pytest.fixture
def second(sandbox: SandboxGateway, http_client: stripe.HTTPXClient) -> stripe.StripeClient:
    """Another account's."""
    return make_client(sandbox.url, http_client, "sk_test_payonce_2")


def make_client(
    url: str, http_client: stripe.HTTPClient, key: str = SandboxGateway.secret_key
) -> stripe.StripeClient:
    return stripe.StripeClient(
        key, base_addresses={"api": url}, http_client=http_client, max_network_retries=0
    )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as started:
        yield started
