"""What each answer of Stripe's, and each lack of one, becomes."""

import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.stripe.gateway import STRIPE_VERSION, StripeGateway
from domain.payments.gateway import (
    GatewayFailed,
    GatewayMethod,
    GatewayNotSent,
    GatewayRefused,
    GatewayRequest,
    GatewayUnknown,
    GatewayUnreadable,
    IntentSnapshot,
    IntentStatus,
)
from tests.contract.gateway.scripted_server import ScriptedServer, Silence, scripted_server
from tests.unit.stripe.objects import INTENT, REFUND

KEY = "sk_test_secret"
CONFIRM = GatewayRequest("/v1/payment_intents/pi_1/confirm", {"return_url": "https://shop.test"})
CREATE = GatewayRequest("/v1/payment_intents", {"amount": 1099, "currency": "usd"})
REFUND_REQUEST = GatewayRequest("/v1/refunds", {"payment_intent": "pi_1", "amount": 1})
SINCE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DECLINED = {
    **INTENT,
    "status": "requires_payment_method",
    "latest_charge": "ch_2",
    "last_payment_error": {"type": "card_error", "code": "card_declined", "message": "No.", "charge": "ch_2"},
}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def gateway(server: ScriptedServer) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(api_key=KEY, api_base=server.url, timeout_seconds=10, lookup_retries=0)
    yield gateway
    await gateway.aclose()


def error(type_: str = "invalid_request_error", **fields: Any) -> dict[str, Any]:
    return {"error": {"type": type_, "message": "It cannot be.", **fields}}


async def test_the_proxy_of_the_environment_is_used(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url.replace("//", "//ada:p%40ss@"))
    monkeypatch.setenv("no_proxy", "direct.test")
    server.answers = [(403, {})]
    for host in ("gateway.test", "direct.test"):
        gateway = StripeGateway(api_key=KEY, api_base=f"https://{host}", timeout_seconds=10, lookup_retries=0)
        with pytest.raises(GatewayFailed):
            await gateway.get_intent("pi_1")
        await gateway.aclose()
    [asked] = server.requests
    assert (asked.method, asked.headers["host"]) == ("CONNECT", "gateway.test")
    assert asked.headers["proxy-authorization"] == f"Basic {b64encode(b'ada:p@ss').decode()}"
    assert "authorization" not in asked.headers  # our key is for the gateway alone


async def failure(gateway: StripeGateway, request: GatewayRequest = CONFIRM) -> GatewayFailed:
    with pytest.raises(GatewayFailed) as failed:
        await gateway.execute(request, "key-1")
    assert KEY not in str(failed.value)
    return failed.value


async def test_a_request_is_sent_as_it_was_prepared(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(200, INTENT)]
    params = {"amount": 5, "metadata": {"paymentId": "pay_1"}, "expand": ["latest_charge"], "confirm": False}
    await gateway.execute(GatewayRequest("/v1/payment_intents", params), "key-1")
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/v1/payment_intents")
    assert request.headers["idempotency-key"] == "key-1"
    assert request.headers["stripe-version"] == STRIPE_VERSION
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.fields == {
        "amount": "5",
        "metadata[paymentId]": "pay_1",
        "expand[0]": "latest_charge",
        "confirm": "false",
    }


@pytest.mark.parametrize(
    "status", [302, 307, 408, 409, 418, 424, 425, 429, 451, 499, 500, 502, 503, 504, 599]
)
async def test_these_answers_prove_nothing(
    server: ScriptedServer, gateway: StripeGateway, status: int
) -> None:
    server.answers = [(status, error("api_error"))]
    assert isinstance(await failure(gateway), GatewayUnknown)
    assert len(server.requests) == 1, "a call that moves money is not repeated by the adapter"


async def test_a_key_with_another_request_proves_nothing(
    server: ScriptedServer, gateway: StripeGateway
) -> None:
    server.answers = [(400, error("idempotency_error"))]
    assert isinstance(await failure(gateway), GatewayUnknown)


async def test_an_old_rate_limit_proves_nothing(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(400, error(code="rate_limit"))]
    assert isinstance(await failure(gateway), GatewayUnknown)


async def test_a_redirect_is_not_followed(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.headers["Location"] = f"{server.url}/v1/payment_intents/pi_1"
    server.answers = [(302, b""), (200, INTENT)]
    assert isinstance(await failure(gateway), GatewayUnknown)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
async def test_these_answers_prove_that_nothing_was_done(
    server: ScriptedServer, gateway: StripeGateway, status: int
) -> None:
    server.answers = [(status, error(code="amount_too_small", param="amount"))]
    refused = await failure(gateway)
    assert isinstance(refused, GatewayRefused)
    assert (refused.code, refused.message, refused.param) == ("amount_too_small", "It cannot be.", "amount")


async def test_a_refusal_without_a_code_has_its_type(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(400, {"error": {"type": "invalid_request_error"}})]
    refused = await failure(gateway)
    assert isinstance(refused, GatewayRefused)
    assert (refused.code, refused.param) == ("invalid_request_error", None)


async def test_a_message_never_contains_the_key(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(401, error(message=f"Invalid API Key provided: {KEY}"))]
    refused = await failure(gateway)
    assert isinstance(refused, GatewayRefused)
    assert refused.message == "Invalid API Key provided: ***"


@pytest.mark.parametrize("silence", [Silence.CLOSE, Silence.BREAK_OFF])
async def test_a_lost_connection_proves_nothing(
    server: ScriptedServer, gateway: StripeGateway, silence: Silence
) -> None:
    server.answers = [silence]
    assert isinstance(await failure(gateway), GatewayUnknown)
    assert len(server.requests) == 1


async def test_no_answer_in_time_proves_nothing(server: ScriptedServer) -> None:
    server.answers = [Silence.HANG]
    gateway = StripeGateway(api_key=KEY, api_base=server.url, timeout_seconds=0.2)
    assert isinstance(await failure(gateway), GatewayUnknown)
    with pytest.raises(GatewayUnknown):
        await gateway.get_intent("pi_1")
    await gateway.aclose()


async def test_a_gateway_that_is_down_was_sent_nothing() -> None:
    async with scripted_server() as server:
        url = server.url
    gateway = StripeGateway(api_key=KEY, api_base=url, timeout_seconds=10)
    assert isinstance(await failure(gateway), GatewayNotSent)
    await gateway.aclose()


async def test_what_was_sent_is_never_said_not_to_have_been(
    server: ScriptedServer, gateway: StripeGateway
) -> None:
    for silence in (Silence.CLOSE, Silence.BREAK_OFF):
        server.answers = [silence]
        assert not isinstance(await failure(gateway), GatewayNotSent)


@pytest.mark.parametrize(
    ("answer", "outage"),
    [
        ((409, error("api_error")), False),
        ((400, error("idempotency_error")), False),
        ((429, error(code="rate_limit")), True),
        ((500, error("api_error")), True),
        ((200, b"<html>"), True),
        (Silence.CLOSE, True),
    ],
)
async def test_a_key_in_flight_speaks_of_no_outage(
    server: ScriptedServer, gateway: StripeGateway, answer: Any, outage: bool
) -> None:
    server.answers = [answer]
    unknown = await failure(gateway)
    assert isinstance(unknown, GatewayUnknown)
    assert unknown.outage is outage


async def test_the_probe_moves_nothing(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(200, {"object": "list", "data": [], "has_more": False})]
    await gateway.check()
    [request] = server.requests
    assert (request.method, request.path) == ("GET", "/v1/payment_intents")


@pytest.mark.parametrize("status", [200, 400, 402, 403, 404, 500])
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"<html>A proxy in between</html>",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"error": null}',
        b'{"error": []}',
        b'{"error": "invalid_grant"}',
        b'{"error": "no"}',
        b'{"error": 7}',
    ],
)
async def test_garbage_proves_nothing(
    server: ScriptedServer, gateway: StripeGateway, status: int, garbage: bytes
) -> None:
    server.answers = [(status, garbage)]
    failed = await failure(gateway)
    assert isinstance(failed, GatewayUnknown)
    assert "proxy" not in str(failed)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (CREATE, REFUND),
        (CREATE, {**INTENT, "status": "requires_patience"}),
        (REFUND_REQUEST, INTENT),
        (REFUND_REQUEST, {**REFUND, "status": "maybe"}),
    ],
)
async def test_an_answer_that_is_not_understood_is_not_guessed(
    server: ScriptedServer, gateway: StripeGateway, request_: GatewayRequest, answer: dict[str, Any]
) -> None:
    server.answers = [(200, answer)]
    unreadable = await failure(gateway, request_)
    assert isinstance(unreadable, GatewayUnreadable)
    assert not unreadable.outage, "the gateway works"


async def test_a_decline_is_the_intent_in_the_error(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(402, error("card_error", code="card_declined", payment_intent=DECLINED))]
    snapshot = await gateway.execute(CONFIRM, "key-1")
    assert isinstance(snapshot, IntentSnapshot)
    assert snapshot.status is IntentStatus.REQUIRES_PAYMENT_METHOD
    assert snapshot.failed_charge_id == "ch_2"


async def test_a_decline_without_its_intent_is_looked_up(
    server: ScriptedServer, gateway: StripeGateway
) -> None:
    server.answers = [(402, error("card_error", code="card_declined")), (200, DECLINED)]
    snapshot = await gateway.execute(CONFIRM, "key-1")
    assert isinstance(snapshot, IntentSnapshot)
    assert snapshot.failed_charge_id == "ch_2"
    looked_up = server.requests[1]
    assert (looked_up.method, looked_up.path) == ("GET", "/v1/payment_intents/pi_1")
    assert looked_up.fields == {"expand[0]": "latest_charge"}


async def test_a_decline_whose_intent_cannot_be_looked_up_proves_nothing(
    server: ScriptedServer, gateway: StripeGateway
) -> None:
    server.answers = [(402, error("card_error", code="card_declined")), (500, error("api_error"))]
    assert isinstance(await failure(gateway), GatewayUnknown)


@pytest.mark.parametrize("request_", [CREATE, REFUND_REQUEST])
async def test_a_402_that_is_no_decline_is_a_refusal(
    server: ScriptedServer, gateway: StripeGateway, request_: GatewayRequest
) -> None:
    server.answers = [(402, error("card_error", code="card_declined"))]
    refused = await failure(gateway, request_)
    assert isinstance(refused, GatewayRefused)
    assert refused.code == "card_declined"


async def test_a_402_to_a_look_up_is_a_refusal(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [(402, error("card_error", code="card_declined"))]
    with pytest.raises(GatewayRefused):
        await gateway.create_customer("u_1", None, "key-1")


async def test_look_ups_are_repeated_at_once(server: ScriptedServer) -> None:
    server.answers = [Silence.CLOSE, (200, INTENT)]
    gateway = StripeGateway(api_key=KEY, api_base=server.url, timeout_seconds=10)
    assert (await gateway.get_intent("pi_1")).intent_id == "pi_1"
    assert len(server.requests) == 2
    await gateway.aclose()


def page(*objects: dict[str, Any], more: bool = False) -> tuple[int, dict[str, Any]]:
    return 200, {"object": "list", "data": list(objects), "has_more": more}


async def test_an_intent_is_sought_on_every_page(server: ScriptedServer, gateway: StripeGateway) -> None:
    strange = {"id": "pi_9", "metadata": {"paymentId": 7}}
    other = {**INTENT, "id": "pi_8", "metadata": {}}
    server.answers = [page(strange, other, more=True), page({**INTENT, "id": "pi_7"}), (200, INTENT)]
    found = await gateway.find_intent("pay_1", created_after=SINCE)
    assert found is not None
    first, second, fetched = server.requests
    since = str(int(SINCE.timestamp()) - 300)
    assert first.fields == {"created[gte]": since, "limit": "100"}
    assert second.fields == {"created[gte]": since, "limit": "100", "starting_after": "pi_8"}
    assert fetched.path == "/v1/payment_intents/pi_7"


async def test_a_refund_is_sought_on_every_page(server: ScriptedServer, gateway: StripeGateway) -> None:
    server.answers = [page({**REFUND, "id": "re_9", "metadata": {}}, more=True), page(REFUND)]
    found = await gateway.find_refund("pi_1", "ref_1")
    assert found is not None
    assert found.gateway_refund_id == "re_1"
    assert server.requests[1].fields == {"payment_intent": "pi_1", "limit": "100", "starting_after": "re_9"}


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}),
        (200, {"data": {}, "has_more": False}),
        (200, {"data": []}),
        (200, {"data": [7], "has_more": False}),
        page(more=True),
        (500, error("api_error")),
    ],
)
async def test_a_list_that_breaks_off_does_not_say_that_there_is_nothing(
    server: ScriptedServer, gateway: StripeGateway, answer: tuple[int, Any]
) -> None:
    server.answers = [page({**INTENT, "metadata": {}}, more=True), answer]
    with pytest.raises(GatewayUnknown):
        await gateway.find_intent("pay_1", created_after=SINCE)
    server.answers = [answer]
    with pytest.raises(GatewayUnknown):
        await gateway.find_refund("pi_1", "ref_1")


async def test_a_method_that_stripe_does_not_know_is_none(
    server: ScriptedServer, gateway: StripeGateway
) -> None:
    server.answers = [(404, error(code="resource_missing"))]
    assert await gateway.find_method("pm_1") is None
    server.answers = [(401, error(code="api_key_expired"))]
    with pytest.raises(GatewayRefused):
        await gateway.find_method("pm_1")
    server.answers = [(200, {"id": "pm_1", "object": "payment_method", "customer": {"id": "cus_1"}})]
    assert await gateway.find_method("pm_1") == GatewayMethod("pm_1", "cus_1")
    server.answers = [(200, {"id": "pm_1", "object": "payment_method", "customer": 7})]
    with pytest.raises(GatewayUnknown):
        await gateway.find_method("pm_1")


@pytest.mark.parametrize("token", ["", "..", "pm_1/detach", "pm_1?x=1", "pm 1", "p" * 256])
async def test_a_token_never_becomes_another_path(
    server: ScriptedServer, gateway: StripeGateway, token: str
) -> None:
    assert await gateway.find_method(token) is None
    assert server.requests == []


@pytest.mark.parametrize("answer", [{"object": "list"}, {"object": "customer"}])
async def test_an_answer_that_is_no_customer_is_not_guessed(
    server: ScriptedServer, gateway: StripeGateway, answer: dict[str, Any]
) -> None:
    server.answers = [(200, answer)]
    with pytest.raises(GatewayUnknown):
        await gateway.create_customer("u_1", None, "key-1")


async def test_the_package_logs_no_request_and_no_answer(
    server: ScriptedServer, gateway: StripeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers = [(200, INTENT)]
    request = GatewayRequest("/v1/payment_intents", {"shipping": {"name": "Jenny Rosen"}})
    await gateway.execute(request, "key-1")
    assert "Jenny" not in caplog.text
    assert "pi_1_secret_x" not in caplog.text
    assert KEY not in caplog.text
