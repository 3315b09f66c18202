"""`/v1/inventory` and what stock means for checkout, over HTTP."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.integration.http.conftest import OPERATOR as READER
from tests.integration.http.conftest import SERVICE, Api

OPERATOR = (*READER, "operations:write")


def at(sku: str) -> str:
    return f"/v1/inventory/{quote(sku, safe='')}"


async def put(api: Api, sku: str, on_hand: Any, **headers: str) -> httpx.Response:
    sent = {**api.bearer(*OPERATOR), **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await api.http.put(at(sku), json={"onHand": on_hand}, headers=sent)


async def stock(api: Api, sku: str) -> tuple[int, int, int]:
    answer = (await api.get(at(sku))).json()
    return answer["onHand"], answer["reserved"], answer["available"]


def line(sku: str, quantity: int) -> dict[str, Any]:
    return {"sku": sku, "name": sku, "quantity": quantity, "unitAmount": 100}


async def confirm(api: Api, order: dict[str, Any], key: str = "confirm", **body: Any) -> httpx.Response:
    sent = {"paymentMethodToken": "pm_card_visa", **body}
    return await api.post(
        f"/v1/orders/{order['orderId']}/confirm", sent, key=f"{key}-{order['orderId']}", scopes=SERVICE
    )


async def test_stock_is_set_read_and_listed(api: Api) -> None:
    assert (await api.get(at("TEA"))).json()["code"] == "sku_untracked"
    made = await put(api, "TEA", 5)
    assert (made.status_code, made.json()) == (
        201,
        {"sku": "TEA", "onHand": 5, "reserved": 0, "available": 5},
    )
    changed = await put(api, "TEA", 7)
    assert (changed.status_code, changed.json()["onHand"]) == (200, 7)
    read = await api.get(at("TEA"))
    assert read.json() == changed.json()
    assert read.headers["etag"] == changed.headers["etag"] != made.headers["etag"]
    await put(api, "CUP", 1)
    first = (await api.get("/v1/inventory?limit=1")).json()
    assert [item["sku"] for item in first["items"]] == ["CUP"]
    last = (await api.get(f"/v1/inventory?limit=1&cursor={first['nextCursor']}")).json()
    assert ([item["sku"] for item in last["items"]], last["nextCursor"]) == (["TEA"], None)


@pytest.mark.parametrize(
    "sku", ["a/b", "a//b", "a/", "/a", "a b", "50%", "%2F", "Grün ☕", "a?b#c", "x" * 100, ";,:@&=+$", "..a"]
)
async def test_a_sku_is_any_text_that_a_line_can_have(api: Api, sku: str) -> None:
    assert (await put(api, sku, 3)).status_code == 201
    assert (await api.get(at(sku))).json()["sku"] == sku
    page = (await api.get("/v1/inventory")).json()
    assert [item["sku"] for item in page["items"]] == [sku]
    order = await api.order(lines=[line(sku, 4)])
    assert (await confirm(api, order)).json()["code"] == "stock_insufficient"


@pytest.mark.parametrize("path", ["%00", "a%00b", "%FF", "x" * 101, ""])
async def test_what_no_line_can_have_is_no_sku(api: Api, path: str) -> None:
    answer = await api.http.put(f"/v1/inventory/{path}", json={"onHand": 1}, headers=api.bearer(*OPERATOR))
    assert answer.status_code in (404, 405)


async def test_a_card_number_is_no_sku(api: Api) -> None:
    answer = await put(api, "4242424242424242", 1)
    assert (answer.status_code, answer.json()["code"]) == (400, "card_data_forbidden")


async def test_setting_stock_needs_an_operator(api: Api) -> None:
    answer = await api.http.put(at("TEA"), json={"onHand": 1}, headers=api.bearer(*SERVICE))
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert (await api.get(at("TEA"), scopes=("payments:read",))).status_code == 403


@pytest.mark.parametrize("on_hand", [-1, 1.5, "1", None, 10**9 + 1])
async def test_what_is_no_count_is_refused(api: Api, on_hand: Any) -> None:
    answer = await put(api, "TEA", on_hand)
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/onHand"]


async def test_a_count_is_made_on_the_version_that_is_known(api: Api) -> None:
    answer = await put(api, "TEA", 1, if_match="*")
    assert (answer.status_code, answer.json()["code"]) == (412, "version_stale")
    assert (await put(api, "TEA", 1, if_none_match="*")).status_code == 201
    stale = await put(api, "TEA", 2, if_none_match="*")
    assert (stale.status_code, stale.headers["etag"]) == (412, '"1"')
    assert (await put(api, "TEA", 2, if_match='"1"')).headers["etag"] == '"2"'
    assert (await put(api, "TEA", 3, if_match='"1"')).status_code == 412
    assert (await put(api, "TEA", 3, if_match="*")).status_code == 200
    for headers, code in (
        ({"if_match": "1"}, "if_match_malformed"),
        ({"if_none_match": '"1"'}, "if_none_match_malformed"),
        ({"if_none_match": "*", "if_match": "*"}, "if_none_match_malformed"),
    ):
        refused = await put(api, "TEA", 9, **headers)
        assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert await stock(api, "TEA") == (3, 0, 3)


async def test_no_less_is_there_than_orders_hold(api: Api) -> None:
    await put(api, "TEA", 5)
    assert (await confirm(api, await api.order(lines=[line("TEA", 3)]))).status_code == 200
    assert await stock(api, "TEA") == (5, 3, 2)
    refused = await put(api, "TEA", 2)
    assert (refused.status_code, refused.json()["code"]) == (409, "on_hand_below_reserved")
    assert refused.json()["errors"] == [
        {"pointer": "/onHand", "message": "3 of this SKU are reserved by orders"}
    ]
    assert (await put(api, "TEA", 3)).status_code == 200


async def test_an_order_is_confirmed_with_all_of_its_stock_or_not_at_all(api: Api) -> None:
    await put(api, "TEA", 3)
    await put(api, "CUP", 1)
    order = await api.order(
        lines=[line("SPOON", 9), line("TEA", 2), line("CUP", 2), line("TEA", 2), line("CUP", 1)]
    )
    refused = await confirm(api, order)
    assert (refused.status_code, refused.json()["code"]) == (409, "stock_insufficient")
    assert refused.json()["errors"] == [
        {"pointer": "/lines/1", "message": "TEA: 4 wanted, 3 available."},
        {"pointer": "/lines/2", "message": "CUP: 3 wanted, 1 available."},
    ]
    kept = (await api.get(f"/v1/orders/{order['orderId']}")).json()
    assert (kept["status"], kept["version"], kept["payments"]) == ("DRAFT", order["version"], [])
    assert (await stock(api, "TEA"), await stock(api, "CUP")) == ((3, 0, 3), (1, 0, 1))
    again = await confirm(api, order)
    assert again.headers["idempotency-replayed"] == "true"
    await put(api, "TEA", 4)
    await put(api, "CUP", 3)
    assert (await confirm(api, order, "anew")).json()["status"] == "PENDING_PAYMENT"
    assert (await stock(api, "TEA"), await stock(api, "CUP")) == ((4, 4, 0), (3, 3, 0))


async def test_a_refused_payment_gives_the_stock_back(api: Api) -> None:
    await put(api, "TEA", 1)
    order = await api.order(lines=[line("TEA", 1)])
    refused = await confirm(api, order, paymentMethodToken="pm_unknown")
    assert refused.status_code == 422
    assert (await api.get(f"/v1/orders/{order['orderId']}")).json()["status"] == "DRAFT"
    assert await stock(api, "TEA") == (1, 0, 1)


async def test_one_of_a_hundred_gets_the_last_one(api: Api) -> None:
    await put(api, "TEA", 1)
    orders = [await api.order(lines=[line("TEA", 1)]) for _ in range(100)]
    answers = await asyncio.gather(*(confirm(api, order) for order in orders))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 99
    assert {answer.json().get("code") for answer in answers} == {None, "stock_insufficient"}
    assert await stock(api, "TEA") == (1, 1, 0)
