"""Payments and refunds by real use cases, over units of work and a gateway in memory, in whatever order.

Answers are lost, webhooks are dropped, doubled and reordered, time jumps by hours, the gateway is down; its
customers, its dashboard and the bank act on their own. The checks are those of the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.payments.dispute_status import DISPUTE_TRANSITIONS
from domain.payments.gateway import (
    GatewayEvent,
    GatewayRefundStatus,
    IntentStatus,
    RefundSnapshot,
)
from domain.payments.payment import Payment
from domain.payments.refund import Refund
from domain.shared.errors import DomainError
from tests.simulation.payments.ledger import check_against_gateway, check_events, check_limits
from tests.support.fake_gateway import Outcome
from tests.support.house import House

AMOUNT = 1000
TOKENS = st.sampled_from(
    ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_card_pendingRefund"]
)
WHICH = st.integers(0, 99)
SOME = st.integers(1, AMOUNT + 50)
LOST = st.lists(st.sampled_from([Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER]), min_size=1, max_size=2)


class PaymentMachine(RuleBasedStateMachine):
    """One shop; `told` is what the gateway has to say and has not said yet."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.house = House()
        self.payments: list[str] = []
        self.requests: list[Callable[[], Awaitable[Any]]] = []
        self.told: list[GatewayEvent] = []
        self.seen: dict[str, Any] = {}
        self.numbers = count(1)

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

    def run(self, work: Awaitable[Any]) -> Any:
        async def go() -> Any:
            return await work

        return self.runner.run(go())

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """A request of a client's, which may be refused; one that was accepted may be repeated some day."""
        try:
            answer = await request()
        except DomainError as refused:
            return refused
        finally:
            self.listen()
        self.requests.append(request)
        return answer

    def listen(self) -> None:
        """Take notice of what has changed at the gateway: each change is a webhook on its way."""
        gateway = self.house.gateway
        for kind, objects in (
            ("payment_intent.any", gateway.intents),
            ("refund.any", gateway.refunds),
            ("charge.dispute.any", gateway.disputes),
        ):
            for name, snapshot in dict(objects).items():
                if self.seen.get(name) != snapshot:
                    self.seen[name] = snapshot
                    self.told.append(gateway.webhook(kind, snapshot))  # type: ignore[arg-type]

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

    def open_operations(self) -> int:
        return sum(operation.open for operation in self.house.world.payments.rows["operation"].values())

    # The gateway, its customers and the wires

    @rule(outcomes=LOST)
    def lose_answers(self, outcomes: list[Outcome]) -> None:
        self.house.gateway.unscript()
        self.house.gateway.script(*outcomes)

    @rule()
    def go_down_or_up(self) -> None:
        self.house.gateway.down = not self.house.gateway.down

    @precondition(lambda self: self.told)
    @rule(which=WHICH, again=st.booleans())
    def tell(self, which: int, again: bool) -> None:
        """Deliver any of the webhooks on their way, whatever its place, perhaps to deliver it again."""
        event = self.told[which % len(self.told)]
        if self.run(self.deliver(event)) and not again:
            self.told.remove(event)

    @precondition(lambda self: self.told)
    @rule(which=WHICH)
    def drop(self, which: int) -> None:
        self.told.pop(which % len(self.told))

    async def deliver(self, event: GatewayEvent) -> bool:
        try:
            await self.house.webhook(event)
        except DomainError:
            return False  # the gateway could not be asked: it sends the event again
        return True

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, passes=st.booleans())
    def act(self, which: int, passes: bool) -> None:
        intent_id = self.some_payment(which).intent_id or ""
        intent = self.house.gateway.intents.get(intent_id)
        if intent is not None and intent.status is IntentStatus.REQUIRES_ACTION:
            gateway = self.house.gateway
            (gateway.complete_action if passes else gateway.fail_action)(intent_id)
            self.listen()

    @precondition(lambda self: self.house.gateway.refunds)
    @rule(which=WHICH, status=st.sampled_from(list(GatewayRefundStatus)))
    def settle_refund(self, which: int, status: GatewayRefundStatus) -> None:
        """A pending refund is decided, or a bank sends one back."""
        names = sorted(self.house.gateway.refunds)
        refund = self.house.gateway.refunds[names[which % len(names)]]
        allowed = {
            GatewayRefundStatus.PENDING: set(GatewayRefundStatus),
            GatewayRefundStatus.SUCCEEDED: {GatewayRefundStatus.FAILED},
        }
        if status in allowed.get(refund.status, set()):
            self.house.gateway.settle_refund(refund.gateway_refund_id, status, "expired_or_canceled_card")
            self.listen()

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, amount=st.integers(1, AMOUNT))
    def refund_in_the_dashboard(self, which: int, amount: int) -> None:
        gateway, intent_id = self.house.gateway, self.some_payment(which).intent_id or ""
        intent = gateway.intents.get(intent_id)
        given = sum(
            one.amount
            for one in gateway.refunds.values()
            if one.intent_id == intent_id and one.status in ("PENDING", "SUCCEEDED")
        )
        if intent is None or amount > intent.amount_captured - given:
            return
        name = f"re_dashboard_{next(self.numbers)}"
        gateway.refunds[name] = RefundSnapshot(
            gateway_refund_id=name,
            intent_id=intent_id,
            charge_id=intent.charge_id,
            status=GatewayRefundStatus.SUCCEEDED,
            amount=amount,
            currency=intent.currency,
            failure_reason=None,
            refund_id=None,
            reason=None,
        )
        self.listen()

    @precondition(lambda self: self.payments)
    @rule(which=WHICH)
    def dispute(self, which: int) -> None:
        gateway, intent_id = self.house.gateway, self.some_payment(which).intent_id or ""
        intent = gateway.intents.get(intent_id)
        if intent is not None and intent.amount_captured and len(gateway.disputes) < 3:
            gateway.open_dispute(intent_id)
            self.listen()

    @precondition(lambda self: self.house.gateway.disputes)
    @rule(which=WHICH, step=WHICH)
    def move_dispute(self, which: int, step: int) -> None:
        names = sorted(self.house.gateway.disputes)
        dispute = self.house.gateway.disputes[names[which % len(names)]]
        ahead = sorted(DISPUTE_TRANSITIONS[dispute.status])
        if ahead:
            self.house.gateway.move_dispute(dispute.gateway_dispute_id, ahead[step % len(ahead)])
            self.listen()

    # Time

    @rule(hours=st.sampled_from([0.01, 0.3, 2, 25]))
    def wait(self, hours: float) -> None:
        self.house.clock.advance(hours=hours)
        self.run(self.recover())

    async def recover(self) -> None:
        with suppress(DomainError):  # webhooks wait on where the gateway could not be asked
            await self.house.recover_operations()
        self.listen()

    # What must hold

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "house"):
            return
        for payment_id in self.payments:
            payment = self.house.payment(payment_id)
            check_events(payment, self.house.log(payment_id))
            check_limits(payment, self.refunds_of(payment_id))
            assert payment.attention not in ("GATEWAY_CONTRADICTS", "AMOUNT_MISMATCH"), "it never does"
            intent = self.house.gateway.intents.get(payment.intent_id or "")
            if intent is not None:
                assert payment.amount_captured <= intent.amount_captured, "we know of more than was taken"

    def refunds_of(self, payment_id: str) -> list[Refund]:
        refunds = self.house.world.payments.rows["refund"].values()
        return [refund for refund in refunds if refund.payment_id == payment_id]

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
