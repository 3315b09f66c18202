"""Whose orders a caller sees and acts on: every order call by every kind of caller, and guests' tokens."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from entrypoints.http.operations import Operation
from tests.integration.http.conftest import CART, CUSTOMER, REFUNDER, Api
from tests.integration.http.test_problems import problem
from tests.unit.security.test_snapshots import decoded, verified

BODIES: dict[str, Any] = {
    "changeOrder": {"shippingAmount": 1},
    "refundOrder": {"amount": 1, "reason": "torn"},
    "acknowledgeOrderAttention": {"attention": "DISPUTE_LOST", "comment": "written off"},
}
"""What a call needs besides `{}` to be more than malformed."""

NEEDS_MORE = {
    "fulfilOrder": "users:any",
    "refundOrder": "refunds:create",
    "acknowledgeOrderAttention": "operations:write",
}
"""Calls that a customer's or guest's token does not allow for any order, and the scope that it lacks."""


@dataclass(frozen=True)
class Call:
    name: str
    method: str
    path: str
    goes_on: bool
    """Whether its answer has no end of its own."""

    async def status(self, api: Api, order_id: str, token: str) -> tuple[int, str]:
        """Of a call that is to be allowed, and what to say where it is not."""
        if not self.goes_on:
            answer = await self.make(api, order_id, token)
            return answer.status_code, answer.text
        return await first_status(api, self.path.replace("{orderId}", order_id), token), ""

    async def make(self, api: Api, order_id: str, token: str) -> httpx.Response:
        key = f"{self.name}-{order_id}"
        headers = {"Authorization": f"Bearer {token}", "If-Match": "*", "Idempotency-Key": key}
        path = self.path.replace("{orderId}", order_id)
        body = None if self.method == "GET" else BODIES.get(self.name, {})
        return await api.http.request(self.method, path, json=body, headers=headers)


def order_calls(api: Api) -> list[Call]:
    """Every route that names an order in its path: a new one cannot be forgotten."""
    return [
        Call(
            operation.operation_id,
            str(method),
            route.path_format,
            operation.media_type == "text/event-stream",
        )
        for route in api.app.routes
        if isinstance(route, HTTPRoute) and "{orderId}" in route.path_format
        for handler, _ in route.route_handler_map.values()
        for method in set(handler.http_methods) - {"OPTIONS"}
        for operation in [handler.opt.get("operation")]  # pages of the console have none
        if isinstance(operation, Operation)
    ]


async def first_status(api: Api, path: str, token: str) -> int:
    """The status of an answer that goes on; the client goes away once it has begun."""
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def receive() -> Any:
        await begun
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.set_result(message["status"])

    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": headers}
    asgi: Any = {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b""}
    server: Any = {"root_path": "", "server": ("payonce.test", 80), "client": ("127.0.0.1", 1)}
    await api.app({**scope, **asgi, **server}, receive, send)  # type: ignore[arg-type]
    return await begun


async def guest_order(api: Api) -> tuple[str, str]:
    """A new guest's order and its token."""
    made = (await api.post("/v1/orders", CART)).json()
    assert made["userId"] is None
    return made["orderId"], made["orderToken"]


async def test_every_order_call_by_every_kind_of_caller(api: Api) -> None:
    calls = order_calls(api)
    assert {"getOrder", "changeOrder", "confirmOrder", "retryPayment"} <= {call.name for call in calls}
    for call in calls:
        # A new order for each call that is allowed, since a call may change what the next would answer.
        async def own_order() -> str:
            order_id: str = (await api.post("/v1/orders", CART, scopes=CUSTOMER)).json()["orderId"]
            return order_id

        own = await own_order()
        guests, token = await guest_order(api)
        _, others_token = await guest_order(api)
        allowed = [(await own_order(), api.token(*REFUNDER, "operations:write", sub="service"))]
        if call.name in NEEDS_MORE:
            for caller in (api.token(*CUSTOMER), token):
                refused = problem(await call.make(api, own, caller), 403, "scope_missing")
                assert NEEDS_MORE[call.name] in refused["detail"]
        else:
            allowed += [(own, api.token(*CUSTOMER)), (guests, token)]
            for order_id, caller in [
                (own, api.token(*CUSTOMER, sub="u_2")),
                (own, token),
                (guests, api.token(*CUSTOMER)),
                (guests, others_token),
                ("ord_nowhere", api.token(*CUSTOMER)),
                ("ord_nowhere", token),
            ]:
                problem(await call.make(api, order_id, caller), 404, "order_not_found")
        for order_id, caller in allowed:
            status, told = await call.status(api, order_id, caller)
            assert status not in (400, 401, 403, 404, 428), (call, told)
        anonymous = await api.http.request(call.method, call.path.replace("{orderId}", own))
        problem(anonymous, 401, "token_missing")


async def test_a_guest_goes_the_whole_way_by_the_orders_token(api: Api) -> None:
    order_id, token = await guest_order(api)
    bearer = {"Authorization": f"Bearer {token}"}

    changed = await api.http.patch(
        f"/v1/orders/{order_id}", json={"shippingAmount": 0}, headers={**bearer, "If-Match": '"1"'}
    )
    assert changed.status_code == 200, changed.text
    confirmed = await api.http.post(
        f"/v1/orders/{order_id}/confirm",
        json={"paymentMethodToken": "pm_card_visa"},
        headers={**bearer, "Idempotency-Key": "k"},
    )
    assert confirmed.json()["payment"]["status"] == "SUCCEEDED"
    read = await api.http.get(f"/v1/orders/{order_id}", headers=bearer)
    assert "orderToken" not in confirmed.json()
    assert "orderToken" not in read.json()


async def test_a_guests_token_opens_nothing_else(api: Api) -> None:
    order_id, token = await guest_order(api)
    await guest_order(api)
    bearer = {"Authorization": f"Bearer {token}"}
    listed = await api.http.get("/v1/orders", headers=bearer)
    assert [order["orderId"] for order in listed.json()["items"]] == [order_id]
    assert (await api.http.get("/v1/orders?userId=u_1", headers=bearer)).json()["items"] == []
    for body in (CART, {**CART, "userId": "u_1"}):
        made = await api.http.post("/v1/orders", json=body, headers=bearer)
        problem(made, 403, "token_bound_to_order")
    for path in ("/v1/payments", f"/v1/payments?orderId={order_id}", "/v1/events", "/v1/payment-methods"):
        problem(await api.http.get(path, headers=bearer), 403, "scope_missing")


async def test_only_a_guests_order_has_a_token(api: Api) -> None:
    for body, scopes in [(CART, CUSTOMER), ({**CART, "userId": "u_7"}, REFUNDER)]:
        made = await api.post("/v1/orders", body, scopes=scopes)
        assert made.json()["userId"] is not None
        assert "orderToken" not in made.json()
    first = await api.post("/v1/orders", CART, key="once")
    again = await api.post("/v1/orders", CART, key="once")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["orderToken"] == first.json()["orderToken"]
    claims = json.loads(decoded(first.json()["orderToken"].split(".")[1]))
    assert claims["order_id"] == first.json()["orderId"]
    assert claims["exp"] - claims["iat"] == 90 * 24 * 3600


@pytest.mark.parametrize("confirmed", [False, True])
async def test_the_terms_are_signed(api: Api, confirmed: bool) -> None:
    order = await api.order(userId="u_1")
    if confirmed:
        body = {"paymentMethodToken": "pm_card_visa_chargeDeclined"}
        await api.post(f"/v1/orders/{order['orderId']}/confirm", body, key="k")
    terms = (await api.get(f"/v1/orders/{order['orderId']}/payment-terms")).json()
    jwks = (await api.http.get("/.well-known/jwks.json")).json()
    snapshot = terms.pop("snapshot")
    signed = verified(snapshot, jwks)
    assert signed.pop("exp") - signed.pop("iat") == 120
    assert signed == terms
    assert (terms["amount"], terms["payable"], terms["version"] > 1) == (2747, True, confirmed)
    refused = await api.http.get("/v1/orders", headers={"Authorization": f"Bearer {snapshot}"})
    problem(refused, 401, "token_invalid")
