"""The sender in memory, and the real one against a real server."""

import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from adapters.standard_webhooks.addresses import AddressPolicy
from adapters.standard_webhooks.sender import AiohttpWebhookSender
from domain.orders.webhooks.ports import WebhookSender
from tests.support.webhook_receiver import FakeSender, WebhookReceiver, webhook_receiver

OPEN = AddressPolicy(allowed=[ipaddress.ip_network("127.0.0.0/8")], allow_http=True)


@dataclass
class Bench:
    sender: WebhookSender
    endpoint: WebhookReceiver | FakeSender
    url: str

    def ids(self) -> list[str]:
        if isinstance(self.endpoint, FakeSender):
            return [message.webhook_id for message in self.endpoint.sent]
        return self.endpoint.ids()


@pytest.fixture(params=["fake", "aiohttp"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "fake":
        fake = FakeSender()
        yield Bench(fake, fake, "http://127.0.0.1/hook")
        return
    async with webhook_receiver() as receiver:
        sender = AiohttpWebhookSender(OPEN, seconds=0.3)
        yield Bench(sender, receiver, receiver.url)
        await sender.aclose()
