"""Who may call what: a token on every `/v1` route but the webhook's, with the scopes of the contract."""

from typing import Any

import pytest
from litestar.routes import HTTPRoute

from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.http.operations import Operation
from tests.integration.http.conftest import CART, CUSTOMER, OPERATOR, SERVICE, Api, MakeSettings
from tests.integration.http.test_problems import problem
from tests.integration.security.issuer import Issuer
from tests.support.fake_gateway import FakeGateway

SCOPES = {
    "createOrder": ("orders:write",),
    "changeOrder": ("orders:write",),
    "cancelOrder": ("orders:write",),
    "refundOrder": ("refunds:create",),
    "getOrder": ("orders:read",),
    "explainOrder": ("orders:read",),
    "streamOrder": ("orders:read",),
    "listOrders": ("orders:read",),
    "confirmOrder": ("orders:write",),
    "retryPayment": ("orders:write",),
    "fulfilOrder": ("orders:write", "users:any"),
    "acknowledgeOrderAttention": ("operations:write",),
    "acknowledgePaymentAttention": ("operations:write",),
    "getPaymentTerms": ("orders:read",),
    "countStock": ("operations:write",),
    "getStock": ("orders:read",),
    "listStock": ("orders:read",),
    "createPaymentIntent": ("payments:write",),
    "createPayment": ("payments:write",),
    "confirmPayment": ("payments:write",),
    "capturePayment": ("payments:write", "users:any"),
    "cancelPayment": ("payments:write",),
    "refreshPayment": ("payments:read",),
    "updatePayment": ("payments:write",),
    "getPayment": ("payments:read",),
    "listPayments": ("payments:read",),
    "preflightPayment": ("payments:write",),
    "listPaymentMethods": ("payments:read",),
    "detachPaymentMethod": ("payments:write",),
    "listDisputes": ("payments:read",),
    "getDispute": ("payments:read",),
    "createRefund": ("refunds:create",),
    "simulateRefund": ("refunds:create",),
    "retryRefund": ("refunds:create",),
    "approveRefund": ("refunds:approve",),
    "rejectRefund": ("refunds:approve",),
    "listRefunds": ("refunds:create|refunds:approve",),
    "getRefund": ("refunds:create|refunds:approve",),
    "listEvents": ("operations:read",),
    "listAudit": ("operations:read",),
    "listFindings": ("operations:read",),
    "listLedgerBalances": ("operations:read",),
    "listLedgerEntries": ("operations:read",),
    "resolveFinding": ("operations:write",),
    "registerWebhookEndpoint": ("operations:write",),
    "listWebhookEndpoints": ("operations:read",),
    "getWebhookEndpoint": ("operations:read",),
    "changeWebhookEndpoint": ("operations:write",),
    "deleteWebhookEndpoint": ("operations:write",),
    "rotateWebhookSecret": ("operations:write",),
    "listWebhookDeliveries": ("operations:read",),
    "replayWebhookDeliveries": ("operations:write",),
    "replayWebhookDelivery": ("operations:write",),
    "receiveStripeWebhook": (),
    "receiveGatewayWebhook": (),
}
"""What the contract says; this table is the test."""


def calls(api: Api) -> list[tuple[str, str, str]]:
    """Operation, method and path of every `/v1` route."""
    found = []
    for route in api.app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/v1"):
            for handler, _ in route.route_handler_map.values():
                for method in set(handler.http_methods) - {"OPTIONS"}:
                    operation: Operation = handler.opt["operation"]
                    path = route.path_format.replace("{", "").replace("}", "")
                    found.append((operation.operation_id, str(method), path))
    return found


async def test_every_route_wants_its_scopes(api: Api) -> None:
    assert {name for name, _, _ in calls(api)} == set(SCOPES)
    for name, method, path in calls(api):
        wanted = [scope.split("|")[0] for scope in SCOPES[name]]
        if not wanted:
            continue
        anonymous = await api.http.request(method, path)
        problem(anonymous, 401, "token_missing")
        assert anonymous.headers["www-authenticate"] == "Bearer"
        for missing in wanted:
            rest = [scope for scope in wanted if scope != missing]
            refused = await api.http.request(method, path, headers=api.bearer(*rest, "other:scope"))
            assert missing in problem(refused, 403, "scope_missing")["detail"]
            assert "insufficient_scope" in refused.headers["www-authenticate"]
        allowed = await api.http.request(method, path, headers=api.bearer(*wanted))
        assert allowed.status_code not in (401, 403)


@pytest.mark.parametrize("header", ["", "Basic dTpw", "Bearer", "Bearer  ", "bearer", "Token x"])
async def test_no_bearer_token(api: Api, header: str) -> None:
    problem(await api.http.get("/v1/orders", headers={"Authorization": header}), 401, "token_missing")


async def test_bad_tokens(api: Api) -> None:
    good = api.token(*SERVICE)
    expired = api.token(*SERVICE, seconds=-60)
    head, payload, signature = good.split(".")
    forged = f"{head}.{payload}.{signature[:-4]}AAAA"
    for token, code in [
        (expired, "token_expired"),
        (forged, "token_invalid"),
        ("x", "token_invalid"),
        ("a" * 9000, "token_invalid"),
    ]:
        answer = await api.http.get("/v1/orders", headers={"Authorization": f"Bearer {token}"})
        problem(answer, 401, code)
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert token not in answer.text


async def test_a_refused_caller_sends_its_body_for_nothing(api: Api) -> None:
    answer = await api.http.post("/v1/orders", content=b"{", headers={"Content-Type": "text/plain"})
    problem(answer, 401, "token_missing")


async def test_what_is_anothers_is_not_there(api: Api) -> None:
    mine = await api.post("/v1/orders", CART, scopes=CUSTOMER, sub="u_1")
    assert mine.json()["userId"] == "u_1"
    path = f"/v1/orders/{mine.json()['orderId']}"
    assert (await api.get(path, CUSTOMER, sub="u_1")).status_code == 200
    assert (await api.get(path, OPERATOR, sub="op")).status_code == 200
    problem(await api.get(path, CUSTOMER, sub="u_2"), 404, "order_not_found")
    confirm = await api.post(f"{path}/confirm", key="k", scopes=CUSTOMER, sub="u_2")
    problem(confirm, 404, "order_not_found")
    assert (await api.get("/v1/orders", CUSTOMER, sub="u_2")).json()["items"] == []


async def test_the_scheme_is_named_in_any_case(api: Api) -> None:
    headers: dict[str, Any] = {"Authorization": f"bEaReR  {api.token(*SERVICE)}"}
    assert (await api.http.get("/v1/orders", headers=headers)).status_code == 200


async def test_a_token_of_an_outside_issuer(
    make_settings: MakeSettings, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    issuer = Issuer()
    async with issuer.serving():
        container = build_container(
            make_settings(trusted_issuers=(issuer.trusted(),)), Outside(gateway=gateway)
        )
        api = Api(create_app_of(container), container)
        token = issuer.token(container.clock.now(), scope="orders:read")
        headers = {"Authorization": f"Bearer {token}"}
        assert (await api.http.get("/v1/orders", headers=headers)).status_code == 200
        problem(await api.http.post("/v1/orders", json=CART, headers=headers), 403, "scope_missing")
        await api.http.aclose()
        await container.stop()
