"""The order side over a real database, its worker's loop, and somebody's real endpoint."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from adapters.standard_webhooks.addresses import AddressPolicy, Networks
from adapters.standard_webhooks.sender import AiohttpWebhookSender
from domain.orders.use_cases.deliver_webhooks import Claimed, Delivered, DeliverWebhooksHandler
from domain.orders.use_cases.manage_endpoints import RegisterEndpoint
from domain.orders.webhooks.delivery import Delivery
from domain.orders.webhooks.endpoint import WebhookEndpoint
from entrypoints.bootstrap import Container, build_container
from entrypoints.composition.outside import Outside
from entrypoints.settings import Secret, Settings
from entrypoints.worker.deliveries import DeliveryLoop
from tests.support.house import OPERATOR
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

LOOPBACK = "127.0.0.0/8"


class Shop:
    """What the tests do with the order side."""

    def __init__(self, container: Container, noted: asyncio.Condition) -> None:
        self.container = container
        self.webhooks = container.orders.webhooks
        self._noted = noted

    async def register(self, url: str, *types: str) -> WebhookEndpoint:
        return await self.webhooks.endpoints.register(
            RegisterEndpoint(
                caller=OPERATOR,
                request_id=self.container.ids.request_id(),
                url=url,
                event_types=types or ("*",),
                description=None,
            )
        )

    async def deliveries(self, endpoint: WebhookEndpoint) -> list[Delivery]:
        """Oldest first."""
        found = await self.webhooks.deliveries.list(endpoint.endpoint_id, status=None, after=None, limit=1000)
        return list(reversed(found))

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """The worker's loop runs."""
        stop = asyncio.Event()
        watched = _Watched(self.webhooks.deliver, self._noted)
        loop = asyncio.create_task(DeliveryLoop(watched, poll_seconds=0.02).run(stop))
        yield
        stop.set()
        await loop

    async def until(
        self, endpoint: WebhookEndpoint, wanted: Callable[[list[Delivery]], bool]
    ) -> list[Delivery]:
        """Wait for what the database says of an endpoint's deliveries. Raises TimeoutError."""
        async with asyncio.timeout(20), self._noted:
            while not wanted(found := await self.deliveries(endpoint)):
                await self._noted.wait()
        return found


@dataclass
class _Watched:
    """The use case, which tells the tests when it has noted an outcome."""

    deliver_webhooks: DeliverWebhooksHandler
    noted: asyncio.Condition

    async def claim(self, busy: Mapping[str, int], limit: int) -> Sequence[Claimed]:
        return await self.deliver_webhooks.claim(busy, limit)

    async def deliver(self, claimed: Claimed) -> Delivered:
        done = await self.deliver_webhooks.deliver(claimed)
        async with self.noted:
            self.noted.notify_all()
        return done


MakeShop = Callable[..., Shop]


@pytest.fixture
async def make_shop(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[MakeShop]:
    create_keys(tmp_path / "keys.json")
    create_data_keys(tmp_path / "data-keys.json")
    made: list[Container] = []
    senders: list[AiohttpWebhookSender] = []
    noted = asyncio.Condition()

    def make(*, seconds: float = 15, **changes: Any) -> Shop:
        values: dict[str, Any] = {
            "home": tmp_path,
            "database_url": Secret(database_url),
            "redis_url": Secret(valkey_url),
            "stripe_api_key": Secret("sk_test_payonce"),
            "stripe_webhook_secret": Secret("whsec_test"),
            "webhook_allow_private": Networks(LOOPBACK),
            "webhook_allow_http": True,
            **changes,
        }
        policy = AddressPolicy(allowed=[ipaddress.ip_network(LOOPBACK)], allow_http=True)
        sender = AiohttpWebhookSender(policy, seconds=seconds)
        senders.append(sender)
        made.append(build_container(Settings(**values), Outside(webhook_sender=sender)))
        return Shop(made[-1], noted)

    yield make
    for container in made:
        await container.stop()
    for sender in senders:
        await sender.aclose()


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    return make_shop()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as receiver:
        yield receiver
