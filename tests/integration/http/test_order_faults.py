"""Bad input of order calls: every fault named, nothing stored. And what is asked at once has one outcome."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.integration.http.conftest import CART, REFUNDER, Api
from tests.integration.http.test_problems import problem, stored_rows
from tests.support.fake_gateway import FakeGateway
from tests.support.follow import follow_payments

LINE = CART["lines"][0]
MOST = 2**53 - 1


def cart(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**CART, "lines": [{**LINE, **line} for line in lines], **changes}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (cart(), ["/lines"]),
        (cart(*[{}] * 501), ["/lines"]),
        (
            cart({"quantity": 0}, {"quantity": 1.5}, {"quantity": "1"}),
            [f"/lines/{n}/quantity" for n in range(3)],
        ),
        (cart({"quantity": 1.0e300}, {"unitAmount": 1.5}), ["/lines/0/quantity", "/lines/1/unitAmount"]),
        (cart({"unitAmount": MOST + 1}, {"taxAmount": -1}), ["/lines/0/unitAmount", "/lines/1/taxAmount"]),
        (cart({"currency": "USD"}, {"sku": ""}), ["/lines/1/sku", "/lines/0/currency"]),
        (cart({}, currency="eur"), ["/currency"]),
        (cart({}, totalAmount=1, discountAmount=1), ["/totalAmount", "/discountAmount"]),
        (cart({}, metadata={"n" * 41: "", "a": None}), ["/metadata/" + "n" * 41, "/metadata/a"]),
    ],
)
async def test_every_fault_of_a_cart_is_named(api: Api, body: dict[str, Any], pointers: list[str]) -> None:
    before = await stored_rows(api)
    told = problem(await api.post("/v1/orders", body), 400, "malformed")
    assert sorted(fault["pointer"] for fault in told["errors"]) == sorted(pointers)
    assert await stored_rows(api) == before


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        (
            cart({"discountAmount": 1981}, {}, {"discountAmount": 1981}),
            "discount_exceeds_line",
            ["/lines/0/discountAmount", "/lines/2/discountAmount"],
        ),
        (cart({"quantity": 1_000_000, "unitAmount": MOST}), "total_out_of_range", ["/lines"]),
        (cart({"quantity": 1, "unitAmount": MOST}), "total_out_of_range", ["/lines"]),
        (
            cart({"unitAmount": MOST, "discountAmount": MOST, "taxAmount": 0}, shippingAmount=0),
            "total_out_of_range",
            ["/lines"],
        ),
        (cart({"unitAmount": 0, "taxAmount": 0}, shippingAmount=0), "total_out_of_range", ["/lines"]),
    ],
)
async def test_carts_that_do_not_add_up(
    api: Api, body: dict[str, Any], code: str, pointers: list[str]
) -> None:
    before = await stored_rows(api)
    told = problem(await api.post("/v1/orders", body), 422, code)
    assert [fault["pointer"] for fault in told["errors"]] == pointers
    assert await stored_rows(api) == before


async def test_the_longest_cart_and_the_same_article_twice(api: Api) -> None:
    order = await api.order(lines=[LINE] * 500, shippingAmount=0)
    assert len(order["lines"]) == 500
    assert order["totalAmount"] == 500 * (1980 + 317)
    largest = await api.order(lines=[{**LINE, "quantity": 1, "unitAmount": MOST - 317}], shippingAmount=0)
    assert largest["totalAmount"] == MOST


async def test_of_confirmations_at_once_one_is_carried_out(api: Api, gateway: FakeGateway) -> None:
    """By ten keys, and by one key ten times."""
    body = {"paymentMethodToken": "pm_card_visa"}
    for number, keys in enumerate([[f"k{n}" for n in range(10)], ["same"] * 10]):
        order = await api.order(userId="u_1")
        path = f"/v1/orders/{order['orderId']}/confirm"
        answers = await asyncio.gather(*(api.post(path, body, key=key) for key in keys))
        told = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
        first = [answer for answer in answers if answer.status_code == 200]
        assert {answer.json()["payment"]["paymentId"] for answer in first} == {
            first[0].json()["payment"]["paymentId"]
        }
        forbidden = {(409, "order_state_forbids"), (409, "checkout_in_progress"), (409, "request_in_flight")}
        assert set(told) <= {(200, None)} | forbidden, told
        listed = await api.get(f"/v1/payments?orderId={order['orderId']}")
        [payment] = listed.json()["items"]
        assert (payment["status"], payment["amountCaptured"]) == ("SUCCEEDED", order["totalAmount"])
        assert sum(request.path == "create" for request, _ in gateway.sent) == number + 1


async def test_confirmed_and_paid_by_the_other_way_at_once(api: Api) -> None:
    """A payment made for the draft itself, and its confirmation: one of them pays."""
    for number in range(5):
        order = await api.order(userId="u_1")
        wanted = {"orderId": order["orderId"], "amount": order["totalAmount"], "currency": "EUR"}
        confirmed, paid = await asyncio.gather(
            api.post(
                f"/v1/orders/{order['orderId']}/confirm",
                {"paymentMethodToken": "pm_card_visa"},
                key=f"c{number}",
            ),
            api.post("/v1/payments", {**wanted, "paymentMethodToken": "pm_card_visa"}, key=f"p{number}"),
        )
        assert sorted((confirmed.status_code, paid.status_code)) in ([200, 409], [201, 409])
        listed = (await api.get(f"/v1/payments?orderId={order['orderId']}", REFUNDER)).json()["items"]
        assert sum(payment["amountCaptured"] for payment in listed) == order["totalAmount"]
        late = await api.post(
            f"/v1/orders/{order['orderId']}/confirm", {"paymentMethodToken": "pm_card_visa"}, key=f"l{number}"
        )
        assert late.status_code == 409


async def test_what_is_confirmed_is_not_confirmed_or_tried_again(api: Api) -> None:
    order = await api.order(userId="u_1")
    path = f"/v1/orders/{order['orderId']}"
    early = await api.post(f"{path}/payments", {"paymentMethodToken": "pm_card_visa"}, key="k0")
    problem(early, 409, "order_state_forbids")
    assert (await api.post(f"{path}/confirm", key="k1")).status_code == 200
    problem(await api.post(f"{path}/confirm", key="k2"), 409, "order_state_forbids")
    problem(await api.post(f"{path}/fulfil"), 409, "order_state_forbids")


async def test_how_a_method_is_saved_and_used_is_checked_as_for_a_payment(api: Api) -> None:
    guest, known = await api.order(), await api.order(userId="u_1")
    token = {"paymentMethodToken": "pm_card_visa"}
    for order, body, code, pointer in [
        (guest, {**token, "setupFutureUsage": "ON_SESSION"}, "user_required", "/setupFutureUsage"),
        (guest, {**token, "offSession": True}, "user_required", "/offSession"),
        (known, {**token, "offSession": True}, "payment_method_not_saved", "/paymentMethodToken"),
        (
            known,
            {**token, "offSession": True, "setupFutureUsage": "OFF_SESSION"},
            "off_session_forbids_saving",
            "/offSession",
        ),
    ]:
        answer = await api.post(f"/v1/orders/{order['orderId']}/confirm", body, key=f"{code}{pointer[1:4]}")
        [fault] = problem(answer, 422, code)["errors"]
        assert fault["pointer"] == pointer
        assert (await api.get(f"/v1/orders/{order['orderId']}")).json()["status"] == "DRAFT"
    body = {**token, "setupFutureUsage": "OFF_SESSION"}
    saving = await api.post(f"/v1/orders/{known['orderId']}/confirm", body, key="save")
    payment = await api.get(f"/v1/payments/{saving.json()['payment']['paymentId']}")
    assert payment.json()["setupFutureUsage"] == "OFF_SESSION"
    [method] = (await api.get("/v1/payment-methods?userId=u_1")).json()["items"]
    later = await api.order(userId="u_1")
    body = {"paymentMethodToken": method["paymentMethodToken"], "offSession": True}
    paid = await api.post(f"/v1/orders/{later['orderId']}/confirm", body, key="later")
    assert paid.json()["payment"]["status"] == "SUCCEEDED"


async def test_called_off_while_it_is_being_paid(api: Api, gateway: FakeGateway) -> None:
    """Whatever comes first: either nothing is taken, or what is taken is known and asked back."""
    for number in range(5):
        order = await api.order(userId="u_1")
        path = f"/v1/orders/{order['orderId']}"
        paid, canceled = await asyncio.gather(
            api.post(f"{path}/confirm", {"paymentMethodToken": "pm_card_visa"}, key=f"p{number}"),
            api.post(f"{path}/cancel", key=f"c{number}", scopes=REFUNDER),
        )
        assert canceled.status_code == 200, canceled.text
        await follow_payments(api.container)
        found = (await api.get(path)).json()
        listed = (await api.get(f"/v1/payments?orderId={order['orderId']}", REFUNDER)).json()["items"]
        taken = sum(payment["amountCaptured"] - payment["amountRefunded"] for payment in listed)
        assert found["status"] == "CANCELED" or found["cancellation"] is not None, found
        if found["status"] == "CANCELED":
            assert taken == 0
        assert paid.status_code in (200, 409, 422), paid.text  # 422: called off before the payment was begun
        problem(await api.post(f"{path}/payments", key=f"a{number}"), 409, "order_state_forbids")
