"""What every sender of webhooks does with what an endpoint answers."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.system.randomness import new_signing_secret
from domain.orders.webhooks.delivery import SendResult
from domain.orders.webhooks.errors import EndpointUrlRefused
from domain.orders.webhooks.ports import Message
from tests.contract.webhook_sender.conftest import Bench
from tests.support.webhook_receiver import HANG, RESET, Say

SECRET = new_signing_secret()


async def send(bench: Bench, say: Say | None = None, url: str | None = None) -> SendResult:
    if say is not None:
        bench.endpoint.answers = [say]
    message = Message(
        url=url or bench.url, webhook_id="e1", sent_at=datetime.now(UTC), body=b"{}", secrets=[SECRET]
    )
    return await bench.sender.send(message)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_accepted(bench: Bench, status: int) -> None:
    result = await send(bench, Say(status))
    assert (result.status, result.is_accepted, result.error) == (status, True, None)
    assert bench.ids() == ["e1"]


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
async def test_other_answers_are_told(bench: Bench, status: int) -> None:
    result = await send(bench, Say(status, body=b"not today"))
    assert (result.status, result.is_accepted, result.answer) == (status, False, "not today")
    assert result.is_gone == (status == 410)
    assert result.retry_after is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(bench: Bench, status: int) -> None:
    result = await send(bench, Say(status, {"Location": "http://169.254.169.254/latest/meta-data/"}))
    assert (result.status, result.is_accepted) == (status, False)
    assert result.error == "a redirect, which is not followed"
    assert bench.ids() == ["e1"]


@pytest.mark.parametrize("how", [HANG, RESET])
async def test_no_answer_is_a_result_too(bench: Bench, how: str) -> None:
    result = await send(bench, Say(how))
    assert (result.status, result.is_accepted) == (None, False)
    assert result.error
    assert (await send(bench, Say(200))).is_accepted


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after(bench: Bench, status: int) -> None:
    result = await send(bench, Say(status, {"Retry-After": "120"}))
    assert result.retry_after == timedelta(seconds=120)
    assert (await send(bench, Say(500, {"Retry-After": "120"}))).retry_after is None


async def test_a_kilobyte_of_the_answer_is_kept(bench: Bench) -> None:
    assert (await send(bench, Say(500, body=b"x" * 5000))).answer == "x" * 1024


async def test_an_address_is_checked(bench: Bench) -> None:
    await bench.sender.check(bench.url)
    with pytest.raises(EndpointUrlRefused) as refused:
        await bench.sender.check("http://10.0.0.1/")
    assert refused.value.pointer == "/url"
