"""Journeys with marked values, at the most talkative log level: nothing that is written has one of them."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from entrypoints.local.ready import READY_TOKENS
from tests.e2e.conftest import RunningSystem, payonce, running_system
from tests.support.secrets import Marks, dump_of, logs_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]

CARD = "4000056655665556"
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    home = tmp_path_factory.mktemp("talkative") / "home"
    settings = {
        "PAYONCE_LOG_LEVEL": "DEBUG",
        "PAYONCE_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
        # What nobody tells us is to be found within a test's time.
        "PAYONCE_RECONCILE_SECONDS": "1",
        "PAYONCE_RECONCILE_GRACE_SECONDS": "2",
    }
    with running_system(home, settings) as running:
        yield running


class Journey:
    """A client that keeps every refusal it is given, and marks what it must never see again."""

    def __init__(self, system: RunningSystem) -> None:
        ready = system.ready
        self.marks = Marks()
        self.refusals: list[tuple[str, str]] = []
        self.tokens: dict[str, str] = ready["tokens"]
        self.http = httpx.Client(base_url=ready["apiUrl"], timeout=30)
        self.sandbox = httpx.Client(
            base_url=ready["sandboxUrl"], timeout=30, headers={"Authorization": "Bearer sk_test_payonce"}
        )
        self.keys = 0
        for name, token in self.tokens.items():
            self.marks.add(f"the token {name}", token)
        for name in ("databaseUrl", "redisUrl"):
            if password := urlsplit(ready[name]).password:
                self.marks.add(f"the password of {name}", password)
        self.marks.add("the webhook secret", (system.home / "webhook-secret").read_text().strip())
        self.marks.add("the gateway's key", "sk_test_payonce")
        self.customer = {
            "name": self.marks.add("the customer's name", "Quendolin Markwort-Zypern"),
            "email": self.marks.add("the customer's address", "quendolin@markwort-zypern.example"),
            "billingAddress": {
                "line1": self.marks.add("the street", "Zypernmarkgasse 4711b"),
                "city": self.marks.add("the city", "Markwortshausen"),
                "postalCode": "99999",
                "country": "DE",
            },
        }
        self.note = self.marks.add("an order's note", "for my aunt Zypernella")
        self.marks.add("a card number", CARD)

    def call(
        self, method: str, path: str, body: Any = None, *, token: str = "service", **headers: str
    ) -> httpx.Response:
        self.keys += 1
        sent = {
            "Authorization": f"Bearer {self.tokens[token]}",
            "Idempotency-Key": f"key-{self.keys}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        answer = self.http.request(method, path, json=body, headers=sent)
        if answer.status_code >= 400:
            self.refusals.append((f"{method} {urlsplit(path).path}", answer.text + str(answer.headers)))
        return answer

    def order(self, **changes: Any) -> dict[str, Any]:
        lines = [{"sku": "TEA", "name": "Tea", "quantity": 1, "unitAmount": 990}]
        body = {
            "currency": "EUR",
            "customer": self.customer,
            "lines": lines,
            "userId": "u_1",
            "metadata": {"note": self.note},
            **changes,
        }
        answer = self.call("POST", "/v1/orders", body)
        assert answer.status_code == 201, answer.text
        order: dict[str, Any] = answer.json()
        return order

    def confirm(self, order: dict[str, Any], method: str | None) -> dict[str, Any]:
        back = self.marks.add("a token in a return URL", "marked-session-of-the-shop")
        body = {"returnUrl": f"https://shop.example/back?session={back}"}
        if method:
            body["paymentMethodToken"] = method
        payment: dict[str, Any] = self.call("POST", f"/v1/orders/{order['orderId']}/confirm", body).json()[
            "payment"
        ]
        if payment["clientSecret"]:
            self.marks.add(f"the client secret of {order['orderId']}", payment["clientSecret"])
        return payment

    def wait_for(self, order: dict[str, Any], *statuses: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.call("GET", f"/v1/orders/{order['orderId']}").json()["status"] not in statuses:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def pay_in_many_ways(journey: Journey) -> None:
    paid, declined, asked, canceled = (journey.order() for _ in range(4))
    journey.confirm(declined, "pm_card_chargeDeclined")
    payment = journey.confirm(asked, "pm_card_authenticationRequired")
    journey.call(
        "GET",
        f"/checkout/return?payment_intent={payment['gatewayPaymentIntentId']}"
        f"&payment_intent_client_secret={payment['clientSecret']}",
    )
    journey.call(
        "GET", f"/checkout/return?payment_intent=pi_0&payment_intent_client_secret=pi_0_secret_{'x' * 24}"
    )
    journey.marks.add("a client secret that nobody knows", f"pi_0_secret_{'x' * 24}")
    journey.call("POST", f"/v1/orders/{canceled['orderId']}/cancel")
    payment = journey.confirm(paid, "pm_card_visa")
    journey.wait_for(paid, "PAID", "PROCESSING_FULFILLMENT")
    refund = {"paymentId": payment["paymentId"], "amount": 90, "currency": "EUR", "reason": "torn"}
    assert journey.call("POST", "/v1/refunds", refund, token="refunder").status_code == 201
    journey.wait_for(paid, "PARTIALLY_REFUNDED")
    refund_by_two(journey)
    for path in (f"/v1/orders/{paid['orderId']}/explain", "/v1/orders", "/v1/payments", "/v1/events"):
        journey.call("GET", path, token="operator")
    guest = journey.order(userId=None)
    if token := guest.get("orderToken"):
        journey.marks.add("a guest's token", token)
        journey.tokens["guest"] = token
        assert journey.call("GET", f"/v1/orders/{guest['orderId']}", token="guest").status_code == 200
    journey.wait_for(declined, "PAYMENT_FAILED")


def register_an_endpoint(journey: Journey) -> None:
    key = journey.marks.add("a key in a URL", "marked-endpoint-key")
    wanted = {"url": f"https://127.0.0.1:9/hooks?key={key}", "eventTypes": ["PaymentSucceeded"]}
    registered = journey.call("POST", "/v1/webhook-endpoints", wanted, token="operator")
    assert registered.status_code == 201, registered.text
    journey.marks.add("an endpoint's secret", registered.json()["secret"])


def refund_by_two(journey: Journey) -> None:
    """Above the limit of whoever asks: a second person approves."""
    order = journey.order(lines=[{"sku": "CHAIR", "name": "Chair", "quantity": 1, "unitAmount": 150_000}])
    payment_id = journey.confirm(order, "pm_card_visa")["paymentId"]
    journey.wait_for(order, "PAID", "PROCESSING_FULFILLMENT")
    body = {"paymentId": payment_id, "amount": 120_000, "currency": "EUR", "reason": "torn"}
    assert journey.call("POST", "/v1/refunds/simulate", body, token="refunder").status_code == 200
    asked = journey.call("POST", "/v1/refunds", body, token="refunder").json()
    assert asked["status"] == "PENDING_APPROVAL"
    path = f"/v1/refunds/{asked['refundId']}"
    for token, verb, status in (
        ("refunder", "approve", 403),
        ("approver", "approve", 200),
        ("approver", "reject", 409),
        ("refunder", "retry", 409),
    ):
        assert journey.call("POST", f"{path}/{verb}", {}, token=token).status_code == status
    journey.wait_for(order, "PARTIALLY_REFUNDED")


def send_what_is_refused(journey: Journey) -> None:
    marks, email = journey.marks, journey.customer["email"]
    order = journey.order()
    path = f"/v1/orders/{order['orderId']}"
    journey.call("POST", "/v1/orders", {"currency": "EUR", "customer": {"card": CARD}})
    journey.call("POST", "/v1/orders", {"customer": {"name": 7, "email": f"{email} {email}"}})
    journey.call("POST", "/v1/orders", {"note": [email, journey.customer["name"]]})
    journey.call("GET", f"/v1/orders?userId={CARD}")
    journey.call("GET", f"/v1/orders/{email}")
    journey.call("GET", f"/v1/orders?customer={email}")
    journey.call("POST", f"{path}/confirm", {"paymentMethodToken": CARD}, Idempotency_Key=CARD)
    journey.call("GET", path, X_Request_Id=CARD)
    journey.call("GET", f"/{CARD}/{email}")
    secret = marks.add("a gateway's secret key", "sk_live_markedmarkedmarked")
    journey.call("POST", f"{path}/confirm", {"paymentMethodToken": secret})
    for name, header in {
        "a forged token": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYXJrZWQifQ.bWFya2VkbWFya2Vk",
        "a token of no form": "Bearer marked-bad-token-marked",
        "a password": "Basic bWFya2VkOm1hcmtlZC1wYXNzd29yZA==",
    }.items():
        marks.add(name, header.partition(" ")[2])
        journey.call("GET", path, Authorization=header)
    signature = marks.add("a signature", "v1=markedmarkedmarkedmarkedmarked")
    body = {"id": "evt_1", "object": "event", "data": {"object": {"receipt_email": email, "number": CARD}}}
    journey.call("POST", "/v1/webhooks/stripe", body, Stripe_Signature=f"t=1,{signature}")
    journey.call("GET", path, Cookie=f"session={marks.add('a cookie', 'marked-session-cookie')}")


def pay_while_the_gateway_fails(journey: Journey) -> None:
    api = {"error500": 1.0}
    assert journey.sandbox.post("/_sandbox/chaos", json={"seed": 1, "api": api}).status_code == 200
    try:
        journey.call(
            "POST", f"/v1/orders/{journey.order()['orderId']}/confirm", {"paymentMethodToken": "pm_card_visa"}
        )
    finally:
        assert journey.sandbox.post("/_sandbox/reset").status_code == 200


def compare_the_books(journey: Journey, system: RunningSystem) -> None:
    """A refund that only the gateway knows of is found and repaired; the ledger and the findings are read."""
    order = journey.order()
    payment = journey.confirm(order, "pm_card_visa")
    journey.wait_for(order, "PAID", "PROCESSING_FULFILLMENT")
    lost = {"seed": 1, "webhooks": {"drop": 1.0}}
    assert journey.sandbox.post("/_sandbox/chaos", json=lost).status_code == 200
    refund = {"payment_intent": payment["gatewayPaymentIntentId"], "amount": "90"}
    assert journey.sandbox.post("/v1/refunds", data=refund).status_code == 200
    journey.wait_for(order, "PARTIALLY_REFUNDED")
    assert journey.sandbox.post("/_sandbox/reset").status_code == 200
    found = journey.call("GET", f"/v1/findings?orderId={order['orderId']}", token="operator")
    assert "REFUND_AT_GATEWAY" in found.text
    pages = [found.text] + [
        journey.call("GET", f"/v1/ledger/{what}", token="operator").text for what in ("balances", "entries")
    ]
    assert payment["paymentId"] in pages[-1]
    command = ("reconcile", "--ready-file", str(system.ready_file), "--apply")
    done = payonce(*command, **{**system.settings, "PAYONCE_HOME": str(system.home)})
    assert done.returncode in (0, 1), done.stderr
    pages.append(done.stdout + done.stderr)
    journey.refusals += [(f"page {number} of the books", text) for number, text in enumerate(pages)]


def look_at_the_console(journey: Journey) -> None:
    """Every page that an operator comes to; what each shows is searched like what is written."""
    http = httpx.Client(base_url=str(journey.http.base_url), timeout=30, follow_redirects=True)
    http.headers["Sec-Fetch-Site"] = "same-origin"
    page = http.post("/console/sign-in", data={"token": journey.tokens["operator"], "next": "/console"})
    assert page.status_code == 200
    seen: dict[str, str] = {}
    wanted = ["/console"]
    while wanted:
        path = wanted.pop()
        if path.startswith("/console") and path not in seen:
            page = http.get(path)
            seen[path] = page.text
            wanted += re.findall(r'href="([^"#]+)"', page.text)
    assert len([path for path in seen if path.startswith("/console/orders/")]) > 5
    assert len([path for path in seen if path.startswith("/console/payments/")]) > 2
    http.post("/console/sign-in", data={"token": "marked-bad-token-marked"})
    http.close()
    journey.refusals += [(f"the page {path}", text) for path, text in seen.items()]


def test_nothing_that_is_written_has_a_secret_or_personal_data(talkative: RunningSystem) -> None:
    journey = Journey(talkative)
    register_an_endpoint(journey)
    pay_in_many_ways(journey)
    send_what_is_refused(journey)
    pay_while_the_gateway_fails(journey)
    compare_the_books(journey, talkative)
    look_at_the_console(journey)
    metrics = journey.http.get("/metrics").text
    database = asyncio.run(dump_of(talkative.ready["databaseUrl"]))
    journey.http.close()
    journey.sandbox.close()
    assert talkative.stop() == 0  # what is buffered is written, and what is said at the end is there

    assert {
        "orders.orders",
        "payments.operation",
        "payments.webhook_event",
        "payments.ledger_entry",
        "reconciliation.finding",
    } <= {n for n, t in database if t}
    written = [*logs_of(talkative.home), *journey.refusals, ("the metrics", metrics), *database]
    by_name = dict(written)
    terminal = talkative.output.read_text(encoding="utf-8")
    assert (
        journey.tokens["customer"] in terminal
    )  # `payonce up` shows its tokens to whoever starts it: on purpose
    assert len(journey.refusals) > 12
    for name in ("http.log", "relay.log", "worker-1.log"):
        assert by_name[name], f"{name} is empty: nothing was searched"
    assert '"route":"/v1/orders/{orderId}/confirm"' in by_name["http.log"].replace('": "', '":"')
    found = [line for source, text in written for line in journey.marks.found_in(source, text)]
    for name in READY_TOKENS:
        journey.marks.values.pop(f"the token {name}")
    found += journey.marks.found_in("the terminal", terminal)
    assert not found, "\n".join(found)


def test_the_search_finds_a_value_in_each_form() -> None:
    marks = Marks({"an address": "ada@example.org"})
    for text in ("x ada@example.org", "?mail=ada%40example.org", "YWRhQGV4YW1wbGUub3Jn"):
        assert list(marks.found_in("a log", f"one\n{text}\n")) == [f"an address in a log: {text}"]
    assert not list(marks.found_in("a log", "ada at example"))
