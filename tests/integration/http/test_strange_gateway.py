"""What a caller and an operator are told where the gateway answers garbage, slowly, or in words nobody knows."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from entrypoints.bootstrap import build_container
from entrypoints.http.app import create_app_of
from entrypoints.settings import AccountSettings
from tests.contract.gateway.scripted_server import ScriptedServer, Silence, scripted_server
from tests.integration.http.conftest import CUSTOMER, Api, MakeSettings
from tests.integration.http.test_problems import problem, stored_rows
from tests.unit.stripe.objects import INTENT, REFUND


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
async def api(make_settings: MakeSettings, server: ScriptedServer) -> AsyncIterator[Api]:
    own: dict[str, Any] = {"api_key": "sk_secret", "webhook_secret": "whsec", "api_base": server.url}
    own["timeout_seconds"] = 0.5
    settings = make_settings(gateways=(AccountSettings(name="stripe", kind="stripe", own=own),))
    container = build_container(settings)
    await container.start()
    api = Api(create_app_of(container), container)
    yield api
    await api.http.aclose()
    await container.stop()


OURS: dict[str, Any] = {"id": "pi_9", "amount": 2747, "currency": "eur"}
"""An intent as it would be for our order."""

STRANGE: list[tuple[Any, str | None]] = [
    ((200, {**INTENT, **OURS, "status": "requires_patience"}), "OPERATION_UNKNOWN"),
    ((200, {**INTENT, **OURS, "amount": "2747"}), "OPERATION_UNKNOWN"),
    ((200, REFUND), "OPERATION_UNKNOWN"),
    ((200, b"<html>Maintenance</html>"), None),
    ((200, b"\xff\xfe"), None),
    ((418, {"error": {"type": "teapot_error", "message": "Short and stout."}}), None),
    ((302, b""), None),
    ((599, {}), None),
    (Silence.CLOSE, None),
    (Silence.BREAK_OFF, None),
    (Silence.HANG, None),
]


@pytest.mark.parametrize(("answer", "attention"), STRANGE)
async def test_an_intent_whose_answer_says_nothing_is_unknown_and_no_state_is_guessed(
    api: Api, server: ScriptedServer, answer: Any, attention: str | None
) -> None:
    order = await api.order()
    server.answers = [answer]
    body = {"orderId": order["orderId"], "amount": 2747, "currency": "EUR"}
    made = await api.post("/v1/payments/intents", body, key="k")
    assert made.status_code == 201, made.text
    payment = made.json()
    assert (payment["operation"], payment["status"]) == ("UNKNOWN", "REQUIRES_PAYMENT_METHOD")
    assert (payment["gatewayPaymentIntentId"], payment["amountCaptured"]) == (None, 0)
    assert payment["attention"] == attention
    assert len(server.requests) == 1, "nothing is sent twice"
    assert (await api.get(f"/v1/payments/{payment['paymentId']}")).json()["attention"] == attention


@pytest.mark.parametrize("answer", [(200, b"<html>"), (500, {}), Silence.HANG, (200, {"object": "list"})])
async def test_where_nothing_was_begun_the_caller_is_told_to_come_again(
    api: Api, server: ScriptedServer, answer: Any
) -> None:
    order = await api.order(userId="u_1")
    before = await stored_rows(api)
    server.answers = [answer]
    body = {"orderId": order["orderId"], "amount": 2747, "currency": "EUR", "paymentMethodToken": "pm_1"}
    refused = await api.post("/v1/payments", body, key="k", scopes=CUSTOMER)
    problem(refused, 503, "gateway_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert "sk_secret" not in refused.text
    after = await stored_rows(api)
    keys = "payments.idempotency_key"
    assert {**after, keys: 0} == {**before, keys: 0}
