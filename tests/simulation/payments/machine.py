"""Payments and refunds by real use cases, over units of work and a gateway in memory, in whatever order.

Answers are lost, webhooks are dropped, doubled and reordered, time jumps by hours, the gateway is down; its
customers, its dashboard and the bank act on their own. The checks are those of the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from domain.payments.dispute import Dispute
from domain.payments.gateway import GatewayRefundStatus
from domain.payments.ledger import LedgerEntry
from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.payments.refund_policy import Limits, RefundPolicy, Rule
from domain.payments.use_cases.verify_ledger import LedgerReport
from tests.simulation.payments.ledger import check_against_gateway, check_events, check_limits, check_policy
from tests.simulation.payments.outside import AMOUNT, WHICH, OutsideMachine
from tests.simulation.payments.postings import check_postings, check_report
from tests.support.house import APPROVER, SERVICE, House, World

TOKENS = st.sampled_from(
    ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_card_pendingRefund"]
)
LIMITS = Limits(per_refund={"EUR": AMOUNT // 2}, per_day={"EUR": 2 * AMOUNT})
APPROVALS = Limits(per_day={"EUR": 2 * AMOUNT})
POLICY = RefundPolicy(rules=(Rule(name="staff", limits=LIMITS, approves=APPROVALS),))
SOME = st.integers(1, AMOUNT + 50)


class PaymentMachine(OutsideMachine):
    """One shop, whose orders are there to be paid."""

    def begin(self) -> None:
        self.payments: list[str] = []
        self.house = House(World(refund_policy=POLICY))

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        try:
            self.house.gateway.down = False
            self.house.gateway.unscript()
            self.run(self.tell_everything())
            self.check_at_the_end()
        finally:
            self.runner.close()

    def some_payment(self, which: int) -> Payment:
        return self.house.payment(self.payments[which % len(self.payments)])

    # Clients

    @rule(token=TOKENS, manual=st.booleans())
    def pay(self, token: str, manual: bool) -> None:
        request_id = f"{next(self.numbers):026d}"
        order = self.run(self.house.order(AMOUNT))
        method = "MANUAL" if manual else "AUTOMATIC"
        self.run(self.ask(lambda: self.house.pay(order, token, request_id=request_id, capture_method=method)))
        if f"pay_{request_id}" in self.house.world.payments.rows["payment"]:
            self.payments.append(f"pay_{request_id}")

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, token=TOKENS)
    def confirm(self, which: int, token: str) -> None:
        payment, request_id = self.some_payment(which), f"c{next(self.numbers)}"
        self.run(self.ask(lambda: self.house.confirm_again(payment, token, request_id=request_id)))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amount=SOME)
    def capture(self, which: int, amount: int) -> None:
        payment, request_id = self.some_payment(which), f"k{next(self.numbers)}"
        self.run(self.ask(lambda: self.house.capture(payment, amount, request_id=request_id)))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        payment, request_id = self.some_payment(which), f"x{next(self.numbers)}"
        self.run(self.ask(lambda: self.house.cancel(payment, request_id=request_id)))

    def refund_request(self, which: int, amount: int) -> Callable[[], Awaitable[Refund]]:
        payment, request_id = self.some_payment(which), f"r{next(self.numbers)}"
        return lambda: self.house.refund(payment, amount, request_id=request_id)

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amount=SOME)
    def refund(self, which: int, amount: int) -> None:
        self.run(self.ask(self.refund_request(which, amount)))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amounts=st.lists(SOME, min_size=2, max_size=4))
    def refund_at_once(self, which: int, amounts: list[int]) -> None:
        asked = [self.ask(self.refund_request(which, amount)) for amount in amounts]
        self.run(_all(asked))

    def some_refund(self, which: int) -> Refund:
        refunds = self.house.world.payments.rows["refund"]
        found: Refund = refunds[sorted(refunds)[which % len(refunds)]]
        return found

    @precondition(lambda self: self.house.world.payments.rows["refund"])
    @rule(which=WHICH, approve=st.booleans())
    def decide(self, which: int, approve: bool) -> None:
        refund, request_id = self.some_refund(which), f"d{next(self.numbers)}"
        decide = self.house.approve if approve else self.house.reject
        self.run(self.ask(lambda: decide(refund, request_id=request_id)))

    @precondition(lambda self: self.house.world.payments.rows["refund"])
    @rule(which=WHICH)
    def refund_again(self, which: int) -> None:
        refund, request_id = self.some_refund(which), f"a{next(self.numbers)}"
        self.run(self.ask(lambda: self.house.refund_again(refund, request_id=request_id)))

    @precondition(lambda self: self.payments)
    @rule(which=WHICH)
    def capture_against_cancel(self, which: int) -> None:
        payment, number = self.some_payment(which), next(self.numbers)
        self.run(
            _all(
                [
                    self.ask(lambda: self.house.capture(payment, request_id=f"k{number}")),
                    self.ask(lambda: self.house.cancel(payment, request_id=f"x{number}")),
                ]
            )
        )

    @precondition(lambda self: self.requests)
    @rule(which=WHICH)
    def repeat(self, which: int) -> None:
        """A client that lost the answer asks again, with the same key."""
        before = len(self.house.gateway.refunds)
        request = self.requests[which % len(self.requests)]
        was_open = self.open_operations()
        self.run(self.ask(request))
        assert len(self.house.gateway.refunds) <= before + was_open, "a repetition moved money anew"

    # What must hold

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "house"):
            return
        refunds = list(self.house.world.payments.rows["refund"].values())
        now = self.house.clock.now()
        check_policy(refunds, LIMITS, SERVICE.subject, now)
        check_policy(refunds, APPROVALS, APPROVER.subject, now)
        for payment_id in self.payments:
            payment = self.house.payment(payment_id)
            check_events(payment, self.house.log(payment_id))
            check_limits(payment, self.refunds_of(payment_id))
            check_postings(payment, self.disputes_of(payment_id), self.entries_of(payment_id))
            assert payment.attention not in ("GATEWAY_CONTRADICTS", "AMOUNT_MISMATCH"), "it never does"
            intent = self.house.gateway.intents.get(payment.intent_id or "")
            if intent is not None:
                assert payment.amount_captured <= intent.amount_captured, "we know of more than was taken"

    def refunds_of(self, payment_id: str) -> list[Refund]:
        refunds = self.house.world.payments.rows["refund"].values()
        return [refund for refund in refunds if refund.payment_id == payment_id]

    def disputes_of(self, payment_id: str) -> list[Dispute]:
        disputes = self.house.world.payments.rows["dispute"].values()
        return [dispute for dispute in disputes if dispute.payment_id == payment_id]

    def entries_of(self, payment_id: str) -> list[LedgerEntry]:
        entries = self.house.world.payments.rows["ledger_entry"].values()
        return [entry for entry in entries if entry.payment_id == payment_id]

    async def report(self) -> LedgerReport:
        await self.house.import_balance()
        return await self.house.verify_ledger()

    async def tell_everything(self) -> None:
        """What was dropped is sent again at last, and whatever is open is found out."""
        self.seen.clear()
        self.listen()
        for _ in range(4):
            for event in self.told:
                assert await self.deliver(replace(event, event_id=f"evt_last_{next(self.numbers)}"))
            for hours in (0.5, 1, 25):
                self.house.clock.advance(hours=hours)
                while await self.house.recover_operations():
                    pass
            self.seen.clear()
            self.told.clear()
            self.listen()
        await self.house.deliver()

    def check_at_the_end(self) -> None:
        assert self.open_operations() == 0
        undecided = {
            name: refund.amount
            for name, refund in self.house.gateway.refunds.items()
            if refund.status is GatewayRefundStatus.PENDING
        }
        check_report(self.run(self.report()), undecided)
        for payment_id in self.payments:
            payment = self.house.payment(payment_id)
            gateway = self.house.gateway
            intents = [one for one in gateway.intents.values() if one.payment_id == payment_id]
            assert len(intents) <= 1, "an intent was made twice"
            theirs = [one for one in gateway.refunds.values() if one.intent_id == payment.intent_id]
            check_events(payment, self.house.log(payment_id))
            check_limits(payment, self.refunds_of(payment_id))
            check_against_gateway(
                payment, self.refunds_of(payment_id), intents[0] if intents else None, theirs
            )
            order = self.house.saved_order(payment.order_id)
            assert (order.amount_paid, order.amount_refunded) == (
                payment.amount_captured,
                payment.amount_refunded,
            )


async def _all(asked: Sequence[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*asked))
