"""What happens around both services whatever they do: lost answers, strange webhooks, customers, banks, time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.payments.dispute_status import DISPUTE_TRANSITIONS
from domain.payments.gateway import (
    GatewayEvent,
    GatewayRefundStatus,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
)
from domain.shared.errors import DomainError
from tests.support.fake_gateway import Outcome
from tests.support.house import House

AMOUNT = 1000
WHICH = st.integers(0, 99)
LOST = st.lists(st.sampled_from([Outcome.UNKNOWN_BEFORE, Outcome.UNKNOWN_AFTER]), min_size=1, max_size=2)


class OutsideMachine(RuleBasedStateMachine):
    """One house; `told` is what the gateway has to say and has not said yet."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.house = House()
        self.requests: list[Callable[[], Awaitable[Any]]] = []
        self.told: list[GatewayEvent] = []
        self.seen: dict[str, Any] = {}
        self.numbers = count(1)
        self.begin()

    def begin(self) -> None:
        """What a machine has besides; hypothesis runs several initial rules in any order."""

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

    def open_operations(self) -> int:
        return sum(operation.open for operation in self.house.world.payments.rows["operation"].values())

    def some_intent(self, which: int) -> IntentSnapshot:
        intents = self.house.gateway.intents
        return intents[sorted(intents)[which % len(intents)]]

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

    @precondition(lambda self: self.house.gateway.intents)
    @rule(which=WHICH, passes=st.booleans())
    def act(self, which: int, passes: bool) -> None:
        """The customer authenticates, or fails to."""
        intent = self.some_intent(which)
        if intent.status is IntentStatus.REQUIRES_ACTION:
            gateway = self.house.gateway
            (gateway.complete_action if passes else gateway.fail_action)(intent.intent_id)
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

    @precondition(lambda self: self.house.gateway.intents)
    @rule(which=WHICH, amount=st.integers(1, AMOUNT))
    def refund_in_the_dashboard(self, which: int, amount: int) -> None:
        gateway, intent = self.house.gateway, self.some_intent(which)
        given = sum(
            one.amount
            for one in gateway.refunds.values()
            if one.intent_id == intent.intent_id and one.status in ("PENDING", "SUCCEEDED")
        )
        if amount > intent.amount_captured - given:
            return
        name = f"re_dashboard_{next(self.numbers)}"
        gateway.refunds[name] = RefundSnapshot(
            gateway_refund_id=name,
            intent_id=intent.intent_id,
            charge_id=intent.charge_id,
            status=GatewayRefundStatus.SUCCEEDED,
            amount=amount,
            currency=intent.currency,
            failure_reason=None,
            refund_id=None,
            reason=None,
        )
        self.listen()

    @precondition(lambda self: self.house.gateway.intents)
    @rule(which=WHICH)
    def dispute(self, which: int) -> None:
        gateway, intent = self.house.gateway, self.some_intent(which)
        if intent.amount_captured and len(gateway.disputes) < 3:
            gateway.open_dispute(intent.intent_id)
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
