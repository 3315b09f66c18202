"""Signing in and out, the cookie, and who may open what: none of it needs the database."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from adapters.system.clock import SystemClock
from domain.orders.use_cases.read_orders import ListOrdersHandler
from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.console.pages import HEADERS, POLICY
from entrypoints.http.app import create_app_of
from entrypoints.local.ready import READY_TOKENS
from entrypoints.settings import Secret, Settings
from tests.integration.console.conftest import OPERATOR, OpenBrowser
from tests.integration.http.conftest import Api
from tests.support.browser import Browser, Page
from tests.support.fake_gateway import FakeGateway
from tests.support.services import Service, settings_of

PLAIN = "/console/dead-letters/orders/00000000-0000-7000-8000-000000000000/skip"
"""A page that asks nobody."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One for all of them, which none of them changes."""
    home = tmp_path_factory.mktemp("console")
    create_keys(home / "keys.json")
    create_data_keys(home / "data-keys.json")
    secrets: dict[str, Any] = {
        "stripe_api_key": Secret("sk_test_payonce"),
        "stripe_webhook_secret": Secret("whsec_test"),
    }
    client = api_of(Settings(home=home, **NOTHING, **secrets))
    yield client
    asyncio.run(client.container.stop())


@pytest.fixture
async def api(shared: Api) -> AsyncIterator[Api]:
    client = Api(shared.app, shared.container)
    yield client
    await client.http.aclose()


NOTHING: dict[str, Any] = {
    "database_url": Secret("postgresql://nobody@127.0.0.1:9/nothing"),
    "redis_url": Secret("redis://127.0.0.1:9"),
}


def api_of(settings: Settings) -> Api:
    container = build_container(settings, Outside(gateway=FakeGateway(SystemClock())))
    return Api(create_app_of(container), container)


async def test_an_operator_signs_in_and_out(api: Api, open_browser: OpenBrowser) -> None:
    browser = open_browser()
    page = await browser.open(f"{PLAIN}?done=x")
    assert page.answer.url.path == "/console/sign-in"
    token = api.token(*OPERATOR, sub="ada")
    answer = await browser.http.post(
        "/console/sign-in",
        data={**page.form("/console/sign-in").fields, "token": token},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PLAIN}?done=x")
    cookie = answer.headers["set-cookie"]
    seconds = int(re.sub(r".*Max-Age=(\d+);.*", r"\1", cookie))
    assert 0 < seconds <= 600
    assert cookie == (f"__Host-payonce={token}; Path=/; Secure; Max-Age={seconds}; HttpOnly; SameSite=Strict")
    page = await browser.open(PLAIN)
    assert page.status == 200
    assert "ada" in page.text
    assert token not in page.answer.text

    page = await browser.send(page.form("/console/sign-out"))
    assert "You are signed out." in page.text
    assert not browser.http.cookies
    assert (await browser.open(PLAIN)).answer.url.path == "/console/sign-in"


async def test_on_this_machine_it_works_without_https(api: Api, open_browser: OpenBrowser) -> None:
    for origin in ("http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"):
        browser = open_browser(origin)
        page = await browser.open("/console/sign-in")
        answer = await browser.http.post(
            "/console/sign-in",
            data={**page.form("/console/sign-in").fields, "token": api.token(*OPERATOR)},
            headers={"Origin": origin},
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("payonce_console=")
        assert "Path=/console;" in cookie
        assert "Secure" not in cookie
        assert (await browser.open(PLAIN)).status == 200


async def test_elsewhere_the_cookie_travels_by_https_alone(api: Api, open_browser: OpenBrowser) -> None:
    https = {"X-Forwarded-Proto": "https"}
    for origin, headers in [
        ("http://payonce.test", {}),
        ("http://10.0.0.7", {}),
        ("http://localhost.payonce.test", {}),
        ("http://localhost", https),
    ]:
        answer = await open_browser(origin).http.post(
            "/console/sign-in",
            data={"next": "/console", "token": api.token(*OPERATOR)},
            headers={"Origin": origin, **headers},
        )
        assert answer.headers["set-cookie"].startswith("__Host-payonce="), origin
        assert "; Secure;" in answer.headers["set-cookie"]


async def test_a_token_that_does_not_do_opens_nothing(api: Api, open_browser: OpenBrowser) -> None:
    browser = open_browser()
    for token, said in [
        ("", "Paste a token."),
        ("x", "The bearer token is refused: malformed."),
        ("é" * 20, "of ASCII"),
        ("a" * 3801, "at most 3800 characters"),
        (api.token(*OPERATOR, seconds=-60), "The bearer token has expired."),
        (api.token("orders:read", "operations:write", "users:any"), "lacks the scope operations:read"),
    ]:
        page = await browser.sign_in(token)
        assert page.status in (401, 403)
        assert said in page.text
        assert not browser.http.cookies
        assert len(token) < 2 or token not in page.answer.text


async def test_a_session_ends_with_its_token(api: Api, open_browser: OpenBrowser) -> None:
    browser = open_browser()
    for token in (api.token(*OPERATOR, seconds=-60), "forged"):
        browser.http.cookies.set("__Host-payonce", token, domain="payonce.test")
        answer = await browser.http.get("/console/orders")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/console/sign-in?next=/console/orders",
        )
        assert answer.headers["set-cookie"].startswith("__Host-payonce=; ")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        browser.http.cookies.clear()


async def test_a_cookie_opens_the_console_alone(api: Api, browser: Browser) -> None:
    for path in ("/v1/orders", "/v1/events"):
        answer = await browser.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    bearer = await api.http.get("/console", headers=api.bearer(*OPERATOR))
    assert bearer.status_code == 303


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/console/../v1/orders/\\x",
    "/consoleevil",
    "javascript:alert(1)",
    "/console/orders\r\nSet-Cookie: a=b",
    '/console/"><script>',
    "",
)


async def test_nobody_is_led_elsewhere_after_signing_in(api: Api, open_browser: OpenBrowser) -> None:
    browser = open_browser()
    form = (await browser.open("/console/sign-in")).form("/console/sign-in")
    for elsewhere in ELSEWHERE:
        page = await browser.send(form, next=elsewhere, token="x")
        assert page.form("/console/sign-in").fields["next"] == "/console"
        answer = await browser.http.post(
            "/console/sign-in",
            data={"next": elsewhere, "token": api.token(*OPERATOR)},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.headers["location"] == "/console", elsewhere
        assert len(answer.headers.get_list("set-cookie")) == 1


# Who may open what


def consoles(api: Api, method: str) -> list[tuple[str, tuple[str, ...]]]:
    """Paths of the console's pages or actions, with the scopes that they want besides the entrance."""
    found = []
    for route in api.app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/console"):
            for handler, _ in route.route_handler_map.values():
                if method in handler.http_methods and "console_scopes" in handler.opt:
                    path = (
                        route.path_format.replace("{consumer}", "orders")
                        .replace("{eventId}", "00000000-0000-7000-8000-000000000000")
                        .replace("{", "")
                        .replace("}", "")
                    )
                    found.append((path, handler.opt["console_scopes"]))
    assert len(found) > 3
    return found


SCOPES = {
    "/console": (),
    "/console/rest": (),
    "/console/sign-out": (),
    "/console/orders": ("orders:read",),
    "/console/orders/orderId": ("orders:read",),
    "/console/orders/orderId/stream": ("orders:read",),
    "/console/orders/orderId/acknowledge": ("operations:write",),
    "/console/payments/paymentId/acknowledge": ("operations:write",),
    "/console/payments": ("payments:read",),
    "/console/payments/paymentId": ("payments:read",),
    "/console/refunds": ("refunds:create|refunds:approve",),
    "/console/refunds/refundId": ("refunds:create|refunds:approve",),
    "/console/refunds/refundId/approve": ("refunds:approve",),
    "/console/refunds/refundId/reject": ("refunds:approve",),
    "/console/refunds/refundId/retry": ("refunds:create",),
    "/console/findings": ("operations:read",),
    "/console/findings/findingId/settle": ("operations:write",),
    "/console/ledger": ("operations:read",),
    "/console/audit": ("operations:read",),
    "/console/dead-letters": (),
    "/console/dead-letters/orders/retry": ("operations:write",),
    "/console/dead-letters/orders/00000000-0000-7000-8000-000000000000/skip": ("operations:write",),
    "/console/webhooks": (),
    "/console/webhooks/gateway/00000000-0000-7000-8000-000000000000/replay": ("operations:write",),
    "/console/endpoints": ("operations:read",),
    "/console/endpoints/endpointId": ("operations:read",),
    "/console/endpoints/endpointId/deliveries/deliveryId/replay": ("operations:write",),
    "/console/stock": ("orders:read",),
    "/console/stock/count": ("operations:write",),
}
"""What each page and action wants besides `operations:read`; this table is the test."""


async def test_every_page_and_action_wants_its_scopes(api: Api, open_browser: OpenBrowser) -> None:
    found = [(method, *one) for method in ("GET", "POST") for one in consoles(api, method)]
    assert {(path, wanted) for _, path, wanted in found} == set(SCOPES.items())
    browser = open_browser()
    for method, path, wanted in found:
        for missing in (*wanted, "operations:read"):
            rest = {*wanted, "operations:read"} - {missing}
            scopes = {"other:scope", *(scope.split("|")[0] for scope in rest)}
            browser.http.cookies.set("__Host-payonce", api.token(*scopes), domain="payonce.test")
            answer = await browser.http.request(method, path, headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status_code == 403, (method, path, missing)
            assert "scope_missing" in answer.text
            assert f"The token lacks the scope {missing.replace('|', ' or ')}" in Page(answer).text
        browser.http.cookies.clear()
        answer = await browser.http.request(method, path, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/sign-in?next=")


async def test_what_one_may_not_do_is_not_offered(api: Api, open_browser: OpenBrowser) -> None:
    browser = open_browser()
    await browser.sign_in(api.token("operations:read", sub="guard"))
    page = await browser.open("/console/none")
    assert "/console/orders" not in page.links
    assert "/console/webhooks" in page.links


# Forms of other sites


async def test_no_action_is_done_for_another_site(api: Api, browser: Browser) -> None:
    """Each with a signed-in operator's cookie, as a browser without SameSite would send it."""
    order = (await browser.open(PLAIN)).form("/console/sign-out").fields
    for path, _ in consoles(api, "POST"):
        for headers in (
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "same-site", "Origin": "https://shop.payonce.test"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {},
        ):
            answer = await browser.http.post(path, data=order, headers=headers)
            assert answer.status_code == 403, (path, headers)
            assert "cross_site_refused" in answer.text


async def test_no_action_is_done_by_a_form_of_another_session(
    api: Api, browser: Browser, open_browser: OpenBrowser
) -> None:
    other = open_browser()
    for one in (browser, other):
        await one.sign_in(api.token(*OPERATOR, "refunds:create", "refunds:approve", sub="operator"))
    foreign = (await other.open(PLAIN)).form("/console/sign-out").fields
    own = (await browser.open(PLAIN)).form("/console/sign-out").fields
    assert foreign["formToken"] != own["formToken"]
    for path, _ in consoles(api, "POST"):
        for token in (foreign["formToken"], "", "é"):
            answer = await browser.http.post(
                path, data={**own, "formToken": token}, headers={"Sec-Fetch-Site": "same-origin"}
            )
            assert answer.status_code == 403, path
            assert "form_token_invalid" in answer.text
    assert (await browser.open(PLAIN)).status == 200


async def test_signing_somebody_in_as_oneself_from_another_site_is_refused(
    api: Api, open_browser: OpenBrowser
) -> None:
    browser = open_browser()
    answer = await browser.http.post(
        "/console/sign-in",
        data={"token": api.token(*OPERATOR)},
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_no_other_page_may_follow_an_order(browser: Browser) -> None:
    answer = await browser.http.get("/console/orders/ord_1/stream", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


async def test_every_answer_of_the_console_is_guarded(api: Api, browser: Browser) -> None:
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY
    for path in (
        "/console",
        "/console/orders",
        "/console/none",
        "/console/orders/ord_none",
        "/console/sign-in",
    ):
        answer = await browser.http.get(path)
        for name, value in HEADERS:
            assert answer.headers[name] == value, path
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("console.css", "console.js", "icon.svg"):
        asset = await browser.http.get(f"/console/static/{name}")
        assert asset.status_code == 200
        assert "max-age" in asset.headers["cache-control"]
    assert (await browser.http.get("/console/static/base.html")).status_code == 404


async def test_forms_that_cannot_be_read(open_browser: OpenBrowser) -> None:
    form = "application/x-www-form-urlencoded"
    for content, media_type, status in [
        ('{"token": "x"}', "application/json", 415),
        ("token=%FF", form, 400),
        ("token=%00", form, 400),
        ("token=a&token=b", form, 400),
        ("token=4242424242424242", form, 400),
        ("&".join(f"a{number}=1" for number in range(41)), form, 400),
        ("token=" + "a" * 65536, form, 413),
    ]:
        answer = await open_browser().http.post(
            "/console/sign-in",
            content=content,
            headers={"Content-Type": media_type, "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == status, content[:40]
        page = Page(answer)
        assert page.faults == []
        assert answer.headers["x-request-id"] in page.text


async def test_a_process_shows_the_pages_of_its_service(tmp_path: Path) -> None:
    apart: tuple[tuple[Service, str, str], ...] = (
        ("orders", "/console/findings", "/console/payments"),
        ("payments", "/console/payments", "/console/findings"),
    )
    for service, own, other in apart:
        urls = {"orders": "https://localhost:9", "payments": "https://localhost:9"}
        api = api_of(settings_of(service, tmp_path, urls, **NOTHING))
        browser = Browser(api.app)
        await browser.sign_in(api.token(*OPERATOR))
        assert (await browser.open("/console")).status == 200
        page = await browser.open(other)
        assert page.status == 404
        assert own in page.links
        assert other not in page.links
        paths = {route.path for route in api.app.routes}
        assert own in paths
        assert other not in paths
        # The books are compared where the orders are.
        assert ("/v1/findings" in paths) == (service == "orders")
        await browser.http.aclose()
        await api.container.stop()


async def test_what_cannot_be_told_is_said_and_the_rest_shown(browser: Browser) -> None:
    page = await browser.open("/console")
    assert page.status == 200
    assert "Cannot be told now: DatabaseUnavailable." in page.text
    assert "circuit of fake closed" in page.text
    assert "nobody" not in page.answer.text
    page = await browser.open("/console/orders")
    assert (page.status, "database_unavailable" in page.text) == (503, True)
    assert page.answer.headers["retry-after"]


async def test_an_unforeseen_error_tells_nothing(
    api: Api, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=marked")

    monkeypatch.setattr(ListOrdersHandler, "__call__", fail)
    page = await browser.open("/console/orders")
    assert page.status == 500
    assert "Something went wrong on our side." in page.text
    assert page.answer.headers["x-request-id"] in page.text
    assert "marked" not in page.answer.text


def test_operators_are_those_of_the_ready_file() -> None:
    assert READY_TOKENS["operator"][1] == OPERATOR
