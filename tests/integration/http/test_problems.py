"""Every refusal is a problem of RFC 9457, and nothing of a refused request is stored."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import text

from domain.payments.gateway import GatewayRefused
from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.http.bodies import MAX_BODY_BYTES
from entrypoints.settings import Secret
from tests.integration.http.conftest import CART, CUSTOMER, REFUNDER, SERVICE, Api, MakeSettings
from tests.support.fake_gateway import FakeGateway

CARD = "4242 4242 4242 4242"
INTENT = {"orderId": "o-1", "amount": 990, "currency": "EUR"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert answer.headers["x-request-id"]
    return body


async def stored_rows(api: Api) -> dict[str, int]:
    """The rows of every table that a request could have written to."""
    counts = {}
    async with api.container.orders.engine.connect() as connection:
        tables = await connection.execute(
            text(
                "SELECT schemaname || '.' || tablename FROM pg_tables"
                " WHERE schemaname IN ('orders', 'payments') AND tablename NOT LIKE 'outbox_lane'"
            )
        )
        for table in tables.scalars().all():
            counts[table] = await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0
    return {table: count for table, count in counts.items() if count}


async def test_bad_input_stores_nothing(api: Api, gateway: FakeGateway) -> None:
    before = await stored_rows(api)
    for number, body in enumerate(
        [
            {},
            {**INTENT, "amount": 0},
            {**INTENT, "amount": -5},
            {**INTENT, "amount": 10.5},
            {**INTENT, "amount": 2**53},
            {**INTENT, "currency": "QQQ"},
            {**INTENT, "colour": "red"},
            {**INTENT, "orderId": "a b"},
        ]
    ):
        for path in ("/v1/payments/intents", "/v1/payments", "/v1/orders", "/v1/refunds"):
            problem(await api.post(path, body, key=f"k{number}", scopes=REFUNDER), 400, "malformed")
    for content in (b"{", b'{"orderId": "\xff"}', b'{"amount": NaN}', b"[" * 5000):
        answer = await api.post("/v1/payments/intents", content=content, key="k")
        problem(answer, 400, "invalid_json")
    assert await stored_rows(api) == before
    assert not gateway.sent


async def test_a_card_number_is_refused_and_never_logged_or_stored(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await stored_rows(api)
    answers = [
        await api.post("/v1/orders", {**CART, "metadata": {"note": CARD}}, key="k1"),
        await api.post("/v1/orders", {**CART, "metadata": {CARD: "x"}}, key="k2"),
        await api.post("/v1/orders", CART, key=CARD.replace(" ", "-")),
        await api.post("/v1/payments", {**INTENT, "paymentMethodToken": CARD}, key="k3"),
        await api.post("/v1/payments", {**INTENT, "card": {"number": 4242424242424242}}, key="k4"),
        await api.get(f"/v1/orders?userId={CARD}"),
    ]
    for answer in answers:
        body = problem(answer, 400, "card_data_forbidden")
        assert "4242" not in str(body)
    named = await api.post("/v1/orders", {}, headers={"X-Request-Id": CARD.replace(" ", "-")})
    assert "4242" not in named.headers["x-request-id"]
    printed = capsys.readouterr()
    assert "4242" not in printed.out + printed.err
    assert await stored_rows(api) == before


async def test_the_size_of_a_body_is_bounded(api: Api) -> None:
    large = b'{"reason": "' + b"x" * MAX_BODY_BYTES + b'"}'
    problem(await api.post("/v1/orders", content=large), 413, "body_too_large")
    problem(await api.post("/v1/webhooks/stripe", content=large), 413, "body_too_large")


async def test_a_body_without_length_is_read_no_further_than_the_limit(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    received: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(chunks), "more_body": True}

    async def send(message: Any) -> None:
        received.append(message)

    chunks = endless()
    headers = [
        (b"host", b"payonce.test"),
        (b"content-type", b"application/json"),
        (b"authorization", f"Bearer {api.token(*SERVICE)}".encode()),
    ]
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/v1/orders",
        "query_string": b"",
        "headers": headers,
    }
    await api.app(scope, receive, send)  # type: ignore[arg-type]
    assert received[0]["status"] == 413
    assert sent <= MAX_BODY_BYTES + 2 * 65536


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/json; charset=latin-1", "", "multipart/form-data"],
)
async def test_only_json_in_utf8(api: Api, content_type: str) -> None:
    answer = await api.post("/v1/orders", content=b"{}", headers={"Content-Type": content_type})
    problem(answer, 415, "media_type_unsupported")
    zipped = await api.post("/v1/orders", content=b"{}", headers={"Content-Encoding": "gzip"})
    problem(zipped, 415, "media_type_unsupported")


async def test_unknown_paths_and_methods(api: Api) -> None:
    problem(await api.get("/v1/nothing"), 404, "not_found")
    problem(await api.get("/v1/orders/%2e%2e%2fsecret"), 404, "not_found")
    problem(await api.get("/v1/orders/a%00b"), 404, "not_found")
    problem(await api.get("/v1/orders/ord_none"), 404, "order_not_found")
    refused = await api.http.delete("/v1/orders")
    problem(refused, 405, "method_not_allowed")
    assert "POST" in refused.headers["allow"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=101", "?limit"),
        ("limit=ten", "?limit"),
        ("limit=1.5", "?limit"),
        ("limit=1&limit=2", "?limit"),
        ("cursor=!!", "?cursor"),
        ("cursor=AAAA", "?cursor"),
        ("status=paid", "?status"),
        ("userid=u_1", "?userid"),
        ("userId=%00", "?userId"),
    ],
)
async def test_bad_queries(api: Api, query: str, pointer: str) -> None:
    body = problem(await api.get(f"/v1/orders?{query}"), 400, "malformed")
    assert [fault["pointer"] for fault in body["errors"]] == [pointer]


async def test_domain_errors_by_class(api: Api, gateway: FakeGateway) -> None:
    order = await api.order()
    path = f"/v1/orders/{order['orderId']}"
    other = await api.post("/v1/orders", {**CART, "userId": "u_2"}, scopes=CUSTOMER)
    problem(other, 403, "user_differs")
    early = await api.post(f"{path}/payments", key="k1")
    problem(early, 409, "order_state_forbids")
    wrong = {"orderId": order["orderId"], "amount": 1, "currency": "EUR"}
    differs = problem(await api.post("/v1/payments/intents", wrong, key="k2"), 422, "order_terms_differ")
    assert differs["errors"][0]["pointer"].startswith("/")
    gateway.script(GatewayRefused("parameter_invalid", "No such thing.", param="payment_method"))
    right = {**wrong, "amount": order["totalAmount"]}
    problem(await api.post("/v1/payments/intents", right, key="k3"), 422, "gateway_refused")


async def test_a_database_that_is_away_is_503(make_settings: MakeSettings, gateway: FakeGateway) -> None:
    settings = make_settings(database_url=Secret("postgresql://payonce:hidden@127.0.0.1:1/none"))
    container = build_container(settings, Outside(gateway=gateway))
    api = Api(create_app_of(container), container)
    for answer in (await api.get("/v1/orders"), await api.post("/v1/orders", CART, key="k1")):
        problem(answer, 503, "database_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    ready = await api.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.headers["content-type"] == "application/json"
    checks = {check["name"]: check for check in ready.json()["checks"]}
    assert not checks["ordersDatabase"]["ready"]
    assert checks["ordersDatabase"]["reason"]
    assert checks["broker"]["ready"]
    assert "hidden" not in ready.text
    await api.http.aclose()
    await container.stop()


async def test_an_unforeseen_error_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr("entrypoints.http.orders.order_answer", broken)
    with structlog.testing.capture_logs() as logs:
        answer = await api.post("/v1/orders", CART, key="k1")
    problem(answer, 500, "internal_error")
    assert "inner" not in answer.text
    assert [str(line["exc_info"]) for line in logs if line["log_level"] == "error"] == ["the inner secret"]
    monkeypatch.undo()
    assert (await api.post("/v1/orders", CART, key="k1")).status_code == 201
