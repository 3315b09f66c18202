"""The HTTP application over a real database and a gateway in memory, called without sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from adapters.system.clock import SystemClock
from entrypoints.bootstrap import Container, build_container
from entrypoints.composition.outside import Outside
from entrypoints.http.app import create_app_of
from entrypoints.settings import Secret, Settings
from tests.support.fake_gateway import FakeGateway

CUSTOMER = ("orders:read", "orders:write", "payments:read", "payments:write")
SERVICE = (*CUSTOMER, "users:any")
REFUNDER = (*SERVICE, "refunds:create")
OPERATOR = ("orders:read", "payments:read", "operations:read", "users:any")

CART: dict[str, Any] = {
    "currency": "EUR",
    "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
    "lines": [{"sku": "TEA", "name": "Tea", "quantity": 2, "unitAmount": 990, "taxAmount": 317}],
    "shippingAmount": 450,
}


class Api:
    """A client that speaks for whoever is asked for."""

    def __init__(self, app: Litestar, container: Container):
        self.app = app
        self.container = container
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),  # type: ignore[arg-type]
            base_url="http://payonce.test",
        )

    def token(self, *scopes: str, sub: str = "u_1", seconds: float = 600) -> str:
        expires = self.container.clock.now() + timedelta(seconds=seconds)
        return self.container.token_issuer.issue(sub, scopes, expires)

    def bearer(self, *scopes: str, sub: str = "u_1") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*scopes, sub=sub)}"}

    async def get(self, path: str, scopes: tuple[str, ...] = SERVICE, sub: str = "u_1") -> httpx.Response:
        return await self.http.get(path, headers=self.bearer(*scopes, sub=sub))

    async def delete(self, path: str, scopes: tuple[str, ...] = SERVICE, sub: str = "u_1") -> httpx.Response:
        return await self.http.delete(path, headers=self.bearer(*scopes, sub=sub))

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        scopes: tuple[str, ...] = SERVICE,
        sub: str = "u_1",
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {**self.bearer(*scopes, sub=sub), **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
            return await self.http.post(path, content=content, headers=sent)
        return await self.http.post(path, json=body if body is not None else {}, headers=sent)

    async def order(self, **changes: Any) -> dict[str, Any]:
        """A new draft order of 27.47 EUR."""
        answer = await self.post("/v1/orders", {**CART, **changes})
        assert answer.status_code == 201, answer.text
        order: dict[str, Any] = answer.json()
        return order


MakeSettings = Callable[..., Settings]
MakeApi = Callable[..., Api]


@pytest.fixture
def make_settings(database_url: str, valkey_url: str, tmp_path: Path) -> MakeSettings:
    create_keys(tmp_path / "keys.json")
    create_data_keys(tmp_path / "data-keys.json")

    def make(**changes: Any) -> Settings:
        values: dict[str, Any] = {
            "home": tmp_path,
            "database_url": Secret(database_url),
            "redis_url": Secret(valkey_url),
            "stripe_api_key": Secret("sk_test_payonce"),
            "stripe_webhook_secret": Secret("whsec_test"),
        }
        return Settings(**{**values, **changes})

    return make


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(SystemClock())


@pytest.fixture
async def api(make_settings: MakeSettings, gateway: FakeGateway) -> AsyncIterator[Api]:
    container = build_container(make_settings(), Outside(gateway=gateway))
    await container.start()
    client = Api(create_app_of(container), container)
    yield client
    await client.http.aclose()
    await container.stop()


@pytest.fixture
async def make_api(make_settings: MakeSettings, gateway: FakeGateway) -> AsyncIterator[MakeApi]:
    """A process of its own each time, with these settings."""
    async with AsyncExitStack() as stack:

        def make(**changes: Any) -> Api:
            container = build_container(make_settings(**changes), Outside(gateway=gateway))
            api = Api(create_app_of(container), container)
            stack.push_async_callback(container.stop)
            stack.push_async_callback(api.http.aclose)
            return api

        yield make
