"""Both services on real PostgreSQL: in one process, and apart, meeting over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from domain.orders.attempt import Attempt, AttemptKind
from domain.orders.cart import Address, Customer, OrderLine
from domain.orders.order import Order
from domain.orders.ports import PaymentService, PaymentStories
from domain.orders.use_cases.create_order import CreateOrder
from domain.payments.ports import OrderTermsSource
from domain.shared.callers import Caller
from entrypoints.bootstrap import build_container
from entrypoints.composition.outside import Outside
from entrypoints.local.postgres import EmbeddedPostgres
from entrypoints.settings import Secret, Settings
from outbox import Follower
from tests.support.fake_gateway import FakeGateway
from tests.support.house import SERVICE
from tests.support.postgres import create_database, drop_database
from tests.support.services import Services, apart

ids = SystemIds()


@dataclass
class Meeting:
    """The ports that the services meet by, whichever adapters stand behind them."""

    services: Services
    gateway: FakeGateway

    @property
    def payments(self) -> PaymentService:
        return self.services.orders.orders.confirm_order.checkout.payments

    @property
    def stories(self) -> PaymentStories:
        return self.services.orders.orders.explain_order.payments

    @property
    def terms(self) -> OrderTermsSource:
        return self.services.payments.payments.create_payment.check_order.source

    @property
    def consumer(self) -> Follower:
        part = self.services.payments.sides.payments
        assert part is not None
        [view] = part.followers
        return view

    async def order(self, amount: int = 1000, caller: Caller = SERVICE, **changes: Any) -> Order:
        address = Address(line1="1 Main Street", city="Springfield", postal_code="12345", country="US")
        line = OrderLine(sku="OAK", name="Oak board", quantity=1, unit_amount=amount, tax_amount=0)
        fields: dict[str, Any] = {
            "request_id": ids.new("req").removeprefix("req_"),
            "caller": caller,
            "currency": "EUR",
            "lines": (line,),
            "customer": Customer(name="Ada", email="ada@example.org", billing_address=address),
            **changes,
        }
        return await self.services.orders.orders.create_order(CreateOrder(**fields))


def attempt_at(order: Order, kind: AttemptKind = AttemptKind.CREATE, **changes: Any) -> Attempt:
    now = SystemClock().now()
    fields: dict[str, Any] = {
        "attempt_id": ids.new("req").removeprefix("req_"),
        "order_id": order.order_id,
        "kind": kind,
        "created_at": now,
        "next_check_at": now,
        "payment_method_token": "pm_card_visa" if kind is AttemptKind.CREATE else None,
        **changes,
    }
    return Attempt(**fields)


@pytest.fixture
async def other_database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> AsyncIterator[str]:
    url = await create_database(postgres_server, template=migrated_template)
    yield url
    await drop_database(postgres_server, url)


@pytest.fixture(params=["in one process", "over HTTP"])
async def meeting(
    request: pytest.FixtureRequest,
    database_url: str,
    other_database_url: str,
    valkey_url: str,
    tmp_path: Path,
) -> AsyncIterator[Meeting]:
    gateway = FakeGateway(SystemClock())
    if request.param == "over HTTP":
        databases = {"orders": database_url, "payments": other_database_url}
        async with apart(tmp_path, databases, valkey_url, gateway) as services:
            yield Meeting(services, gateway)
        return
    create_keys(tmp_path / "keys.json")
    create_data_keys(tmp_path / "data-keys.json")
    settings = Settings(
        home=tmp_path,
        orders_database_url=Secret(database_url),
        payments_database_url=Secret(other_database_url),
        redis_url=Secret(valkey_url),
        stripe_api_key=Secret("sk_test_payonce"),
        stripe_webhook_secret=Secret("whsec_test"),
    )
    container = build_container(settings, Outside(gateway=gateway))
    await container.start()
    yield Meeting(Services(container, container, tmp_path, {}), gateway)
    await container.stop()
