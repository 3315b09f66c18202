"""Both services in processes and databases of their own: they meet by signed calls within mutual TLS, and by events."""

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import redis

from adapters.security.certificates import create_certificates
from adapters.security.data_keys import create_data_keys
from adapters.security.keys import KeyFile, create_keys, rotate_keys
from adapters.security.tokens import JwtIssuer
from adapters.services.identities import ORDERS
from entrypoints.local.ports import free_port
from entrypoints.local.postgres import EmbeddedPostgres
from tests.e2e.conftest import PAYONCE, environment
from tests.support.postgres import create_database
from tests.support.sandbox import SandboxGateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.xdist_group("e2e")]

PATIENCE_SECONDS = 60.0
SCOPES = ("orders:read", "orders:write", "payments:read", "payments:write", "refunds:create", "users:any")
CART = {"currency": "EUR", "lines": [{"sku": "TEA", "name": "Tea", "quantity": 2, "unitAmount": 990}]}
_keys = count(1)


class Service:
    """One of the two, with what runs of it; its internal port takes mutual TLS alone."""

    def __init__(self, name: str, home: Path, settings: dict[str, str]) -> None:
        self.name, self.home = name, home / name
        self.port, self.internal_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.internal_url = f"https://localhost:{self.internal_port}"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.certs = home / "certs"
        self.settings = {**settings, "PAYONCE_HOME": str(self.home), "PAYONCE_SERVICE": name}
        create_keys(self.home / "keys.json")
        create_data_keys(self.home / "data-keys.json")

    def know(self, other: "Service") -> None:
        """All that it is told of the other: where it is."""
        self.settings |= {
            f"PAYONCE_{other.name.upper()}_URL": other.internal_url,
            "PAYONCE_SERVICE_CLIENT_CERT": str(self.certs / f"{self.name}.pem"),
            "PAYONCE_SERVICE_CLIENT_KEY": str(self.certs / f"{self.name}.key"),
            "PAYONCE_SERVICE_CLIENT_CA": str(self.certs / "ca.pem"),
        }

    def start(self, command: str) -> None:
        arguments = [command]
        if command == "serve":
            arguments += ["--port", str(self.port), "--internal-port", str(self.internal_port)]
            arguments += ["--tls-cert", str(self.certs / f"{self.name}.pem")]
            arguments += ["--tls-key", str(self.certs / f"{self.name}.key")]
            arguments += ["--tls-client-ca", str(self.certs / "ca.pem")]
        with (self.home / f"{command}.log").open("ab") as log:
            self.running[command] = subprocess.Popen(
                [*PAYONCE, *arguments], env={**environment(), **self.settings}, stdout=log, stderr=log
            )

    def ready(self) -> None:
        until(lambda: _answers(f"{self.url}/readyz"), lambda: (self.home / "serve.log").read_text())

    def token(self, subject: str = "u_agent", *scopes: str) -> str:
        return self._issuer("payonce", "payonce").issue(subject, scopes or SCOPES, _in(600))

    def service_token(self, audience: str, *, seconds: float = 60, issuer: str | None = None) -> str:
        """As it signs for its own calls, or in ways that it does not."""
        return self._issuer(issuer or self.name, audience).issue(
            issuer or self.name, ORDERS.scopes, _in(seconds)
        )

    def _issuer(self, issuer: str, audience: str) -> JwtIssuer:
        return JwtIssuer(
            KeyFile(self.home / "keys.json"),
            issuer=issuer,
            audience=audience,
            now=lambda: datetime.now(UTC),
            new_token_id=lambda: f"tok_{next(_keys)}",
        )

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.token()}", **headers}
        if method == "POST":
            sent.setdefault("Idempotency-Key", f"key-{next(_keys)}")
        with httpx.Client(timeout=40, trust_env=False) as client:
            return client.request(
                method, f"{self.url}{path}", json=None if method == "GET" else body or {}, headers=sent
            )


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def until(holds: Any, said: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


class Split:
    def __init__(
        self, orders: Service, payments: Service, valkey_url: str, databases: dict[str, str]
    ) -> None:
        self.orders, self.payments = orders, payments
        self.valkey_url, self.databases = valkey_url, databases

    def order(self) -> str:
        answer = self.orders.call("POST", "/v1/orders", {**CART, "userId": "u_1"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["orderId"])

    def confirm(self, order_id: str, **headers: str) -> httpx.Response:
        path = f"/v1/orders/{order_id}/confirm"
        return self.orders.call("POST", path, {"paymentMethodToken": "pm_card_visa"}, **headers)

    def until(self, order_id: str, *statuses: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal found
            found = self.orders.call("GET", f"/v1/orders/{order_id}").json()
            return found["status"] in statuses

        until(holds, lambda: found)
        return found


@pytest.fixture
async def databases(postgres_server: EmbeddedPostgres, migrated_template: str) -> dict[str, str]:
    names = ("orders", "payments")
    return {name: await create_database(postgres_server, template=migrated_template) for name in names}


@pytest.fixture
def split(
    tmp_path: Path, databases: dict[str, str], valkey_url: str, sandbox: SandboxGateway
) -> Iterator[Split]:
    create_certificates(tmp_path / "certs", [], datetime.now(UTC))
    orders = Service("orders", tmp_path, _settings("orders", databases, valkey_url))
    payments = Service("payments", tmp_path, _settings("payments", databases, valkey_url))
    secret = sandbox.add_webhook(f"{payments.url}/v1/webhooks/stripe")
    payments.settings |= {
        "PAYONCE_STRIPE_API_KEY": sandbox.secret_key,
        "PAYONCE_STRIPE_API_BASE": sandbox.url,
        "PAYONCE_STRIPE_WEBHOOK_SECRET": secret,
    }
    orders.know(payments)
    payments.know(orders)
    with _running(orders, payments):
        yield Split(orders, payments, valkey_url, databases)


def _settings(name: str, databases: dict[str, str], valkey_url: str) -> dict[str, str]:
    return {f"PAYONCE_{name.upper()}_DATABASE_URL": databases[name], "PAYONCE_REDIS_URL": valkey_url}


@contextmanager
def _running(orders: Service, payments: Service) -> Iterator[None]:
    try:
        for service, commands in (
            (orders, ("serve", "relay", "worker")),
            (payments, ("serve", "relay")),
        ):
            for command in commands:
                service.start(command)
        for service in (orders, payments):
            service.ready()
        yield
    finally:
        processes = [process for service in (orders, payments) for process in service.running.values()]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


async def test_two_services_that_know_each_others_address_alone(split: Split, tmp_path: Path) -> None:
    orders, payments = split.orders, split.payments
    order_id = split.order()
    assert split.confirm(order_id).status_code == 200
    split.until(order_id, "PROCESSING_FULFILLMENT")

    # A person gives money back, by way of the order service.
    refund = orders.call("POST", f"/v1/orders/{order_id}/refunds", {"amount": 500, "reason": "torn"})
    assert refund.status_code == 201, refund.text
    split.until(order_id, "PARTIALLY_REFUNDED")
    told = payments.call("GET", f"/v1/refunds/{refund.json()['refundId']}").json()
    assert (told["amount"], told["requestedBy"]) == (500, "u_agent")

    story = orders.call(
        "GET",
        f"/v1/orders/{order_id}/explain",
        Authorization=f"Bearer {orders.token('op', 'orders:read', 'operations:read', 'users:any')}",
    )
    kinds = {entry["kind"] for entry in story.json()["entries"]}
    assert {"REQUEST", "OPERATION", "WEBHOOK", "EVENT", "REFUND", "EFFECT"} <= kinds

    _who_is_let_in(split, tmp_path / "others")
    _the_broker_forgets(split)
    _a_key_is_rotated(split)
    await _the_payment_service_dies(split)
    _nothing_secret_was_written(tmp_path)


def _nothing_secret_was_written(home: Path) -> None:
    for log in home.glob("*/*.log"):
        written = log.read_text()
        for secret in ("eyJ", "PRIVATE KEY", "pm_card_visa"):
            assert secret not in written, log


def _the_broker_forgets(split: Split) -> None:
    """Everything that is on its way is lost with it, and costs seconds."""
    split.orders.running["worker"].send_signal(signal.SIGSTOP)
    lost = split.order()
    assert split.confirm(lost).status_code == 200
    with redis.Redis.from_url(split.valkey_url) as valkey:
        until(lambda: valkey.keys("*orders*"), lambda: "nothing was published")
        valkey.flushall()
    split.orders.running["worker"].send_signal(signal.SIGCONT)
    split.until(lost, "PROCESSING_FULFILLMENT")


def _a_key_is_rotated(split: Split) -> None:
    """Both ways, between two calls: the new key is fetched when its first token comes."""
    for service in (split.orders, split.payments):
        rotate_keys(service.home / "keys.json")
    for _ in range(3):
        assert split.confirm(split.order()).status_code == 200


async def _the_payment_service_dies(split: Split) -> None:
    split.payments.running["serve"].kill()
    split.payments.running["serve"].wait()
    order_id = split.order()
    refused = split.confirm(order_id)
    assert refused.status_code == 503, refused.text
    assert refused.json()["code"] == "service_unavailable"
    assert refused.headers["Retry-After"]
    split.payments.start("serve")
    split.payments.ready()
    # Half a minute passes, after which the order side takes up what nobody waits for.
    connection = await asyncpg.connect(split.databases["orders"])
    await connection.execute("UPDATE orders.attempt SET next_check_at = now() WHERE status = 'STARTED'")
    await connection.close()
    split.until(order_id, "PROCESSING_FULFILLMENT")


def _who_is_let_in(split: Split, others: Path) -> None:
    """At the internal listener: certificates of the authority, and then tokens as a service signs them."""
    payments, orders = split.payments, split.orders
    path = f"{payments.internal_url}/internal/v1/orders/ord_1/story"

    def asked(token: str, *, by: Path | None = payments.certs, name: str = "orders") -> httpx.Response:
        context = ssl.create_default_context(cafile=str(payments.certs / "ca.pem"))
        if by is not None:
            context.load_cert_chain(by / f"{name}.pem", by / f"{name}.key")
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.get(path, headers={"Authorization": f"Bearer {token}"})

    good = orders.service_token("payments")
    assert asked(good).json() == {"entries": []}

    create_certificates(others, [], datetime.now(UTC))
    for by in (None, others):
        with pytest.raises(httpx.TransportError):
            asked(good, by=by)
    with pytest.raises(httpx.TransportError):
        httpx.get(path.replace("https", "http"), trust_env=False)

    refused = {
        "expired": orders.service_token("payments", seconds=-31),
        "too long": orders.service_token("payments", seconds=90),
        "for another": orders.service_token("orders"),
        "another's": payments.service_token("payments", issuer="orders"),
    }
    for why, token in refused.items():
        assert asked(token).status_code == 401, why
    # A person with a certificate is no service; a service's token opens nothing at the first listener.
    assert asked(payments.token()).json()["code"] == "service_required"
    outside = payments.call("GET", "/v1/payments", Authorization=f"Bearer {good}")
    assert outside.status_code == 401
    assert payments.call("GET", "/internal/v1/orders/ord_1/story").status_code == 404
    assert os.stat(payments.certs / "orders.key").st_mode & 0o777 == 0o600
