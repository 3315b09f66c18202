"""What browsers are told, on every answer; and that scripts of others read nothing unless they may."""

import base64
import re
from hashlib import sha256

import pytest

from entrypoints.http.headers import NOTHING
from tests.integration.http.conftest import CART, SERVICE, Api, MakeApi

SHOP = "https://shop.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,idempotency-key",
}


@pytest.mark.parametrize(
    "path",
    ["/livez", "/v1/orders", "/nothing", "/metrics", "/asyncapi.json", "/schema", "/v1/webhooks/stripe"],
)
async def test_every_answer_is_guarded(api: Api, path: str) -> None:
    for answer in (await api.http.get(path), await api.get(path), await api.post(path)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith(NOTHING)
        assert answer.headers["cache-control"]
        assert not {"server", "x-powered-by", "set-cookie", "access-control-allow-origin"} & set(
            answer.headers
        )
        assert "strict-transport-security" not in answer.headers


async def test_what_is_of_one_caller_is_kept_by_nobody(api: Api) -> None:
    order = await api.order()
    for answer in (
        await api.get(f"/v1/orders/{order['orderId']}"),
        await api.get("/v1/orders/ord_none"),
        await api.get("/v1/payments"),
        await api.http.get("/checkout/return"),
    ):
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/schema"])
async def test_a_page_may_use_its_own_style_and_nothing_else(api: Api, path: str) -> None:
    page = await api.http.get(path)
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert page.headers["content-security-policy"] == f"{NOTHING}; style-src 'sha256-{digest}'"
    assert not re.search(r"<script|\son\w+=|\sstyle=|javascript:", page.text)


async def test_browsers_come_by_https_alone_where_that_is_set(make_api: MakeApi) -> None:
    answer = await make_api(hsts_seconds=3600).http.get("/livez")
    assert answer.headers["strict-transport-security"] == "max-age=3600"


async def test_scripts_of_others_read_nothing_by_default(api: Api) -> None:
    preflight = await api.http.options("/v1/orders", headers={"Origin": SHOP, **PREFLIGHT})
    answer = await api.http.get("/v1/orders", headers={"Origin": SHOP, **api.bearer(*SERVICE)})
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]


async def test_scripts_of_an_origin_that_is_set(make_api: MakeApi) -> None:
    api = make_api(cors_origins=(SHOP,), rate_limit_address=4)
    preflight = await api.http.options("/v1/orders", headers={"Origin": SHOP, **PREFLIGHT})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == SHOP
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["x-request-id"]

    answers = [
        await api.post("/v1/orders", CART, headers={"Origin": SHOP}),
        await api.post("/v1/orders", {}, headers={"Origin": SHOP}),
        await api.http.get("/v1/orders", headers={"Origin": SHOP}),
        await api.http.get("/nothing", headers={"Origin": SHOP}),
        await api.http.get("/v1/orders", headers={"Origin": SHOP}),
    ]
    assert [answer.status_code for answer in answers] == [201, 400, 401, 404, 429]
    for answer in answers:  # a script must be able to read why it is refused
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{SHOP}.evil.example", "http://shop.example", "*"]
)
async def test_scripts_of_any_other_origin(make_api: MakeApi, origin: str) -> None:
    api = make_api(cors_origins=(SHOP,))
    for one in (
        await api.http.options("/v1/orders", headers={"Origin": origin, **PREFLIGHT}),
        await api.http.get("/v1/orders", headers={"Origin": origin, **api.bearer(*SERVICE)}),
    ):
        assert not [name for name in one.headers if name.startswith("access-control-")]
        assert "Origin" in one.headers["vary"]
