"""The real sender against real servers: what is on the wire, and what is never connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks import Webhook

from adapters.standard_webhooks.addresses import AddressPolicy
from adapters.standard_webhooks.sender import AiohttpWebhookSender
from adapters.system.randomness import new_signing_secret
from domain.orders.webhooks.delivery import SendResult
from domain.orders.webhooks.errors import EndpointUrlRefused
from domain.orders.webhooks.ports import Message
from tests.support.webhook_receiver import Say, WebhookReceiver, webhook_receiver

LOOPBACK = ipaddress.ip_network("127.0.0.1/32")
OPEN = AddressPolicy(allowed=[LOOPBACK], allow_http=True)
PUBLIC_ONLY = AddressPolicy(allow_http=True)
SECRETS = [new_signing_secret(), new_signing_secret()]
BODY = '{"type": "PaymentSucceeded", "data": {"name": "Gödel"}}'.encode()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as receiver:
        yield receiver


async def send(sender: AiohttpWebhookSender, url: str) -> SendResult:
    message = Message(url=url, webhook_id="e1", sent_at=datetime.now(UTC), body=BODY, secrets=SECRETS)
    try:
        return await sender.send(message)
    finally:
        await sender.aclose()


def port_of(receiver: WebhookReceiver) -> str:
    return receiver.url.rpartition(":")[2].partition("/")[0]


async def test_the_message_on_the_wire_is_what_the_library_verifies(receiver: WebhookReceiver) -> None:
    assert (await send(AiohttpWebhookSender(OPEN), receiver.url)).status == 200
    (received,) = receiver.received
    for secret in SECRETS:
        assert Webhook(secret).verify(received.body, dict(received.headers))["type"] == "PaymentSucceeded"
    assert received.body == BODY
    assert received.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert received.headers["user-agent"].startswith("Payonce-Webhooks/")
    assert "authorization" not in received.headers


async def test_no_secret_of_an_answer_is_kept(receiver: WebhookReceiver) -> None:
    echo = f"{SECRETS[0]} v1,{'A' * 43}= whsec_{'B' * 32} \x00\x1b[31mred"
    receiver.answers = [Say(500, body=echo.encode())]
    answer = (await send(AiohttpWebhookSender(OPEN), receiver.url)).answer
    assert answer == "*** *** ***   [31mred"


async def test_retry_after_may_be_a_date(receiver: WebhookReceiver) -> None:
    for given, wanted in (
        (format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True), True),
        (format_datetime(datetime.now(UTC) - timedelta(minutes=5), usegmt=True), False),
        ("soon", False),
        ("-5", False),
        ("9" * 30, True),
    ):
        receiver.answers = [Say(503, {"Retry-After": given})]
        asked = (await send(AiohttpWebhookSender(OPEN), receiver.url)).retry_after
        assert (asked is not None) == wanted, given
        assert asked is None or asked > timedelta(minutes=4)


async def test_an_answer_without_an_end_ends_with_the_time() -> None:
    gave_up = asyncio.Event()

    async def begin_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        while await reader.read(1000):
            pass  # until the sender hangs up
        writer.close()
        await writer.wait_closed()
        gave_up.set()

    server = await asyncio.start_server(begin_only, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    result = await send(AiohttpWebhookSender(OPEN, seconds=0.3), url)
    assert (result.status, result.error) == (None, "no answer within 0.3 s")
    await gave_up.wait()
    server.close()


async def test_what_is_no_http_is_a_failed_attempt() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    result = await send(AiohttpWebhookSender(OPEN), f"http://127.0.0.1:{port}/")
    assert (result.status, bool(result.error)) == (None, True)
    server.close()
    await server.wait_closed()
    refused = await send(AiohttpWebhookSender(OPEN), f"http://127.0.0.1:{port}/")
    assert "ClientConnectorError" in str(refused.error)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "localhost.", "[::ffff:127.0.0.1]", "2130706433", "127.1"]
)
async def test_nothing_is_sent_to_what_is_not_public(receiver: WebhookReceiver, host: str) -> None:
    url = f"http://{host}:{port_of(receiver)}/hook"
    sender = AiohttpWebhookSender(PUBLIC_ONLY)
    with pytest.raises(EndpointUrlRefused):
        await sender.check(url)
    assert (await send(sender, url)).status is None
    assert receiver.received == []


async def test_a_name_that_changes_its_address_gains_nothing(receiver: WebhookReceiver) -> None:
    """Public when it is registered, ours when it is sent to; and of what was judged, nothing else is connected to."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    url = f"http://rebind.example:{port_of(receiver)}/hook"
    sender = AiohttpWebhookSender(PUBLIC_ONLY, look_up=rebinding)
    await sender.check(url)
    result = await send(sender, url)
    assert (result.status, result.error) == (None, "nothing is sent there: 127.0.0.1 is not a public address")
    assert (receiver.received, answers) == ([], [])


async def test_the_connection_goes_to_the_address_that_was_judged(receiver: WebhookReceiver) -> None:
    asked: list[str] = []

    async def once(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    url = f"http://no-such-name.invalid:{port_of(receiver)}/hook"
    assert (await send(AiohttpWebhookSender(OPEN, look_up=once), url)).status == 200
    assert asked == ["no-such-name.invalid"]
    assert receiver.received[0].headers["host"] == f"no-such-name.invalid:{port_of(receiver)}"


async def test_a_name_without_an_address_is_told() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    sender = AiohttpWebhookSender(OPEN, look_up=unknown)
    with pytest.raises(EndpointUrlRefused, match="does not resolve"):
        await sender.check("https://nowhere.example/")
    assert (await send(sender, "https://nowhere.example/")).status is None
