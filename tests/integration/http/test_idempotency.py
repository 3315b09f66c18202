"""`Idempotency-Key` over HTTP: one request, one effect, one answer."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from adapters.postgres.engine import DatabaseUnavailable
from domain.shared.idempotency import LEASE_SECONDS, KeyOwner
from entrypoints.http.idempotency import fingerprint_of
from tests.integration.http.conftest import CART, CUSTOMER, REFUNDER, SERVICE, Api
from tests.integration.http.test_problems import problem
from tests.support.fake_gateway import FakeGateway, Outcome

REQUIRED = [
    "/v1/orders/ord_1/confirm",
    "/v1/orders/ord_1/payments",
    "/v1/payments/intents",
    "/v1/payments",
    "/v1/payments/pay_1/confirm",
    "/v1/payments/pay_1/capture",
    "/v1/payments/pay_1/cancel",
    "/v1/refunds",
    "/v1/refunds/ref_1/approve",
    "/v1/refunds/ref_1/reject",
    "/v1/refunds/ref_1/retry",
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/payments/intents": {"orderId": "o-1", "amount": 1, "currency": "EUR"},
    "/v1/payments": {"orderId": "o-1", "amount": 1, "currency": "EUR", "paymentMethodToken": "pm_card_visa"},
    "/v1/refunds": {"paymentId": "pay_1", "amount": 1, "currency": "EUR", "reason": "r"},
}


@pytest.mark.parametrize("path", REQUIRED)
async def test_where_it_is_required(api: Api, path: str) -> None:
    body = BODIES.get(path, {})
    problem(await api.post(path, body, scopes=(*REFUNDER, "refunds:approve")), 400, "idempotency_key_missing")
    for key in ("", '""', " ", "a b", "ä", "x" * 256, '"open', "a\x7f"):
        headers = {"Idempotency-Key": key.encode("utf-8")}
        answer = await api.post(path, body, scopes=(*REFUNDER, "refunds:approve"), headers=headers)  # type: ignore[arg-type]
        problem(answer, 400, "idempotency_key_malformed")


async def test_the_first_answer_again_byte_for_byte(api: Api) -> None:
    first = await api.post("/v1/orders", CART, key="k1")
    again = await api.post("/v1/orders", CART, key="k1")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("etag", "location", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


async def test_quotes_blanks_and_key_order_do_not_matter(api: Api) -> None:
    first = await api.post("/v1/orders", CART, key="k1")
    loose = b"{ " + b",\n ".join(
        f'"{name}": {api_json(value)}'.encode() for name, value in reversed(CART.items())
    )
    again = await api.post("/v1/orders", content=loose + b"\n}", key='"k1"')
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


def api_json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2)


async def test_the_same_key_for_something_else(api: Api) -> None:
    order = await api.order()
    await api.post("/v1/orders", CART, key="k1")
    other_body = await api.post("/v1/orders", {**CART, "shippingAmount": 1}, key="k1")
    problem(other_body, 422, "idempotency_key_reused")
    other_path = await api.post(f"/v1/orders/{order['orderId']}/confirm", CART and {}, key="k1")
    problem(other_path, 422, "idempotency_key_reused")


async def test_a_key_is_its_callers(api: Api) -> None:
    first = await api.post("/v1/orders", CART, key="k1", scopes=CUSTOMER, sub="u_1")
    other = await api.post("/v1/orders", CART, key="k1", scopes=CUSTOMER, sub="u_2")
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["orderId"] != other.json()["orderId"]


async def test_without_a_key_each_request_is_new(api: Api) -> None:
    assert (await api.order())["orderId"] != (await api.order())["orderId"]


async def test_of_a_hundred_at_once_one_is_done(api: Api, gateway: FakeGateway) -> None:
    order = await api.order()
    path = f"/v1/orders/{order['orderId']}/confirm"
    body = {"paymentMethodToken": "pm_card_visa"}
    answers = await asyncio.gather(*(api.post(path, body, key="k1") for _ in range(100)))
    done = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in done}) == 1
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "request_in_flight")
            assert 1 <= int(answer.headers["retry-after"]) <= LEASE_SECONDS
    assert len([request for request, _ in gateway.sent if request.path == "create"]) == 1
    assert len((await api.get(f"/v1/payments?orderId={order['orderId']}")).json()["items"]) == 1
    last = await api.post(path, body, key="k1")
    assert last.headers["idempotency-replayed"] == "true"


async def test_a_request_in_flight_is_not_run_again_until_its_lease_ends(api: Api) -> None:
    store = api.container.orders.idempotency
    # What a process leaves that was killed right after it had taken the key.
    request_id = "0" * 26
    body = b'{"currency":"EUR","lines":[{"name":"Tea","quantity":1,"sku":"TEA","unitAmount":990}]}'
    fingerprint = fingerprint_of("POST", "/v1/orders", body)
    await store.begin(KeyOwner("u_1"), "k1", fingerprint, request_id)
    problem(await api.post("/v1/orders", content=body, key="k1"), 409, "request_in_flight")
    async with api.container.orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.idempotency_key SET lease_until = now()"))
    taken_over = await api.post("/v1/orders", content=body, key="k1")
    assert taken_over.json()["orderId"] == f"ord_{request_id}"


async def test_a_process_that_dies_after_the_money_moved_has_not_kept_its_answer_from_anybody(
    api: Api, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(*_: Any) -> None:
        raise RuntimeError("killed")

    order = await api.order()
    path, body = f"/v1/orders/{order['orderId']}/confirm", {"paymentMethodToken": "pm_card_visa"}
    for step in ("finish", "release"):
        monkeypatch.setattr(type(api.container.orders.idempotency), step, dead)
    problem(await api.post(path, body, key="k1"), 500, "internal_error")
    monkeypatch.undo()
    problem(await api.post(path, body, key="k1"), 409, "request_in_flight")
    async with api.container.orders.engine.begin() as connection:
        await connection.execute(text("UPDATE orders.idempotency_key SET lease_until = now()"))
    answer = await api.post(path, body, key="k1")
    (payment,) = (await api.get(f"/v1/payments?orderId={order['orderId']}")).json()["items"]
    assert (answer.status_code, answer.json()["payment"]["status"]) == (200, "SUCCEEDED")
    assert answer.json()["payment"]["paymentId"] == payment["paymentId"]
    assert payment["amountCaptured"] == order["totalAmount"]
    assert len([request for request, _ in gateway.sent if request.path == "create"]) == 1
    again = await api.post(path, body, key="k1")
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")


async def test_final_refusals_are_kept(api: Api) -> None:
    order = await api.order()
    path = f"/v1/orders/{order['orderId']}"
    first = await api.post(f"{path}/payments", key="k1")
    problem(first, 409, "order_state_forbids")
    await api.post(f"{path}/confirm", {"paymentMethodToken": "pm_card_chargeDeclined"}, key="k2")
    again = await api.post(f"{path}/payments", key="k1")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


async def test_refusals_of_the_token_and_of_the_form_are_not_kept(api: Api) -> None:
    problem(await api.post("/v1/orders", CART, key="k1", scopes=("orders:read",)), 403, "scope_missing")
    problem(await api.post("/v1/orders", {}, key="k1"), 400, "malformed")
    named = {**CART, "userId": "u_2"}
    problem(await api.post("/v1/orders", named, key="k2", scopes=CUSTOMER), 403, "user_differs")
    assert (await api.post("/v1/orders", CART, key="k1")).status_code == 201
    assert (await api.post("/v1/orders", named, key="k2", scopes=SERVICE)).status_code == 201


async def test_what_failed_on_our_side_is_tried_again_with_the_same_id(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    create = api.container.orders.create_order.__class__.__call__

    async def lost(self: Any, command: Any) -> Any:
        seen.append(command.request_id)
        if len(seen) == 1:
            raise DatabaseUnavailable
        return await create(self, command)

    monkeypatch.setattr(api.container.orders.create_order.__class__, "__call__", lost)
    problem(await api.post("/v1/orders", CART, key="k1"), 503, "database_unavailable")
    done = await api.post("/v1/orders", CART, key="k1")
    assert done.status_code == 201
    assert "idempotency-replayed" not in done.headers
    assert seen[0] == seen[1]


async def test_a_gateway_that_does_not_answer_leaves_one_operation(api: Api, gateway: FakeGateway) -> None:
    order = await api.order()
    gateway.script(Outcome.UNKNOWN_AFTER)
    path = f"/v1/orders/{order['orderId']}/confirm"
    body = {"paymentMethodToken": "pm_card_visa"}
    first = await api.post(path, body, key="k1")
    assert first.status_code == 200
    assert first.json()["payment"]["operation"] == "UNKNOWN"
    again = await api.post(path, body, key="k1")
    assert again.content == first.content
    assert len(gateway.intents) == 1
