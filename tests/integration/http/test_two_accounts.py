"""Two gateway accounts, each a real sandbox: routing, failover, and that nothing crosses between them."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from adapters.circuit_breaker.circuit import Circuit
from adapters.system.clock import SystemClock
from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.settings import AccountSettings
from tests.integration.http.conftest import CUSTOMER, REFUNDER, SERVICE, Api, MakeSettings
from tests.integration.http.test_problems import problem, stored_rows
from tests.support.pauses import Pauses
from tests.support.sandbox import SandboxGateway, SandboxProcess

SECOND_KEY = "sk_test_second"
SECRETS = {"first": "whsec_first", "second": "whsec_second"}
FAILURES = 2


@pytest.fixture(scope="session")
def mortal_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox besides the shared one, which these tests may kill."""
    process = SandboxProcess(tmp_path_factory.mktemp("mortal") / "sandbox.sqlite3")
    process.start()
    yield process
    process.stop()


class AheadClock(SystemClock):
    """The machine's clock, which a test can put ahead."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


class Shop(Api):
    """The API with two accounts: `first` takes EUR and USD, `second` EUR and JPY."""

    clock: AheadClock
    pauses: Pauses
    process: SandboxProcess
    first: SandboxGateway
    second: SandboxGateway

    @property
    def circuit(self) -> Circuit:
        return self.container.payments.circuits["first"]

    async def intent(
        self, currency: str = "EUR", *, key: str | None = None, order_id: str | None = None
    ) -> httpx.Response:
        """Begin to pay for a new order, without a customer and without a payment method."""
        if order_id is None:
            order_id = (await self.order(currency=currency))["orderId"]
        body = {"orderId": order_id, "amount": 2747, "currency": currency}
        return await self.post("/v1/payments/intents", body, key=key or order_id)

    def intents(self) -> tuple[int, int]:
        """How many each sandbox has made."""
        return (
            self.first.state()["counts"].get("payment_intent", 0),
            self.second.state("second")["counts"].get("payment_intent", 0),
        )

    async def recovered(self) -> None:
        """The first account answers again, and all that was left open is taken up."""
        self.pauses.end()
        assert self.circuit._probing is not None
        await self.circuit._probing
        async with asyncio.timeout(30):
            while await self._open_operations():
                self.clock.ahead += timedelta(minutes=1)  # what was begun is due
                await self.container.payments.recover_operations()

    async def _open_operations(self) -> int:
        async with self.container.payments.engine.connect() as connection:
            wanted = text("SELECT count(*) FROM payments.operation WHERE finished_at IS NULL")
            return await connection.scalar(wanted) or 0


@pytest.fixture
async def shop(
    make_settings: MakeSettings, mortal_process: SandboxProcess, sandbox: SandboxGateway
) -> AsyncIterator[Shop]:
    first = SandboxGateway(mortal_process.url)
    first.reset(data=True)

    def account(name: str, gateway: SandboxGateway, key: str, *currencies: str) -> AccountSettings:
        own: dict[str, Any] = {"api_key": key, "api_base": gateway.url, "webhook_secret": SECRETS[name]}
        own["timeout_seconds"] = 1.0
        return AccountSettings(name=name, kind="stripe", currencies=frozenset(currencies), own=own)

    settings = make_settings(
        gateways=(
            account("first", first, first.secret_key, "EUR", "USD"),
            account("second", sandbox, SECOND_KEY, "EUR", "JPY"),
        ),
        circuit_failures=FAILURES,
    )
    clock = AheadClock()
    container = build_container(settings, Outside(clock=clock))
    await container.start()
    shop = Shop(create_app_of(container), container)
    shop.clock, shop.process, shop.first, shop.second = clock, mortal_process, first, sandbox
    shop.pauses = Pauses()
    for circuit in container.payments.circuits.values():
        circuit._sleep = shop.pauses.sleep
    yield shop
    await shop.http.aclose()
    await container.stop()


async def test_a_currency_goes_to_the_account_that_takes_it_and_everything_of_it_stays_there(
    shop: Shop,
) -> None:
    for currency, name in (("EUR", "first"), ("USD", "first"), ("JPY", "second")):
        made = await shop.intent(currency)
        assert (made.status_code, made.json()["gateway"]) == (201, name)
    assert shop.intents() == (2, 1)
    order = await shop.order(currency="GBP")
    refused = problem(await shop.intent("GBP", order_id=order["orderId"]), 422, "currency_unsupported")
    assert refused["errors"][0]["pointer"] == "/currency"

    path, body = f"/v1/payments/{made.json()['paymentId']}", {"paymentMethodToken": "pm_card_visa"}
    paid = await shop.post(f"{path}/confirm", body, key="confirm")
    assert (paid.status_code, paid.json()["status"]) == (200, "SUCCEEDED")
    refund = {"paymentId": paid.json()["paymentId"], "amount": 700, "currency": "JPY", "reason": "broken"}
    assert (await shop.post("/v1/refunds", refund, key="refund", scopes=REFUNDER)).status_code == 201
    [intent] = shop.second.state("second")["paymentIntents"]
    assert (intent["captured"], intent["refunded"]) == (2747, 700)
    assert all(intent["captured"] == 0 for intent in shop.first.state()["paymentIntents"])


async def open_circuit(shop: Shop, order_ids: list[str]) -> None:
    """Let payments of these orders meet the failing first account, until its circuit opens."""
    assert len(order_ids) == FAILURES
    for order_id in order_ids:
        made = await shop.intent(order_id=order_id)
        assert (made.status_code, made.json()["operation"], made.json()["gateway"]) == (
            201,
            "UNKNOWN",
            "first",
        )
    assert not shop.circuit.closed


@pytest.mark.parametrize("chaos", [{"error500": 1.0}, {"latencyMs": 1500}, {"timeoutAfterSuccess": 1.0}])
async def test_new_payments_go_elsewhere_while_an_account_fails_and_what_it_was_sent_does_not(
    shop: Shop, chaos: dict[str, float]
) -> None:
    stuck = [(await shop.order())["orderId"] for _ in range(FAILURES)]
    shop.first.chaos(seed=1, api=chaos)
    await open_circuit(shop, stuck)
    elsewhere = await shop.intent()
    assert (elsewhere.status_code, elsewhere.json()["gateway"]) == (201, "second")
    told = (await shop.http.get("/metrics")).text
    assert 'payonce_gateway_circuit_open{gateway="first"} 1.0' in told
    assert 'payonce_gateway_circuit_open{gateway="second"} 0.0' in told
    assert 'payonce_gateway_circuit_opened_total{gateway="first"} 1.0' in told

    for order_id in stuck:  # the same request again, and another one for the same order
        again = await shop.intent(order_id=order_id, key=f"{order_id}-again")
        problem(again, 409, "payment_in_progress")
    problem(await shop.intent("USD"), 503, "gateway_unavailable")
    assert shop.intents()[1] == 1, "nothing of what the first was sent"

    shop.first.chaos()
    await shop.recovered()
    for order_id in stuck:
        listed = (await shop.get(f"/v1/payments?orderId={order_id}")).json()["items"]
        [payment] = listed
        assert (payment["gateway"], payment["operation"]) == ("first", None)
        assert payment["gatewayPaymentIntentId"]
    assert shop.intents() == (FAILURES, 1)
    assert (await shop.intent()).json()["gateway"] == "first"


async def test_a_refused_connection_leaves_nothing_and_the_same_request_is_paid_elsewhere(shop: Shop) -> None:
    order_id = (await shop.order())["orderId"]
    rows = await stored_rows(shop)
    shop.process.kill()
    try:
        for _ in range(FAILURES):
            answer = await shop.intent(order_id=order_id, key="same")
            problem(answer, 503, "gateway_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        left = await stored_rows(shop)
        assert {table: left.get(table, 0) for table in rows} == rows
        assert not any(table in left for table in ("payments.payment", "payments.operation"))
        made = await shop.intent(order_id=order_id, key="same")
        assert (made.status_code, made.json()["gateway"]) == (201, "second")
    finally:
        shop.process.start()
    assert shop.intents() == (0, 1)


async def test_an_order_goes_elsewhere_while_its_account_is_down(shop: Shop) -> None:
    """Whoever recovers the order's attempt need not know of accounts."""
    order = await shop.order(userId="u_1")
    path = f"/v1/orders/{order['orderId']}"
    shop.process.kill()
    try:
        for _ in range(FAILURES):
            answer = await shop.post(f"{path}/confirm", {}, key="confirm", scopes=CUSTOMER)
            problem(answer, 503, "gateway_unavailable")
        assert not shop.circuit.closed
        shop.clock.ahead += timedelta(minutes=5)
        await shop.container.orders.recover_attempts()
    finally:
        shop.process.start()
    [payment] = (await shop.get(f"/v1/payments?orderId={order['orderId']}")).json()["items"]
    assert (payment["gateway"], payment["operation"]) == ("second", None)
    assert shop.intents() == (0, 1)
    answer = await shop.post(f"{path}/confirm", {}, key="confirm", scopes=CUSTOMER)
    assert answer.json()["payment"]["paymentId"] == payment["paymentId"]


async def test_a_token_that_another_account_knows_is_charged_there_at_once(shop: Shop) -> None:
    """Nothing was begun at the first, which did not even say whether it knows the token."""
    order = await shop.order(userId="u_1")
    body = {"orderId": order["orderId"], "amount": 2747, "currency": "EUR"}
    known, of_nobody = {**body, "paymentMethodToken": "pm_card_visa"}, {**body, "paymentMethodToken": "pm_x"}
    shop.process.kill()
    try:
        refused = await shop.post("/v1/payments", of_nobody, key="other", scopes=CUSTOMER)
        problem(refused, 503, "gateway_unavailable")
        paid = await shop.post("/v1/payments", known, key="pay", scopes=CUSTOMER)
    finally:
        shop.process.start()
    assert (paid.status_code, paid.json()["gateway"], paid.json()["status"]) == (201, "second", "SUCCEEDED")
    assert shop.intents() == (0, 1)


async def test_with_every_circuit_open_nothing_is_begun(shop: Shop) -> None:
    held = (await shop.intent("JPY")).json()
    order_id = (await shop.order())["orderId"]
    for circuit in shop.container.payments.circuits.values():
        for _ in range(FAILURES):
            circuit._failed(True)
    before, intents = await stored_rows(shop), shop.intents()
    for answer in (
        await shop.intent(order_id=order_id),
        await shop.post(f"/v1/payments/{held['paymentId']}/cancel", key="cancel"),
        await shop.post(f"/v1/payments/{held['paymentId']}/confirm", key="confirm"),
    ):
        problem(answer, 503, "gateway_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    after = await stored_rows(shop)
    keys = "payments.idempotency_key"  # is taken, and free for the same request
    assert {**after, keys: 0} == {**before, keys: 0}
    assert shop.intents() == intents


def events(gateway: SandboxGateway, type: str, key: str = SandboxGateway.secret_key) -> list[bytes]:
    """The sandbox's events of this type, as they would be delivered."""
    listed = gateway.get(f"/v1/events?type={type}", key).json()["data"]
    return [json.dumps(event).encode() for event in listed]


async def deliver(shop: Shop, path: str, body: bytes, secret: str) -> httpx.Response:
    time = int(shop.container.clock.now().timestamp())
    signature = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={time},v1={signature}", "Content-Type": "application/json"}
    return await shop.http.post(f"/v1/webhooks/{path}", content=body, headers=headers)


async def test_an_event_of_one_account_never_touches_another_s_payment(shop: Shop) -> None:
    payment = (await shop.intent()).json()
    path = f"/v1/payments/{payment['paymentId']}"
    shop.first.post(f"/v1/payment_intents/{payment['gatewayPaymentIntentId']}/cancel", {})
    [canceled] = events(shop.first, "payment_intent.canceled")

    problem(await deliver(shop, "first", canceled, SECRETS["second"]), 400, "signature_invalid")
    problem(await deliver(shop, "second", canceled, SECRETS["first"]), 400, "signature_invalid")
    problem(await deliver(shop, "third", canceled, SECRETS["first"]), 404, "not_found")
    assert (await deliver(shop, "second", canceled, SECRETS["second"])).status_code == 200
    await shop.container.payments.recover_operations()
    assert (await shop.get(path)).json()["status"] == "REQUIRES_PAYMENT_METHOD"

    assert (await deliver(shop, "stripe", canceled, SECRETS["first"])).status_code == 200
    assert (await shop.get(path)).json()["status"] == "CANCELED"
    repeated = await deliver(shop, "first", canceled, SECRETS["first"])
    assert repeated.status_code == 200


async def test_an_account_that_is_gone_from_the_settings_keeps_its_payments_as_they_are(
    shop: Shop, make_settings: MakeSettings
) -> None:
    payment = (await shop.intent()).json()
    settings = make_settings(gateways=shop.container.settings.gateways[1:])
    container = build_container(settings)
    await container.start()
    other = Shop(create_app_of(container), container)
    path = f"/v1/payments/{payment['paymentId']}"
    assert (await other.get(path, SERVICE)).json()["gateway"] == "first"
    refused = problem(await other.post(f"{path}/cancel", key="c"), 503, "gateway_unavailable")
    assert "first" in refused["detail"]
    await other.http.aclose()
    await container.stop()
