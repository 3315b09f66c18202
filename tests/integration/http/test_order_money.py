"""Calling orders off over HTTP, on a real database: the money's side decides, and one outcome."""

import asyncio
from typing import Any

import httpx

from tests.integration.http.conftest import REFUNDER, Api
from tests.integration.http.test_problems import problem
from tests.support.fake_gateway import FakeGateway
from tests.support.follow import follow_payments


async def confirmed(api: Api, token: str = "pm_card_visa", **changes: Any) -> str:
    """An order that is confirmed with this method and has followed its payment."""
    order_id: str = (await api.order(userId="u_1"))["orderId"]
    body = {"paymentMethodToken": token, **changes}
    answer = await api.post(f"/v1/orders/{order_id}/confirm", body, key=f"{order_id}-confirm")
    assert answer.status_code == 200, answer.text
    await follow_payments(api.container)
    return order_id


async def cancel(api: Api, order_id: str, *, key: str = "off", **given: Any) -> httpx.Response:
    return await api.post(f"/v1/orders/{order_id}/cancel", {"reason": "by mistake"}, key=key, **given)


async def read(api: Api, order_id: str) -> dict[str, Any]:
    order: dict[str, Any] = (await api.get(f"/v1/orders/{order_id}")).json()
    return order


async def test_a_canceled_order_says_why(api: Api, gateway: FakeGateway) -> None:
    order_id = await confirmed(api, captureMethod="MANUAL")
    answer = await cancel(api, order_id)
    assert answer.status_code == 200, answer.text
    pending = answer.json()
    assert (pending["status"], pending["cancellation"]["reason"]) == ("AUTHORIZED", "by mistake")
    refused = await api.post(f"/v1/orders/{order_id}/payments", {}, key="again")
    problem(refused, 409, "order_state_forbids")
    await follow_payments(api.container)
    order = await read(api, order_id)
    assert (order["status"], order["cancellation"]) == ("CANCELED", pending["cancellation"])
    replayed = await cancel(api, order_id)
    assert replayed.json() == pending
    assert replayed.headers["idempotency-replayed"] == "true"
    assert (await cancel(api, order_id, key="other")).json() == order


async def test_what_was_paid_needs_the_right_to_give_it_back(api: Api, gateway: FakeGateway) -> None:
    order_id = await confirmed(api)
    problem(await cancel(api, order_id), 403, "cancellation_refunds")
    assert (await cancel(api, order_id, scopes=REFUNDER)).status_code == 200
    await follow_payments(api.container)
    order = await read(api, order_id)
    assert (order["status"], order["amountRefunded"]) == ("CANCELED", 2747)


async def test_bad_cancellations_are_told(api: Api) -> None:
    order_id = (await api.order(userId="u_1"))["orderId"]
    problem(await api.post(f"/v1/orders/{order_id}/cancel", {}), 400, "idempotency_key_missing")
    faults = problem(
        await api.post(f"/v1/orders/{order_id}/cancel", {"reason": "", "why": 1}, key="a"), 400, "malformed"
    )["errors"]
    assert {fault["pointer"] for fault in faults} == {"/reason", "/why"}
    own: dict[str, Any] = {"scopes": ("orders:write",), "sub": "u_2"}
    problem(await cancel(api, order_id, **own), 404, "order_not_found")
    problem(await cancel(api, order_id, scopes=("orders:read",)), 403, "scope_missing")


async def test_canceled_while_it_is_being_paid_it_has_one_outcome(api: Api, gateway: FakeGateway) -> None:
    for round in range(6):
        order_id = (await api.order(userId="u_1"))["orderId"]
        key = f"{order_id}-{round}"
        paying = api.post(
            f"/v1/orders/{order_id}/confirm", {"paymentMethodToken": "pm_card_visa"}, key=f"{key}-pay"
        )
        calls = [paying, cancel(api, order_id, key=f"{key}-off", scopes=REFUNDER)]
        answers = await asyncio.gather(*(calls if round % 2 else reversed(calls)))
        assert all(answer.status_code in (200, 409, 422) for answer in answers), [a.text for a in answers]
        for _ in range(3):
            await follow_payments(api.container)
            await api.container.orders.recover_attempts()
        order = await read(api, order_id)
        assert (order["status"], order["attention"]) == ("CANCELED", None)
        assert order["amountPaid"] == order["amountRefunded"]
    assert sum(intent.amount_captured for intent in gateway.intents.values()) == sum(
        refund.amount for refund in gateway.refunds.values()
    )


async def test_lines_are_given_back_and_remembered(api: Api, gateway: FakeGateway) -> None:
    order_id = await confirmed(api)
    path = f"/v1/orders/{order_id}/refunds"
    body = {"lines": [{"sku": "TEA", "quantity": 1}], "reason": "torn", "restock": True}
    answer = await api.post(path, body, key="one", scopes=REFUNDER)
    assert answer.status_code == 201, answer.text
    refund = answer.json()
    assert (refund["orderId"], refund["amount"], refund["status"]) == (order_id, 2297 // 2, "SUCCEEDED")
    assert (refund["lines"], refund["restock"]) == ([{"sku": "TEA", "quantity": 1}], True)
    await follow_payments(api.container)
    order = await read(api, order_id)
    assert (order["status"], order["amountRefunded"]) == ("PARTIALLY_REFUNDED", 2297 // 2)
    again = await api.post(
        path, {**body, "lines": [{"sku": "TEA", "quantity": 2}]}, key="two", scopes=REFUNDER
    )
    [fault] = problem(again, 422, "refund_quantity_exceeds")["errors"]
    assert fault["pointer"] == "/lines/0/quantity"
    problem(await api.post(path, {"reason": "torn"}, key="three", scopes=REFUNDER), 422, "refund_unclear")
    beyond = await api.post(path, {"amount": 2747, "reason": "torn"}, key="four", scopes=REFUNDER)
    problem(beyond, 422, "refund_exceeds_captured")
    problem(await api.post(path, body, key="five"), 403, "scope_missing")
