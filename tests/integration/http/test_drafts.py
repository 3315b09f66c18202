"""`PATCH /v1/orders/{orderId}`: a draft changes under `If-Match`, and freezes with its confirmation."""

import asyncio
from typing import Any

import httpx

from tests.integration.http.conftest import CART, Api
from tests.integration.http.test_problems import problem

LINE = CART["lines"][0]


async def patch(api: Api, order: dict[str, Any], body: Any, tag: str | None = '"1"') -> httpx.Response:
    headers = api.bearer("orders:write") | ({} if tag is None else {"If-Match": tag})
    return await api.http.patch(f"/v1/orders/{order['orderId']}", json=body, headers=headers)


async def test_a_draft_is_changed_in_parts(api: Api) -> None:
    order = await api.order(userId="u_1", metadata={"a": "1", "b": "2"})
    changed = await patch(api, order, {"shippingAmount": 690, "metadata": {"b": None, "c": "3"}})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] == '"2"'
    assert changed.json() == {
        **order,
        "version": 2,
        "shippingAmount": 690,
        "totalAmount": order["totalAmount"] + 240,
        "metadata": {"a": "1", "c": "3"},
        "updatedAt": changed.json()["updatedAt"],
    }
    lines = [{**LINE, "quantity": 1, "discountAmount": 90}, LINE]  # the same article at two prices
    changed = await patch(api, order, {"lines": lines, "shippingAmount": None, "metadata": None}, '"2"')
    assert changed.json()["totalAmount"] == (990 - 90 + 317) + (1980 + 317)
    assert (changed.json()["metadata"], changed.json()["discountAmount"]) == ({}, 90)
    read = await api.get(f"/v1/orders/{order['orderId']}")
    assert read.json() == changed.json()
    assert read.headers["etag"] == changed.headers["etag"] == '"3"'
    nothing = await patch(api, order, {}, "*")
    assert (nothing.status_code, nothing.headers["etag"]) == (200, '"3"')


async def test_if_match_is_read_as_rfc_9110_has_it(api: Api) -> None:
    order = await api.order(userId="u_1")
    problem(await patch(api, order, {}, None), 428, "if_match_missing")
    for malformed in ("1", '"1', '"1" "2"', '*, "1"', 'w/"1"', ""):
        problem(await patch(api, order, {}, malformed), 400, "if_match_malformed")
    for stale in ('"2"', 'W/"1"', '"01"', '"W/"', '"a", "2"', '"1,2"', '"99999999999999999999"'):
        refused = await patch(api, order, {"shippingAmount": 1}, stale)
        problem(refused, 412, "version_stale")
        assert refused.headers["etag"] == '"1"'
    for current in ('"1"', '"7", "1"', 'W/"2",\t"1"', ', "1",', "*"):
        assert (await patch(api, order, {}, current)).status_code == 200, current
    twice = [(b"If-Match", b'"5"'), (b"If-Match", b'"1"')]
    headers = [
        *api.bearer("orders:write").items(),
        *((name.decode(), value.decode()) for name, value in twice),
    ]
    answer = await api.http.patch(f"/v1/orders/{order['orderId']}", json={}, headers=headers)
    assert answer.status_code == 200


async def test_every_fault_of_a_change_is_named(api: Api) -> None:
    order = await api.order(userId="u_1")
    wrong = {
        "currency": None,
        "lines": [{**LINE, "quantity": 0}, {**LINE, "quantity": 1.5, "currency": "USD"}],
        "customer": {"email": "x"},
        "shippingAmount": -1,
        "metadata": {"a": 1},
        "status": "PAID",
        "totalAmount": 1,
    }
    body = problem(await patch(api, order, wrong), 400, "malformed")
    assert {fault["pointer"] for fault in body["errors"]} == {
        "/currency",
        "/lines/0/quantity",
        "/lines/1/quantity",
        "/lines/1/currency",
        "/customer/email",
        "/shippingAmount",
        "/metadata/a",
        "/status",
        "/totalAmount",
    }
    for lines in ([], None, [LINE] * 501):
        [fault] = problem(await patch(api, order, {"lines": lines}), 400, "malformed")["errors"]
        assert fault["pointer"] == "/lines"
    beyond = [LINE, {**LINE, "discountAmount": 1981}]
    refused = problem(await patch(api, order, {"lines": beyond}), 422, "discount_exceeds_line")
    assert [fault["pointer"] for fault in refused["errors"]] == ["/lines/1/discountAmount"]
    most = {"shippingAmount": 2**53 - 1}
    problem(await patch(api, order, most), 422, "total_out_of_range")
    problem(await patch(api, order, {"currency": "USD"}), 422, "currency_needs_amounts")
    assert (await api.get(f"/v1/orders/{order['orderId']}")).json() == order


async def test_a_confirmed_order_is_not_changed(api: Api) -> None:
    order = await api.order(userId="u_1")
    confirmed = await api.post(f"/v1/orders/{order['orderId']}/confirm", key="k")
    assert confirmed.json()["confirmedAt"] is not None
    for tag in (confirmed.headers["etag"], '"1"', "*"):
        problem(await patch(api, order, {"shippingAmount": 1}, tag), 409, "order_state_forbids")


async def test_only_the_version_that_the_customer_was_shown_is_confirmed(api: Api) -> None:
    order = await api.order(userId="u_1")
    await patch(api, order, {"shippingAmount": 900})
    path = f"/v1/orders/{order['orderId']}/confirm"
    stale = await api.post(path, key="k1", headers={"If-Match": '"1"'})
    problem(stale, 412, "version_stale")
    assert stale.headers["etag"] == '"2"'
    assert (await api.post(path, key="k2", headers={"If-Match": '"2"'})).json()["status"] == "PENDING_PAYMENT"
    late = await api.post(path, key="k3", headers={"If-Match": '"2"'})
    problem(late, 409, "order_state_forbids")


async def test_of_changes_and_a_confirmation_at_once_each_sees_one_order(api: Api) -> None:
    """Whatever comes first: what is paid is what the order says, and of changes to one version one is made."""
    for number in range(5):
        order = await api.order(userId="u_1")
        path = f"/v1/orders/{order['orderId']}/confirm"
        answers = await asyncio.gather(
            *(patch(api, order, {"shippingAmount": amount}) for amount in (1, 2)),
            api.post(path, {"paymentMethodToken": "pm_card_visa"}, key=f"k{number}"),
            *(patch(api, order, {"shippingAmount": amount}) for amount in (3, 4)),
        )
        confirmed = answers.pop(2)
        assert confirmed.status_code == 200, confirmed.text
        assert sum(answer.status_code == 200 for answer in answers) <= 1
        assert {answer.status_code for answer in answers} <= {200, 409, 412}
        payment = await api.get(f"/v1/payments/{confirmed.json()['payment']['paymentId']}")
        read = (await api.get(f"/v1/orders/{order['orderId']}")).json()
        assert payment.json()["amount"] == confirmed.json()["totalAmount"] == read["totalAmount"]
