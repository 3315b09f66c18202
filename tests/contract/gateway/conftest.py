"""The gateways that the contract suite runs on, each with what a test does behind its back."""

import importlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from adapters.stripe.gateway import StripeGateway
from domain.payments.gateway import IntentSnapshot, PaymentGateway
from tests.contract.gateway.bench import Bench
from tests.support.fake_gateway import FakeGateway
from tests.support.sandbox import SandboxGateway


class MachineClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class FakeBench(Bench):
    def __init__(self) -> None:
        self.fake = FakeGateway(MachineClock(), multicapture=True)
        self.gateway = self.fake

    def save_method(self, gateway_customer_id: str, kind: str = "pm_card_visa") -> str:
        token = f"pm_saved_{len(self.fake.methods.owners) + 1}"
        self.fake.attach(token, gateway_customer_id, kind=kind)
        return token

    def delete_customer(self, gateway_customer_id: str) -> None:
        self.fake.deleted_customers.add(gateway_customer_id)

    def open_dispute(self, intent_id: str) -> str:
        return self.fake.open_dispute(intent_id).gateway_dispute_id

    def authenticate(self, snapshot: IntentSnapshot, *, passes: bool) -> None:
        act = self.fake.complete_action if passes else self.fake.fail_action
        act(snapshot.intent_id)

    def settle_debit(self, snapshot: IntentSnapshot) -> None:
        self.fake.settle_debit(snapshot.intent_id)

    def lapse(self, snapshot: IntentSnapshot) -> None:
        self.fake.lapse(snapshot.intent_id)

    def wait(self) -> None:
        """It books when somebody looks."""

    def pay_out(self) -> None:
        self.fake.balance.pay_out()


class StripeBench(Bench):
    def __init__(self, gateway: StripeGateway, sandbox: SandboxGateway) -> None:
        self.gateway = gateway
        self.sandbox = sandbox

    def save_method(self, gateway_customer_id: str, kind: str = "pm_card_visa") -> str:
        attached: dict[str, Any] = (
            httpx.post(
                f"{self.sandbox.url}/v1/payment_methods/{kind}/attach",
                data={"customer": gateway_customer_id},
                auth=(self.sandbox.secret_key, ""),
                trust_env=False,
            )
            .raise_for_status()
            .json()
        )
        return str(attached["id"])

    def delete_customer(self, gateway_customer_id: str) -> None:
        self.sandbox.delete(f"/v1/customers/{gateway_customer_id}").raise_for_status()

    def open_dispute(self, intent_id: str) -> str:
        return self.sandbox.dispute(intent_id)

    def authenticate(self, snapshot: IntentSnapshot, *, passes: bool) -> None:
        assert snapshot.next_action is not None
        assert snapshot.next_action.redirect_url is not None
        self.sandbox.authenticate(snapshot.next_action.redirect_url, "complete" if passes else "fail")

    def settle_debit(self, snapshot: IntentSnapshot) -> None:
        self.sandbox.advance(4 * 86400)

    def lapse(self, snapshot: IntentSnapshot) -> None:
        self.sandbox.advance(8 * 86400)

    def wait(self) -> None:
        self.sandbox.advance(1)

    def pay_out(self) -> None:
        self.sandbox.advance(3 * 86400)


@pytest.fixture
async def stripe_gateway(sandbox: SandboxGateway) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(
        api_key=sandbox.secret_key, api_base=sandbox.url, lookup_retries=0, multicapture=True
    )
    yield gateway
    await gateway.aclose()


PLUGIN = os.environ.get("PAYONCE_TEST_GATEWAY")
"""`module:name` of an async context manager that gives the bench of another gateway: then of that one only."""


@pytest.fixture
async def plugin_bench() -> AsyncIterator[Bench]:
    module, _, name = (PLUGIN or "").partition(":")
    async with getattr(importlib.import_module(module), name)() as bench:
        yield bench


@pytest.fixture(params=["plugin"] if PLUGIN else ["fake", "stripe"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "plugin":
        found: Bench = request.getfixturevalue("plugin_bench")
        return found
    if request.param == "fake":
        return FakeBench()
    return StripeBench(request.getfixturevalue("stripe_gateway"), request.getfixturevalue("sandbox"))


@pytest.fixture
def gateway(bench: Bench) -> PaymentGateway:
    return bench.gateway
