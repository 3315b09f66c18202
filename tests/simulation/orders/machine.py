"""Orders, their payments, refunds and stock by real use cases, over units of work and a gateway in memory.

Customers fill carts, pay by every kind of card, here or at the gateway, late or never; merchants capture,
void, refund and ship; processes die between any two steps, and events reach orders late and in any order
of their payments. What must hold then is in `books`.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from domain.orders.cart import OrderLine
from domain.orders.draft import DraftChanges
from domain.orders.effects import Effect, EffectType
from domain.orders.money_policy import MoneyPolicy, OnCapturedLess, OnMoney, OnPaidAfterCancel
from domain.orders.order import Order
from domain.orders.refunds import RefundedLine
from domain.orders.status import NOT_TO_BE_SHIPPED
from domain.orders.use_cases.cancel_order import CancelOrder
from domain.orders.use_cases.change_order import ChangeOrder
from domain.orders.use_cases.refund_order import RefundOrder
from domain.payments.gateway import GatewayRefundStatus, GatewayRefused, IntentSnapshot, IntentStatus
from domain.payments.payment import Payment
from domain.shared.errors import DomainError
from domain.shared.payment_events import PaymentEvent
from tests.simulation.orders.books import (
    Shelves,
    check_attentions,
    check_effects,
    check_money,
    check_statements,
    check_with_gateway,
)
from tests.simulation.payments.ledger import check_events, check_limits
from tests.simulation.payments.outside import WHICH, OutsideMachine
from tests.simulation.payments.postings import check_postings
from tests.support.crash import Crash, Fuse
from tests.support.house import CUSTOMER, SERVICE, House

CARDS = st.sampled_from(
    [
        *["pm_card_visa"] * 6,
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_authenticationRequired",
        "pm_card_pendingRefund",
        "pm_success_de",
        "pm_failed_de",
        "pm_nowhere",
        None,
    ]
)
MOST_ORDERS = 3
"""Few, so that much happens to each."""
TRACKED = {"OAK": 6, "ASH": 3}
SELDOM = st.integers(0, 3).map(lambda number: number == 0)
"""Of what would end each order before much has happened to it."""
LINES = st.lists(
    st.builds(
        lambda sku, quantity: OrderLine(sku=sku, name=sku, quantity=quantity, unit_amount=500),
        st.sampled_from([*TRACKED, "AIR"]),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=2,
).map(tuple)


POLICIES = st.builds(
    MoneyPolicy,
    paid_after_cancel=st.sampled_from(OnPaidAfterCancel),
    paid_twice=st.sampled_from(OnMoney),
    amount_mismatch=st.sampled_from(OnMoney),
    paid_without_stock=st.sampled_from(OnMoney),
    captured_less=st.sampled_from(OnCapturedLess),
)


class OrderMachine(OutsideMachine):
    """`applied` counts the events of each payment that have reached its order."""

    def begin(self) -> None:
        self.client = self.house
        self.orders: list[str] = []
        self.applied: dict[str, int] = {}
        self.carried_out = 0
        self.frozen: dict[str, tuple[Any, ...]] = {}
        self.shelves = Shelves(TRACKED)
        self.brought_back: set[str | None] = set()
        self.beside: set[str] = set()
        for sku, on_hand in TRACKED.items():
            self.run(self.house.count(sku, on_hand))

    @precondition(lambda self: not self.orders)
    @rule(policy=POLICIES)
    def declare(self, policy: MoneyPolicy) -> None:
        """What becomes of strange money is settled before the first order."""
        self.house.world.policy = policy

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        try:
            self.house.gateway.down = False
            self.house.gateway.unscript()
            self.run(self.settle())
            self.check_at_the_end()
            if self.banks_decide():
                self.run(self.settle())
                self.check_at_the_end()
        finally:
            self.runner.close()

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """A client's request, which may be refused, or die with the process that works on it."""
        try:
            return await super().ask(request)
        except Crash as crash:
            self.client = self.house
            self.requests.append(request)
            return crash

    def new_id(self) -> str:
        """Of a request, with a letter that tells it from the ids that the house counts by itself."""
        return f"m{next(self.numbers):025d}"

    def some_order(self, which: int, *statuses: str) -> Order:
        """One of those in these statuses mostly, where there are any; else, and sometimes, any one."""
        orders = self.all_orders()
        fitting = [order for order in orders if order.status in statuses]
        chosen = fitting if fitting and which % 5 else orders
        return chosen[which % len(chosen)]

    def all_orders(self) -> list[Order]:
        return [self.house.saved_order(order_id) for order_id in self.orders]

    # Customers

    @precondition(lambda self: len(self.orders) < MOST_ORDERS)
    @rule(lines=LINES, token=CARDS, manual=st.booleans(), confirmed=st.booleans())
    def fill_a_cart(
        self, lines: tuple[OrderLine, ...], token: str | None, manual: bool, confirmed: bool
    ) -> None:
        order = self.run(self.house.order(request_id=self.new_id(), lines=lines))
        self.orders.append(order.order_id)
        if confirmed:
            self.confirm(len(self.orders) - 1, token, manual)

    @precondition(lambda self: self.orders)
    @rule(which=WHICH, lines=LINES, stale=st.booleans())
    def change_it(self, which: int, lines: tuple[OrderLine, ...], stale: bool) -> None:
        order, request_id = self.some_order(which, "DRAFT", "PENDING_PAYMENT"), self.new_id()
        version = order.version - stale
        command = ChangeOrder(
            request_id=request_id,
            caller=CUSTOMER,
            order_id=order.order_id,
            versions={version},
            changes=DraftChanges(lines=lines),
        )
        answer = self.run(self.ask(lambda: self.client.change_order(command)))
        if isinstance(answer, Order):
            assert order.status == "DRAFT"
            assert not stale

    @precondition(lambda self: self.orders)
    @rule(which=WHICH, token=CARDS, manual=st.booleans())
    def confirm(self, which: int, token: str | None, manual: bool) -> None:
        order_id, request_id = self.some_order(which, "DRAFT").order_id, self.new_id()
        method = "MANUAL" if manual else "AUTOMATIC"
        self.run(
            self.ask(
                lambda: self.client.confirm(order_id, token, request_id=request_id, capture_method=method)
            )
        )

    @precondition(lambda self: self.orders)
    @rule(which=WHICH, token=CARDS)
    def pay_again(self, which: int, token: str | None) -> None:
        order_id, request_id = self.some_order(which, "PAYMENT_FAILED").order_id, self.new_id()
        self.run(self.ask(lambda: self.client.retry(order_id, token, request_id=request_id)))

    @precondition(lambda self: self.orders)
    @rule(which=WHICH, token=CARDS, called_off=st.booleans())
    def pay_beside_the_checkout(self, which: int, token: str | None, called_off: bool) -> None:
        """By the payment side's own call: the order hears of it by events alone, perhaps when it is canceled."""
        order, request_id = self.some_order(which, "DRAFT", "PAYMENT_FAILED"), self.new_id()
        self.beside.add(f"pay_{request_id}")
        self.run(self.ask(lambda: self.client.pay(order, token, request_id=request_id)))
        if called_off:
            command = CancelOrder(request_id=self.new_id(), caller=CUSTOMER, order_id=order.order_id)
            self.run(self.ask(lambda: self.client.cancel_order(command)))

    @precondition(lambda self: self.house.gateway.intents)
    @rule(which=WHICH, token=st.sampled_from(["pm_card_visa", "pm_card_chargeDeclined", "pm_success_de"]))
    def pay_by_the_client_secret(self, which: int, token: str) -> None:
        with suppress(GatewayRefused):
            self.house.gateway.pay_by_client_secret(self.some_intent(which).intent_id, token)
        self.listen()

    @precondition(lambda self: self.orders)
    @rule(which=WHICH, by_merchant=st.booleans(), seldom=SELDOM)
    def call_off(self, which: int, by_merchant: bool, seldom: bool) -> None:
        if not seldom:
            return
        order_id, caller = self.some_order(which).order_id, SERVICE if by_merchant else CUSTOMER
        command = CancelOrder(request_id=self.new_id(), caller=caller, order_id=order_id)
        self.run(self.ask(lambda: self.client.cancel_order(command)))

    @precondition(lambda self: self.orders)
    @rule(which=WHICH, pays=st.booleans(), told=st.booleans(), seldom=SELDOM)
    def abandon(self, which: int, pays: bool, told: bool, seldom: bool) -> None:
        """Nothing happens for so long that checkouts expire; or a customer pays at that very moment."""
        if not seldom:
            return
        self.house.clock.advance(hours=1)
        self.run(self.ask(self.client.expire_checkouts))
        if pays and self.house.gateway.intents:
            with suppress(GatewayRefused):
                self.house.gateway.pay_by_client_secret(self.some_intent(which).intent_id, "pm_card_visa")
            self.listen()
        if told:
            self.run(self.recover())

    @precondition(lambda self: self.house.gateway.intents)
    @rule(which=WHICH)
    def let_a_bank_decide(self, which: int) -> None:
        """On a debit, or to hold funds no longer."""
        intent = self.some_intent(which)
        if intent.status is IntentStatus.PROCESSING:
            self.house.gateway.settle_debit(intent.intent_id)
        if intent.status is IntentStatus.REQUIRES_CAPTURE:
            self.house.gateway.lapse(intent.intent_id)
        self.listen()

    # Merchants

    def some_payment(self, which: int, *statuses: str) -> Payment:
        payments = [*self.house.world.payments.rows["payment"].values()]
        fitting = [payment for payment in payments if payment.status in statuses]
        chosen = fitting if fitting and which % 5 else payments
        payment: Payment = chosen[which % len(chosen)]
        return payment

    @precondition(lambda self: self.house.world.payments.rows["payment"])
    @rule(which=WHICH, part=st.sampled_from([1.0, 0.5]))
    def capture(self, which: int, part: float) -> None:
        payment, request_id = self.some_payment(which, "REQUIRES_CAPTURE"), self.new_id()
        amount = int(payment.amount * part)
        self.run(self.ask(lambda: self.client.capture(payment, amount, request_id=request_id)))

    @precondition(lambda self: self.house.world.payments.rows["payment"])
    @rule(which=WHICH, seldom=SELDOM)
    def void(self, which: int, seldom: bool) -> None:
        if not seldom:
            return
        payment, request_id = self.some_payment(which), self.new_id()
        self.run(self.ask(lambda: self.client.cancel(payment, request_id=request_id)))

    @precondition(lambda self: self.house.world.payments.rows["payment"])
    @rule(which=WHICH, part=st.sampled_from([1.0, 0.5, 0.1]))
    def refund(self, which: int, part: float) -> None:
        payment, request_id = self.some_payment(which, "SUCCEEDED"), self.new_id()
        amount = int(payment.amount * part)
        self.run(self.ask(lambda: self.client.refund(payment, amount, request_id=request_id)))

    @precondition(lambda self: self.orders)
    @rule(
        which=WHICH,
        amount=st.sampled_from([None, 100, 500]),
        quantity=st.integers(1, 2),
        restock=st.booleans(),
    )
    def refund_by_order(self, which: int, amount: int | None, quantity: int, restock: bool) -> None:
        """An amount, or some pieces of the first line, which go back to the shelf perhaps."""
        order = self.some_order(which, "PAID", "PROCESSING_FULFILLMENT", "FULFILLED", "PARTIALLY_REFUNDED")
        lines = (RefundedLine(sku=order.lines[0].sku, quantity=quantity),) if amount is None else ()
        command = RefundOrder(
            request_id=self.new_id(),
            caller=SERVICE,
            order_id=order.order_id,
            reason="torn",
            amount=amount,
            lines=lines,
            restock=restock and amount is None,
        )
        self.run(self.ask(lambda: self.client.refund_order(command)))

    @precondition(lambda self: self.orders)
    @rule(which=WHICH)
    def ship(self, which: int) -> None:
        order_id = self.some_order(which, "PAID", "PROCESSING_FULFILLMENT", "PARTIALLY_REFUNDED").order_id
        request_id = self.new_id()
        answer = self.run(self.ask(lambda: self.client.fulfil_order(request_id, SERVICE, order_id)))
        if isinstance(answer, Order):
            assert answer.fulfilled_at is not None

    # Processes and the way of events

    @rule(steps=st.integers(1, 80))
    def die_soon(self, steps: int) -> None:
        """The process of the next request ends before or after this call of a port."""
        self.client = House(self.house.world, decorate=Fuse(steps).attach)

    @precondition(lambda self: self.requests)
    @rule(which=WHICH)
    def repeat(self, which: int) -> None:
        """A client that has lost the answer asks again with the same key."""
        self.run(self.ask(self.requests[which % len(self.requests)]))

    def waiting(self) -> dict[str, list[PaymentEvent]]:
        """The events of each payment that have not reached its order."""
        found: dict[str, list[PaymentEvent]] = {}
        for event in self.house.log():
            if event.sequence > self.applied.get(event.payment_id, 0):
                found.setdefault(event.payment_id, []).append(event)
        return found

    @rule(which=WHICH, how_many=st.integers(1, 4))
    def let_an_order_follow(self, which: int, how_many: int) -> None:
        waiting = self.waiting()
        if waiting:
            payment_id = sorted(waiting)[which % len(waiting)]
            self.run(self.apply(waiting[payment_id][:how_many]))

    @rule()
    def let_orders_follow(self) -> None:
        self.run(self.apply([event for events in self.waiting().values() for event in events]))

    async def apply(self, events: list[PaymentEvent]) -> None:
        await self.house.apply(events)
        for event in events:
            assert event.sequence == self.applied.get(event.payment_id, 0) + 1
            self.applied[event.payment_id] = event.sequence

    @precondition(lambda self: len(self.house.world.orders.effects) > self.carried_out)
    @rule(twice=st.booleans())
    def carry_out(self, twice: bool) -> None:
        """The oldest effect that nobody has carried out reaches its consumer, perhaps again."""
        effect = self.house.world.orders.effects[self.carried_out]
        for _ in range(1 + twice):
            self.run(self.carry(effect, f"effect_{self.carried_out}"))
        self.carried_out += 1

    async def carry(self, effect: Effect, key: str) -> None:
        if effect.type is EffectType.NOTIFY_WAREHOUSE:
            await self.house.notify_warehouse(effect, key)
        elif effect.type is EffectType.NOTIFY_CUSTOMER:
            await self.house.tell_customer(effect, key)
        elif effect.type is EffectType.RESTOCK and effect.goods is not None:
            before = self.house.saved_order(effect.order_id)
            await self.house.restock_goods(effect, key)
            if effect.refund_id not in self.brought_back:
                self.shelves.bring_back(before, effect.goods)
                self.brought_back.add(effect.refund_id)

    async def recover(self) -> None:
        with suppress(DomainError):  # what waits for the gateway is looked at again
            await self.house.recover_operations()
        with suppress(DomainError):
            await self.house.recover_attempts()
        self.listen()

    def banks_decide(self) -> bool:
        """Whether any debit was undecided, which nobody could cancel till now."""
        gateway = self.house.gateway
        undecided = [one for one in gateway.intents.values() if one.status is IntentStatus.PROCESSING]
        for intent in undecided:
            gateway.settle_debit(intent.intent_id)
        return bool(undecided)

    async def settle(self) -> None:
        """What was dropped is sent again at last, whatever is open is found out, and every event arrives."""
        for _ in range(6):
            self.seen.clear()
            self.told.clear()
            self.listen()
            for event in self.told:
                assert await self.deliver(event)
            for hours in (0.5, 1, 25):
                self.house.clock.advance(hours=hours)
                while await self.house.recover_operations():
                    pass
                while await self.house.recover_attempts():
                    pass
            for events in self.waiting().values():
                await self.apply(events)
            while self.carried_out < len(self.house.world.orders.effects):
                await self.carry(
                    self.house.world.orders.effects[self.carried_out], f"effect_{self.carried_out}"
                )
                self.carried_out += 1

    # What must hold

    def events_of(self, order_id: str) -> list[PaymentEvent]:
        """Those that have reached the order."""
        return [
            event
            for event in self.house.log()
            if event.order_id == order_id and event.sequence <= self.applied.get(event.payment_id, 0)
        ]

    @invariant()
    def the_books_are_right(self) -> None:
        if not hasattr(self, "house"):
            return
        orders = {order.order_id: order for order in self.all_orders()}
        payments = self.house.world.payments.rows["payment"].values()
        canceled = {one.payment_id for one in payments if one.status is IntentStatus.CANCELED}
        for order in orders.values():
            events = self.events_of(order.order_id)
            check_money(order, events, self.beside | canceled, self.house.world.policy)
            check_attentions(order, events)
            self.check_frozen(order)
        self.run(check_statements(self.house.world, list(orders)))
        check_effects(orders, self.house.world.orders.effects, self.house.log())
        self.shelves.check(orders.values(), {sku: self.house.stock(sku) for sku in TRACKED})
        for payment in self.house.world.payments.rows["payment"].values():
            check_events(payment, self.house.log(payment.payment_id))
            check_limits(payment, self.refunds_of(payment.payment_id))
            own = partial(self.of_payment, payment.payment_id)
            check_postings(payment, own("dispute"), own("ledger_entry"))

    def check_frozen(self, order: Order) -> None:
        """From its confirmation on an order is what it was then."""
        if order.confirmed_at is None:
            self.frozen.pop(order.order_id, None)
            return
        bought = (order.confirmed_at, order.currency, order.lines, order.shipping_amount)
        assert self.frozen.setdefault(order.order_id, bought) == bought

    def of_payment(self, payment_id: str, table: str) -> list[Any]:
        rows = self.house.world.payments.rows[table].values()
        return [row for row in rows if row.payment_id == payment_id]

    def refunds_of(self, payment_id: str) -> list[Any]:
        refunds = self.house.world.payments.rows["refund"].values()
        return [refund for refund in refunds if refund.payment_id == payment_id]

    def check_at_the_end(self) -> None:
        self.the_books_are_right()
        assert self.open_operations() == 0
        attempts = self.house.world.orders.rows["attempt"].values()
        assert all(attempt.status != "STARTED" for attempt in attempts)
        gateway = self.house.gateway
        refunded: dict[str, int] = {}
        for refund in gateway.refunds.values():
            if refund.status is GatewayRefundStatus.SUCCEEDED and refund.intent_id is not None:
                refunded[refund.intent_id] = refunded.get(refund.intent_id, 0) + refund.amount
        for order in self.all_orders():
            check_with_gateway(order, self.intents_of(order.order_id), refunded)
        warehouse = {
            (effect.order_id, key)
            for effect, key in self.house.world.notes.sent
            if effect.about not in NOT_TO_BE_SHIPPED
        }
        assert len(warehouse) == len({order_id for order_id, _ in warehouse})

    def intents_of(self, order_id: str) -> list[IntentSnapshot]:
        return [intent for intent in self.house.gateway.intents.values() if intent.order_id == order_id]
