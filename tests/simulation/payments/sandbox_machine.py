"""Payments and refunds over HTTP, on real PostgreSQL, against the sandbox and its chaos.

The sandbox times out after its work, answers 500 before or after it, drops, doubles and reorders webhooks;
both clocks jump. Both books must be the same to the cent at the end.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.shared.errors import Unavailable
from entrypoints.local.postgres import EmbeddedPostgres
from tests.simulation.payments.postings import check_report
from tests.support.postgres import create_database, drop_database
from tests.support.sandbox import SandboxGateway
from tests.support.shop import Shop, open_shop

AMOUNT = 1000
TOKENS = st.sampled_from(
    ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_card_pendingRefund"]
)
WHICH = st.integers(0, 99)
SOME = st.integers(1, AMOUNT + 50)
RATE = st.sampled_from([0.0, 0.0, 0.2, 0.6])


class SandboxMachine(RuleBasedStateMachine):
    """A shop of its own for each example; the servers belong to whoever runs it."""

    postgres: ClassVar[EmbeddedPostgres]
    template: ClassVar[str]
    sandbox_url: ClassVar[str]
    valkey_url: ClassVar[str]
    home: ClassVar[Path]

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.payments: list[dict[str, Any]] = []
        self.sent: list[tuple[str, Any, str]] = []
        self.numbers = count(1)
        self.stack = AsyncExitStack()
        self.runner.run(self.open_shop())

    async def open_shop(self) -> None:
        sandbox = SandboxGateway(self.sandbox_url)
        await asyncio.to_thread(sandbox.reset, data=True)
        self.database_url = await create_database(self.postgres, template=self.template)
        self.shop: Shop = await self.stack.enter_async_context(
            open_shop(sandbox, self.database_url, self.valkey_url, self.home, stripe_timeout_seconds=0.5)
        )
        for method in ("AUTOMATIC", "MANUAL"):  # so that there is something to act on from the first step
            await self.make_payment("pm_card_visa", method)

    def teardown(self) -> None:
        if not hasattr(self, "shop"):
            return
        try:
            self.runner.run(self.check_at_the_end())
        finally:
            self.runner.run(self.close())
            self.runner.close()

    async def close(self) -> None:
        await self.stack.aclose()
        await drop_database(self.postgres, self.database_url)

    def run(self, work: Awaitable[Any]) -> Any:
        async def go() -> Any:
            return await work

        return self.runner.run(go())

    async def send(self, path: str, body: Any) -> httpx.Response:
        key = f"key-{next(self.numbers)}"
        self.sent.append((path, body, key))
        return await self.answered(path, body, key)

    async def answered(self, path: str, body: Any, key: str) -> httpx.Response:
        answer = await self.shop.post(path, body, key=key)
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        return answer

    def path_of(self, which: int, action: str) -> str:
        return f"/v1/payments/{self.payments[which % len(self.payments)]['paymentId']}/{action}"

    @rule(token=TOKENS, manual=st.booleans())
    def pay(self, token: str, manual: bool) -> None:
        self.run(self.make_payment(token, "MANUAL" if manual else "AUTOMATIC"))

    async def make_payment(self, token: str, method: str) -> None:
        line = {"sku": "OAK", "name": "Oak board", "quantity": 1, "unitAmount": AMOUNT}
        order = await self.send("/v1/orders", {"currency": "EUR", "lines": [line]})
        body = {"orderId": order.json()["orderId"], "amount": AMOUNT, "currency": "EUR"}
        body |= {"paymentMethodToken": token, "captureMethod": method}
        answer = await self.send("/v1/payments", body)
        if answer.status_code == 201:
            self.payments.append(answer.json())

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, token=TOKENS)
    def confirm(self, which: int, token: str) -> None:
        self.run(self.send(self.path_of(which, "confirm"), {"paymentMethodToken": token}))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amount=SOME)
    def capture(self, which: int, amount: int) -> None:
        self.run(self.send(self.path_of(which, "capture"), {"amount": amount}))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH)
    def capture_against_cancel(self, which: int) -> None:
        asked = [self.send(self.path_of(which, action), {}) for action in ("capture", "cancel")]
        self.run(_all(asked))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amounts=st.lists(st.integers(1, AMOUNT // 2), min_size=1, max_size=4))
    def refund(self, which: int, amounts: list[int]) -> None:
        payment_id = self.payments[which % len(self.payments)]["paymentId"]
        bodies = [
            {"paymentId": payment_id, "amount": amount, "currency": "EUR", "reason": "torn"}
            for amount in amounts
        ]
        self.run(_all([self.send("/v1/refunds", body) for body in bodies]))

    @precondition(lambda self: self.sent)
    @rule(which=WHICH)
    def repeat(self, which: int) -> None:
        """A client that lost the answer asks again, with the same key."""
        self.run(self.answered(*self.sent[which % len(self.sent)]))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amount=SOME)
    def refund_in_the_dashboard(self, which: int, amount: int) -> None:
        intent_id = self.payments[which % len(self.payments)]["gatewayPaymentIntentId"]
        form = {"payment_intent": str(intent_id), "amount": str(amount)}
        self.run(asyncio.to_thread(self.calm, "/v1/refunds", form))

    def calm(self, path: str, form: dict[str, str]) -> None:
        """What happens at the gateway without us, and so without the chaos of our calls."""
        self.shop.sandbox.chaos(**{**self.chaos, "api": {}})
        self.shop.sandbox.post(path, form)
        self.shop.sandbox.chaos(**self.chaos)

    chaos: dict[str, Any] = {}  # noqa: RUF012  # Replaced as a whole, never changed.

    @rule(seed=st.integers(0, 999), lost=RATE, failed=RATE, drop=RATE, double=RATE, reorder=st.booleans())
    def disturb(
        self, seed: int, lost: float, failed: float, drop: float, double: float, reorder: bool
    ) -> None:
        self.chaos = {
            "seed": seed,
            "api": {"timeoutAfterSuccess": min(lost, 0.3), "error500": failed},
            "webhooks": {"drop": drop, "duplicate": double, "reorder": reorder},
        }
        self.run(asyncio.to_thread(self.shop.sandbox.chaos, **self.chaos))

    @rule(seconds=st.sampled_from([5, 60, 3600, 25 * 3600]))
    def wait(self, seconds: int) -> None:
        self.run(self.let_pass(seconds))

    async def let_pass(self, seconds: int) -> None:
        await asyncio.to_thread(self.shop.advance, seconds)
        try:
            await self.shop.container.payments.recover_operations()
        except Unavailable:
            return  # webhooks wait on, since the gateway could not be asked

    async def check_at_the_end(self) -> None:
        await asyncio.to_thread(self.shop.sandbox.chaos)
        await self.shop.settle()
        await self.shop.tell_again()
        await self.shop.settle()
        for payment in self.payments:
            await self.shop.check_books(payment["paymentId"])
        await self.check_ledger()
        flags = await self.shop.rows("SELECT attention FROM payments.payment WHERE attention IS NOT NULL")
        assert not {"GATEWAY_CONTRADICTS", "AMOUNT_MISMATCH"} & {row["attention"] for row in flags}

    async def check_ledger(self) -> None:
        """Once the gateway has booked what it took, which it does a second later."""
        await asyncio.to_thread(self.shop.advance, 5)
        ledger = self.shop.container.payments.ledger
        await ledger.import_balance()
        undecided = await self.shop.rows(
            "SELECT gateway_refund_id AS id, amount FROM payments.refund WHERE status = 'PENDING'"
        )
        check_report(await ledger.verify(), {row["id"]: row["amount"] for row in undecided})


async def _all(asked: list[Any]) -> list[Any]:
    return list(await asyncio.gather(*asked))
