"""What orders must say, whatever happened: checks that know the contract and nothing of how orders work.

The model of an order is its payments' events, added up one by one, and what clients were told was done.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.orders.effects import Effect, EffectType
from domain.orders.money_policy import MoneyPolicy, OnCapturedLess
from domain.orders.order import Order
from domain.orders.status import NOT_TO_BE_SHIPPED
from domain.payments.gateway import IntentSnapshot, IntentStatus
from domain.reconciliation.orders import compare
from domain.shared.payment_events import (
    DisputeClosed,
    DisputeOpened,
    PaymentEvent,
    RefundFailed,
    RefundProcessed,
)
from tests.support.house import START, World
from tests.support.memory_statements import MemoryOrderStatements, MemoryPaymentStatements

AFTER_MONEY = {"PAID", "PROCESSING_FULFILLMENT", "FULFILLED", "PARTIALLY_REFUNDED", "REFUNDED"}
WAITS_FOR = {"AUTHORIZED": "PaymentAuthorized", "AWAITING_USER_PAYMENT_ACTION": "PaymentRequiresAction"}
HOLDS_STOCK = AFTER_MONEY | {"PENDING_PAYMENT", "AWAITING_USER_PAYMENT_ACTION", "AUTHORIZED"}

BEYOND_CANCELING = {IntentStatus.PROCESSING, IntentStatus.SUCCEEDED}


@dataclass
class Ledger:
    """The money of one payment as its applied events tell it, each for itself."""

    captured: int = 0
    refunds: dict[str, int] = field(default_factory=dict)
    stage: str | None = None
    """The last event that is about paying."""

    @property
    def refunded(self) -> int:
        return sum(self.refunds.values())

    def apply(self, event: PaymentEvent) -> None:
        match event:
            case RefundProcessed():
                assert event.refund_id not in self.refunds, "the same refund twice"
                self.refunds[event.refund_id] = event.amount
            case RefundFailed():
                self.refunds.pop(event.refund_id, None)
            case _ if event.type.startswith("Payment"):
                self.stage = event.type
                if event.type in ("PaymentSucceeded", "PaymentCaptured"):
                    self.captured += event.amount


def ledgers_of(events: Iterable[PaymentEvent]) -> dict[str, Ledger]:
    ledgers: dict[str, Ledger] = {}
    for event in events:
        ledgers.setdefault(event.payment_id, Ledger()).apply(event)
    return ledgers


def check_money(
    order: Order, events: Sequence[PaymentEvent], untold: Collection[str], policy: MoneyPolicy
) -> None:
    """The order's money is its payments' to the cent, and its status says what became of it.

    Nobody is told that less was captured where the `policy` accepts that. Of `untold` payments a canceled
    order may hear later: those made beside its checkout, which it gives up then, and those that are canceled,
    as the answer to a call may have told it before their events.
    """
    ledgers = ledgers_of(events)
    captured = sum(ledger.captured for ledger in ledgers.values())
    refunded = sum(ledger.refunded for ledger in ledgers.values())
    assert (order.amount_paid, order.amount_refunded) == (captured, refunded)
    kept, status, flagged = captured - refunded, order.status, bool(order.attentions)
    if status == "REFUNDED":
        assert captured == refunded > 0
    if status == "PARTIALLY_REFUNDED":
        assert 0 < refunded < captured
    if status in ("PAID", "PROCESSING_FULFILLMENT", "FULFILLED"):
        assert refunded == 0
        accepted = captured < order.total_amount and policy.captured_less is OnCapturedLess.ACCEPT
        assert captured == order.total_amount or accepted or flagged or order.is_canceling
    if kept and status not in AFTER_MONEY:
        assert flagged, f"money is kept for an order that is {status}, and nobody is told"
    if status == "CANCELED" and not flagged:
        for payment in order.payments:
            told = ledgers.get(payment.payment_id, Ledger())
            given_back = 0 < told.captured == told.refunded
            late = payment.payment_id in untold and not told.captured
            assert told.stage == "PaymentCanceled" or given_back or late, (
                "canceled, and its money is not known"
            )
    if status in WAITS_FOR:
        latest = ledgers[max(ledgers)]
        assert latest.stage == WAITS_FOR[status]
    if status == "DRAFT":
        assert order.confirmed_at is None
    if order.fulfilled_at is not None:
        assert status in ("FULFILLED", "PARTIALLY_REFUNDED", "REFUNDED") or flagged


def check_attentions(order: Order, events: Sequence[PaymentEvent]) -> None:
    """What a person must look at stays until its own end, whatever else has come since."""
    latest = max((payment.payment_id for payment in order.payments), default=None)
    disputes = [event for event in events if isinstance(event, DisputeOpened | DisputeClosed)]
    of_latest = [event for event in disputes if event.payment_id == latest]
    is_open = bool(of_latest) and isinstance(of_latest[-1], DisputeOpened)
    assert ("DISPUTED" in order.attentions) == is_open
    lost = any(isinstance(event, DisputeClosed) and event.reason == "lost" for event in of_latest)
    assert ("DISPUTE_LOST" in order.attentions) == lost
    if len(order.payments) == 1:  # of several the events come to the order in an order that nobody tells us
        failed = False
        for event in events:
            given_back = isinstance(event, RefundProcessed) and event.amount_refunded == event.amount_captured
            failed = isinstance(event, RefundFailed) or (failed and not given_back)
        assert not failed or "REFUND_FAILED" in order.attentions


def check_effects(
    orders: Mapping[str, Order], effects: Sequence[Effect], events: Sequence[PaymentEvent]
) -> None:
    """Each effect once per cause, and no warehouse is told twice of an order."""
    known = {event.event_id: event for event in events}
    causes = Counter((effect.type, effect.caused_by) for effect in effects if effect.caused_by)
    assert all(number == 1 for number in causes.values()), causes.most_common(1)
    for effect in effects:
        if effect.caused_by is not None:
            assert known[effect.caused_by].order_id == effect.order_id
    of_warehouse = [effect for effect in effects if effect.type is EffectType.NOTIFY_WAREHOUSE]
    told = Counter(one.order_id for one in of_warehouse if one.about not in NOT_TO_BE_SHIPPED)
    stopped = {one.order_id for one in of_warehouse if one.about in NOT_TO_BE_SHIPPED}
    assert all(number == 1 for number in told.values()), "a warehouse ships what it is told, each time"
    for order in orders.values():
        if order.status in AFTER_MONEY - {"REFUNDED"} and not (order.is_canceling or order.attentions):
            assert told[order.order_id] == 1, f"nobody ships {order.order_id}"
        if order.status in NOT_TO_BE_SHIPPED and told[order.order_id] and order.fulfilled_at is None:
            assert order.order_id in stopped, f"nobody stops {order.order_id}"


@dataclass
class Shelves:
    """The model of the stock: what was counted before the first order, less what was shipped, and what came back."""

    counted: Mapping[str, int]
    given_up: dict[str, Counter[str]] = field(default_factory=dict)
    """What each order was to hold and has released before it was shipped."""
    returned: Counter[str] = field(default_factory=Counter)

    def needs(self, order: Order) -> Counter[str]:
        """What the order's lines take of the tracked SKUs."""
        needed: Counter[str] = Counter()
        for line in order.lines:
            if line.sku in self.counted:
                needed[line.sku] += line.quantity
        return needed - self.given_up.get(order.order_id, Counter())

    def bring_back(self, order: Order, goods: Mapping[str, int]) -> None:
        """A refund's goods, once: from the customer's hands, or from the shelf on which they waited for them."""
        tracked = Counter({sku: quantity for sku, quantity in goods.items() if sku in self.counted})
        if order.fulfilled_at is not None:
            self.returned += tracked
        elif order.reserved is not None:
            self.given_up.setdefault(order.order_id, Counter()).update(tracked)

    def check(self, orders: Iterable[Order], stock: Mapping[str, tuple[int, int]]) -> None:
        """`stock` is what there is and what of it is reserved, by SKU."""
        held: Counter[str] = Counter()
        shipped: Counter[str] = Counter()
        for order in orders:
            mine = Counter(order.reserved or {})
            held.update(mine)
            if order.fulfilled_at is not None:
                shipped.update(self.needs(order))
            if order.status not in HOLDS_STOCK or order.fulfilled_at is not None:
                assert not mine, f"{order.order_id} is {order.status} and holds stock"
            else:
                # Paid beside its checkout, it may wait for its customer without stock; money then needs it.
                waits = order.status == "AWAITING_USER_PAYMENT_ACTION" and not mine
                assert mine == self.needs(order) or waits or order.attentions
        for sku, counted in self.counted.items():
            on_hand, reserved = stock[sku]
            assert (on_hand, reserved) == (counted - shipped[sku] + self.returned[sku], held[sku])
            assert 0 <= reserved <= on_hand


def check_with_gateway(order: Order, intents: Sequence[IntentSnapshot], refunded: Mapping[str, int]) -> None:
    """Once everything is told: the gateway's books are the order's, and one payment at most is alive.

    Of a payment made beside its checkout a canceled draft may never hear, for nothing has happened to it yet.
    A debit that its bank has not decided cannot be canceled: what it comes to ends it.
    """
    assert order.amount_paid == sum(intent.amount_captured for intent in intents)
    assert order.amount_refunded == sum(refunded.get(intent.intent_id, 0) for intent in intents)
    assert sum(intent.status is not IntentStatus.CANCELED for intent in intents) <= 1, "two live payments"
    alive = [intent for intent in intents if intent.status is not IntentStatus.CANCELED]
    if order.status in ("PENDING_PAYMENT", "AWAITING_USER_PAYMENT_ACTION", "AUTHORIZED"):
        assert alive, f"{order.order_id} is {order.status}, and nothing can pay it"
    if order.status == "CANCELED":
        heard = {payment.payment_id for payment in order.payments}
        assert all(one.status in BEYOND_CANCELING for one in alive if one.payment_id in heard)


async def check_statements(world: World, order_ids: Sequence[str]) -> None:
    """Whatever happens, and however far the events are: what the two sides state is no difference."""
    stated = await MemoryOrderStatements(world.orders).of_orders(order_ids)
    payments = await MemoryPaymentStatements(world.payments).of_orders(order_ids)
    for order in stated:
        of_order = [payment for payment in payments if payment.order_id == order.order_id]
        assert not list(compare(order, of_order, settled_before=START))
