"""The order: what was bought, and where its payment stands.

`confirm`, `attempt_again` and `call_off` are what a client may ask; every other change of status
follows from a payment event. The totals of its payments come with each event, so applying one sets them and
never adds to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.orders import stock
from domain.orders.attempt import NOTHING_TO_REFUND, Attempt, AttemptKind
from domain.orders.cancellation import Cancellation
from domain.orders.errors import (
    DiscountExceedsLine,
    OrderStateForbids,
    RefundExceedsPaid,
    RefundIsZero,
    StockInsufficient,
    TotalOutOfRange,
)
from domain.orders.history import RULES, Entry, Step, applied, explain
from domain.orders.money_policy import (
    AMOUNT_MISMATCH,
    BY_DEFAULT,
    CAPTURED_LESS_THAN_TOTAL,
    DISPUTE_LOST,
    DISPUTED,
    OF_SUPERSEDED,
    OF_THE_WHOLE,
    PAID_AFTER_CANCEL,
    PAID_TWICE,
    REFUND_FAILED,
    STOCK_INSUFFICIENT,
    SUPERSEDED_PAYMENT_CAPTURED,
    MoneyPolicy,
    OnCapturedLess,
    OnMoney,
    OnPaidAfterCancel,
)
from domain.orders.refunds import OrderRefund, OrderRefundStatus, RefundedLine, amount_of
from domain.orders.stock import NOTHING_TRACKED, Shelf, StockChange
from domain.shared.errors import FieldFault
from domain.shared.money import MAX_AMOUNT
from domain.shared.payment_events import (
    CardMethod,
    DisputeClosed,
    DisputeOpened,
    LastError,
    NextAction,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentRequiresAction,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
)
from domain.shared.states import State


class OrderStatus(State):
    DRAFT = "DRAFT", "The cart is being filled; it can still be changed."
    PENDING_PAYMENT = "PENDING_PAYMENT", "Checkout is complete, and no word of its payment has come yet."
    AWAITING_USER_PAYMENT_ACTION = (
        "AWAITING_USER_PAYMENT_ACTION",
        "The customer has to authenticate, or to follow a redirect.",
    )
    AUTHORIZED = "AUTHORIZED", "The funds are held, and nothing is taken yet."
    PAID = "PAID", "The money is taken, and the warehouse is being told."
    PROCESSING_FULFILLMENT = "PROCESSING_FULFILLMENT", "The warehouse has taken the order on."
    FULFILLED = "FULFILLED", "The warehouse has shipped it."
    PAYMENT_FAILED = "PAYMENT_FAILED", "The last attempt to pay came to nothing; another may be made."
    CANCELED = "CANCELED", "It was called off; money that comes all the same is flagged."
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED", "A part of what was paid was given back."
    REFUNDED = "REFUNDED", "All that was paid was given back."


_O = OrderStatus

PAYABLE = frozenset({_O.DRAFT, _O.PENDING_PAYMENT, _O.PAYMENT_FAILED})
_BEFORE_MONEY = PAYABLE | {_O.AWAITING_USER_PAYMENT_ACTION}
_AFTER_MONEY = frozenset(
    {_O.PAID, _O.PROCESSING_FULFILLMENT, _O.FULFILLED, _O.PARTIALLY_REFUNDED, _O.REFUNDED}
)
_SHIPPABLE = frozenset({_O.PAID, _O.PROCESSING_FULFILLMENT, _O.PARTIALLY_REFUNDED})
HOLDS_NO_STOCK = frozenset({_O.DRAFT, _O.PAYMENT_FAILED, _O.CANCELED})
"""In every other status an order holds its stock until it is fulfilled."""

TRANSITIONS: dict[type[PaymentEvent], tuple[frozenset[OrderStatus], OrderStatus]] = {
    PaymentRequiresAction: (_BEFORE_MONEY, _O.AWAITING_USER_PAYMENT_ACTION),
    PaymentAuthorized: (_BEFORE_MONEY, _O.AUTHORIZED),
    PaymentSucceeded: (_BEFORE_MONEY | {_O.AUTHORIZED}, _O.PAID),
    PaymentCaptured: (_BEFORE_MONEY | {_O.AUTHORIZED}, _O.PAID),  # the final one
    PaymentFailed: (_BEFORE_MONEY, _O.PAYMENT_FAILED),
    PaymentCanceled: (_BEFORE_MONEY | {_O.AUTHORIZED}, _O.PAYMENT_FAILED),  # payable again
}
"""From which statuses an event of the live payment moves the order, and where to; from elsewhere it does not."""

_NEEDS_STOCK = tuple(event for event, (_, after) in TRANSITIONS.items() if after not in HOLDS_NO_STOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who ordered; personal data."""

    name: str | None = None
    email: str | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """`discount_amount` and `tax_amount` are of the whole line, in minor units."""

    sku: str
    name: str
    quantity: int
    unit_amount: int
    discount_amount: int = 0
    tax_amount: int = 0
    commodity_code: str | None = None
    unit_of_measure: str | None = None

    @property
    def subtotal_amount(self) -> int:
        return self.quantity * self.unit_amount

    @property
    def total_amount(self) -> int:
        return self.subtotal_amount - self.discount_amount + self.tax_amount


@dataclass(slots=True, kw_only=True)
class OrderPayment:
    """One payment as far as its events (or the answer to its initiation) have told."""

    payment_id: str
    gateway_payment_intent_id: str | None
    status: str
    amount_captured: int = 0
    amount_refunded: int = 0
    method: CardMethod | None = None
    paid_at: datetime | None = None
    last_error: LastError | None = None
    next_action: NextAction | None = None

    @property
    def amount_kept(self) -> int:
        return self.amount_captured - self.amount_refunded

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and nothing of it is held: a success without its amount is not told yet."""
        if self.status == "SUCCEEDED":
            return self.amount_captured > 0 and self.amount_kept == 0
        return self.status == "CANCELED" and self.amount_kept == 0


class EffectType(StrEnum):
    NOTIFY_WAREHOUSE = "NotifyWarehouse"
    NOTIFY_CUSTOMER = "NotifyCustomer"
    RESTOCK = "Restock"


@dataclass(frozen=True, slots=True)
class Effect:
    """Something the world outside must be told; `about` is the event type or status that asks for it."""

    type: EffectType
    order_id: str
    about: str
    caused_by: UUID | None = None
    """The id of the event that asks for it."""
    amount: int | None = None
    """Of that event, where it tells of a refund."""
    refund_id: str | None = None
    """The refund whose goods are to be restocked."""
    goods: dict[str, int] | None = None
    """Those goods: how many of each SKU."""


@dataclass(slots=True, kw_only=True)
class Order:
    """Amounts in minor units of `currency`."""

    order_id: str
    user_id: str | None
    currency: str
    lines: tuple[OrderLine, ...]
    created_at: datetime
    updated_at: datetime
    customer: Customer | None = field(default=None, repr=False)
    shipping_amount: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    status: OrderStatus = OrderStatus.DRAFT
    attention: str | None = None
    payments: list[OrderPayment] = field(default_factory=list)
    refunds: list[OrderRefund] = field(default_factory=list)
    """In the order in which they were asked for, or were heard of."""
    confirmed_at: datetime | None = None
    """When its checkout was complete: from then on the lines are as they were."""
    accepted_at: datetime | None = None
    """When the warehouse accepted it."""
    fulfilled_at: datetime | None = None
    reserved: dict[str, int] | None = None
    """What it holds of each tracked SKU; None while it holds nothing, not even of untracked ones."""
    cancellation: Cancellation | None = None
    """Pending until the side of the money is known, then the record of why the order is canceled."""
    version: int = 1
    _stock_changes: list[StockChange] = field(default_factory=list, repr=False)
    _effects: list[Effect] = field(default_factory=list, repr=False)
    _history: list[Entry] = field(default_factory=list, repr=False)
    _steps: list[Step] = field(default_factory=list, repr=False)
    _attempts: list[Attempt] = field(default_factory=list, repr=False)

    @property
    def subtotal_amount(self) -> int:
        return sum(line.subtotal_amount for line in self.lines)

    @property
    def discount_amount(self) -> int:
        return sum(line.discount_amount for line in self.lines)

    @property
    def tax_amount(self) -> int:
        return sum(line.tax_amount for line in self.lines)

    @property
    def total_amount(self) -> int:
        return self.subtotal_amount - self.discount_amount + self.tax_amount + self.shipping_amount

    @property
    def amount_paid(self) -> int:
        return sum(payment.amount_captured for payment in self.payments)

    @property
    def amount_refunded(self) -> int:
        return sum(payment.amount_refunded for payment in self.payments)

    @property
    def skus(self) -> set[str]:
        return {line.sku for line in self.lines}

    @property
    def amount_kept(self) -> int:
        return self.amount_paid - self.amount_refunded

    @property
    def is_canceling(self) -> bool:
        return self.cancellation is not None and self.status is not OrderStatus.CANCELED

    @property
    def payable(self) -> bool:
        return self.status in PAYABLE and not self.is_canceling

    @property
    def latest_payment(self) -> OrderPayment | None:
        """The live payment, or the last there was: payments of an order follow one another, ids sort by time."""
        return max(self.payments, key=lambda payment: payment.payment_id, default=None)

    def take_effects(self) -> list[Effect]:
        """The effects since the last call, for the transaction that saves this order."""
        effects, self._effects = self._effects, []
        return effects

    def note(self, entry: Entry) -> None:
        """Remember what happened: the cause of the changes of status since the last entry, if there were any."""
        entry.before = entry.after = self.status
        self._history.append(explain(entry, self._steps))
        self._steps = []

    def take_history(self) -> list[Entry]:
        """The entries since the last call, for the transaction that saves this order."""
        assert not self._steps, "a change of status is noted with its cause before the order is saved"
        entries, self._history = self._history, []
        return entries

    def take_stock_changes(self) -> list[StockChange]:
        """What stock is to follow since the last call, in the transaction that saves this order."""
        if self.reserved is not None and self.fulfilled_at is not None:
            self._stock_changes += stock.consumed(self.reserved)
            self.reserved = None
        elif self.reserved is not None and self.status in HOLDS_NO_STOCK:
            self._stock_changes += stock.released(self.reserved)
            self.reserved = None
        changes, self._stock_changes = self._stock_changes, []
        return changes

    def bring_back(self, goods: Mapping[str, int], now: datetime) -> None:
        """Goods of a refund are on the shelf: again where they were shipped, else still, and free for others."""
        self.updated_at = now
        if self.fulfilled_at is not None:
            self._stock_changes += stock.returned(goods)
        elif self.reserved is not None:
            held = self.reserved
            back = {sku: min(quantity, held[sku]) for sku, quantity in goods.items() if sku in held}
            left = {sku: quantity - back.get(sku, 0) for sku, quantity in held.items()}
            self.reserved = {sku: quantity for sku, quantity in left.items() if quantity}
            self._stock_changes += stock.released(back)

    @property
    def attempts_asked_for(self) -> list[Attempt]:
        """What it asks of the payment side, not yet saved."""
        return list(self._attempts)

    def take_attempts(self) -> list[Attempt]:
        """What it asks of the payment side since the last call, for the transaction that saves this order."""
        attempts, self._attempts = self._attempts, []
        return attempts

    def check_totals(self) -> None:
        """Raises DiscountExceedsLine, which names every such line, or TotalOutOfRange."""
        faults = [
            FieldFault(f"/lines/{index}/discountAmount", f"The line is {line.subtotal_amount}.")
            for index, line in enumerate(self.lines)
            if line.discount_amount > line.subtotal_amount
        ]
        if faults:
            raise DiscountExceedsLine(faults=faults)
        if not 1 <= self.total_amount <= MAX_AMOUNT:
            raise TotalOutOfRange(f"the total would be {self.total_amount}", pointer="/lines")
        for name in ("subtotal", "discount", "tax"):
            amount: int = getattr(self, f"{name}_amount")
            if amount > MAX_AMOUNT:  # which JSON clients would read wrongly, whatever the total
                raise TotalOutOfRange(f"the {name} would be {amount}", pointer="/lines")

    # What a client asks

    def confirm(self, now: datetime) -> None:
        """Checkout is complete; from here on the lines are frozen."""
        self._check_not_canceling()
        if self.status is not OrderStatus.DRAFT:
            raise OrderStateForbids(f"an order in {self.status} cannot be confirmed")
        self.confirmed_at = now
        self._move(OrderStatus.PENDING_PAYMENT, now, "checkout is complete")

    def attempt_again(self, now: datetime) -> None:
        self._check_not_canceling()
        if self.status not in (OrderStatus.PAYMENT_FAILED, OrderStatus.PENDING_PAYMENT):
            raise OrderStateForbids(f"an order in {self.status} takes no further payment attempt")
        self._move(OrderStatus.PENDING_PAYMENT, now, "another attempt to pay begins")

    def attempt_refused(self, now: datetime) -> None:
        """The payment side refused to begin: as if it had not been asked, unless an event came meanwhile."""
        if self.latest_payment is not None and self.latest_payment.status == "PROCESSING":
            return  # the customer's bank is still at work on the attempt before
        if self.status is OrderStatus.PENDING_PAYMENT:
            if not self.payments:
                self.confirmed_at = None
            after = OrderStatus.PAYMENT_FAILED if self.payments else OrderStatus.DRAFT
            self._move(after, now, "the payment side refused the attempt")

    def reserve(self, shelf: Shelf) -> None:
        """Hold the stock of all lines, unless it does. Raises StockInsufficient, and then holds none."""
        if self.reserved is None:
            self.reserved = shelf.take([(line.sku, line.quantity) for line in self.lines])
            self._stock_changes += stock.reserved(self.reserved)

    def link_payment(self, payment_id: str, intent_id: str | None, status: str, now: datetime) -> None:
        """Remember the payment that was begun; its events say the rest."""
        known = self._payment(payment_id)
        if known is None:
            self.payments.append(
                OrderPayment(payment_id=payment_id, gateway_payment_intent_id=intent_id, status=status)
            )
        else:
            known.gateway_payment_intent_id = known.gateway_payment_intent_id or intent_id
            if status == "PROCESSING" and self.status is OrderStatus.PENDING_PAYMENT:
                known.status = status  # which no event tells: the next one may be days away
        self.updated_at = now

    def call_off(self, cancellation: Cancellation, *, key: str, check_at: datetime, busy: bool) -> None:
        """Cancel it: at once where no money is concerned, else once that is given up or given back.

        One that is refunded and not shipped may still hold its stock, which nothing else would give back.
        `busy`: a checkout's attempt is not answered yet, and its answer carries the cancellation on.
        Raises OrderStateForbids.
        """
        if self.fulfilled_at is not None:
            raise OrderStateForbids(f"an order in {self.status} cannot be canceled")
        self.cancellation = cancellation
        self.updated_at = cancellation.requested_at
        if not busy:
            self.go_on_canceling(cancellation.requested_at, key=key, check_at=check_at)

    def go_on_canceling(self, now: datetime, *, key: str, check_at: datetime) -> None:
        """Ask for what a pending cancellation needs; where that is nothing, it is done.

        `key` begins the attempts' ids, `check_at` is when recovery makes them unless somebody else has.
        """
        if not self.is_canceling:
            return
        latest = self.latest_payment
        for payment in self.payments:
            if payment.status == "SUCCEEDED" or (payment is not latest and payment.amount_kept > 0):
                kind, wanted = AttemptKind.REFUND, payment.amount_kept > 0
            else:
                kind, wanted = AttemptKind.CANCEL, payment is latest and payment.status != "CANCELED"
            if wanted:
                number = len(self._attempts)
                attempt_id = f"{key}-{number}" if number else key
                self._ask(kind, payment, self._reason, now, key=attempt_id, check_at=check_at)
        self.end_cancellation()

    @property
    def _reason(self) -> str | None:
        return self.cancellation.reason if self.cancellation else None

    def refund(
        self,
        *,
        amount: int | None,
        lines: tuple[RefundedLine, ...],
        reason: str,
        restock: bool,
        requested_by: str,
        key: str,
        now: datetime,
        check_at: datetime,
    ) -> OrderRefund:
        """Ask to give back an amount, or what these lines are worth, from the payment that holds it.

        Raises OrderStateForbids, RefundExceedsPaid, RefundIsZero, and what `amount_of` does.
        """
        self._check_not_canceling()
        if self.amount_kept <= 0:
            raise OrderStateForbids("nothing is held that could be given back")
        if amount is None:
            amount = amount_of(lines, self.lines, self.refunds)
        if amount < 1:
            raise RefundIsZero
        payments = sorted(self.payments, key=lambda payment: payment is not self.latest_payment)
        held = [(payment, self._left_of(payment)) for payment in payments]
        holding = next((payment for payment, left in held if left >= amount), None)
        if holding is None:
            most = max(left for _, left in held)
            raise RefundExceedsPaid(f"{amount} is more than the {most} that can be refunded")
        self.updated_at = now
        self._ask(
            AttemptKind.REFUND,
            holding,
            reason,
            now,
            key=key,
            check_at=check_at,
            requested_by=requested_by,
            amount=amount,
        )
        self.refunds[-1].lines, self.refunds[-1].restock = lines, restock
        return self.refunds[-1]

    def _left_of(self, payment: OrderPayment) -> int:
        """What is held of a payment and not promised to refunds that we have asked for."""
        promised = sum(
            refund.amount
            for refund in self.refunds
            if refund.payment_id == payment.payment_id and refund.status is OrderRefundStatus.PENDING
        )
        return payment.amount_kept - promised

    def settlement_refused(self, attempt: Attempt, now: datetime) -> None:
        """The payment side did not do what the order had asked for."""
        self.updated_at = now
        self.refunds = [one for one in self.refunds if one.refund_id != attempt.refund_id]
        if attempt.kind is AttemptKind.CANCEL:
            # Else the payment's own events say when it can be canceled, or what it has taken.
            if self.is_canceling and attempt.gives_way:
                self.cancellation = None  # the payment goes on, and so does the checkout
        elif attempt.amount is None and attempt.error != NOTHING_TO_REFUND:
            # Nobody waits for this answer. What is promised to other refunds is settled by their events.
            self.attention = REFUND_FAILED
            if self.is_canceling:
                self.cancellation = None

    def end_cancellation(self) -> None:
        """Where no payment is open and nothing is held any more, the order is canceled."""
        if self.is_canceling and all(payment.is_settled for payment in self.payments):
            self._step(OrderStatus.CANCELED, "the order is called off, and no money of it is held")

    def _ask(
        self,
        kind: AttemptKind,
        payment: OrderPayment,
        reason: str | None,
        now: datetime,
        *,
        key: str,
        check_at: datetime,
        requested_by: str | None = None,
        amount: int | None = None,
    ) -> None:
        """Ask the payment side to cancel this payment, or to give it back: an amount, or all that is left."""
        cancellation = self.cancellation if self.is_canceling else None
        attempt = Attempt(
            attempt_id=key,
            order_id=self.order_id,
            kind=kind,
            payment_id=payment.payment_id,
            amount=amount,
            reason=reason,
            requested_by=cancellation.requested_by if cancellation else requested_by,
            gives_way=cancellation is not None and cancellation.gives_way,
            created_at=now,
            next_check_at=check_at,
        )
        if kind is AttemptKind.REFUND:
            amount = self._left_of(payment) if amount is None else amount
            if amount <= 0:
                return  # all of it is promised, and the events of those refunds say the rest
            self.refunds.append(
                OrderRefund(
                    refund_id=attempt.refund_id, payment_id=payment.payment_id, amount=amount, reason=reason
                )
            )
        self._attempts.append(attempt)

    def _check_not_canceling(self) -> None:
        if self.is_canceling:
            raise OrderStateForbids("the order is being canceled")

    # What payment events bring

    def may_need_stock(self, event: PaymentEvent) -> bool:
        """Whether this event can lead to where the order must hold what it does not hold."""
        return self.reserved is None and self.fulfilled_at is None and isinstance(event, _NEEDS_STOCK)

    def apply(
        self,
        event: PaymentEvent,
        shelf: Shelf = NOTHING_TRACKED,
        policy: MoneyPolicy = BY_DEFAULT,
        *,
        published_at: str | None = None,
    ) -> None:
        """Follow one payment event. Events of one payment must come in their order, each once.

        `shelf` has the order's tracked SKUs where it `may_need_stock`; `published_at` is for the history.
        """
        attention = self.attention
        payment = self._take_over(event)
        self.updated_at = max(self.updated_at, event.occurred_at)
        entry = applied(event, published_at)
        self._give_way(event, payment)
        self._remember_refund(event)
        if payment is self.latest_payment:
            entry.rule = self._follow(event, payment, shelf, policy)
        else:
            entry.rule = self._follow_superseded(event, payment, policy)
        if isinstance(event, RefundProcessed):
            self._settle_attention()
        self._follow_cancellation(event, payment)
        if self.attention != attention:
            entry.attention = self.attention or ""
        self.note(entry)

    def _follow_superseded(self, event: PaymentEvent, payment: OrderPayment, policy: MoneyPolicy) -> str:
        match event:
            case RefundFailed():
                self.attention = REFUND_FAILED
            case RefundProcessed():
                self._ask_for(EffectType.NOTIFY_CUSTOMER, event)
            case _ if payment.amount_kept > 0:
                paid = self.status in _AFTER_MONEY
                self.attention = PAID_TWICE if paid else SUPERSEDED_PAYMENT_CAPTURED
                self._give_back(payment, event, policy.paid_twice)
        return "another payment has taken the place of this one"

    def _follow(
        self, event: PaymentEvent, payment: OrderPayment, shelf: Shelf, policy: MoneyPolicy
    ) -> str | None:
        """Follow an event of the payment that counts; why it left the status as it was, where it did."""
        if event.sequence == 1 and len(self.payments) > 1 and self.status is OrderStatus.AUTHORIZED:
            # The funds held were the former payment's: canceled before this one began, told later perhaps.
            self._step(OrderStatus.PENDING_PAYMENT, "a new payment began")
        match event:
            case RefundProcessed() | RefundFailed():
                return self._follow_refunds(event, payment)
            case DisputeOpened():
                self.attention = DISPUTED
            case DisputeClosed():
                if self.attention == DISPUTED:
                    self.attention = DISPUTE_LOST if event.reason == "lost" else None
            case PaymentCaptured(final=False):
                return "more may be captured: the order waits for the final capture"
            case _:
                return self._follow_payment(event, payment, shelf, policy)
        return "a dispute is for a person to answer"

    def accept_fulfilment(self, now: datetime) -> None:
        """The warehouse has taken the order on."""
        if self.accepted_at is None:
            self.accepted_at = self.updated_at = now
        if self.status is OrderStatus.PAID:
            self._move(OrderStatus.PROCESSING_FULFILLMENT, now, "the warehouse took the order on")

    def fulfil(self, now: datetime) -> bool:
        """The warehouse has shipped it; whether that is news. Raises OrderStateForbids.

        A warehouse that was told by other means may ship before it has accepted the order here.
        """
        if self.fulfilled_at is not None:
            return False
        self._check_not_canceling()
        if self.status not in _SHIPPABLE:
            raise OrderStateForbids(f"an order in {self.status} cannot be fulfilled")
        self.accept_fulfilment(now)
        self.fulfilled_at = self.updated_at = now
        if self.status is OrderStatus.PROCESSING_FULFILLMENT:
            self._move(OrderStatus.FULFILLED, now, "the warehouse shipped it")
        return True

    def _follow_payment(
        self, event: PaymentEvent, payment: OrderPayment, shelf: Shelf, policy: MoneyPolicy
    ) -> str | None:
        before, after = TRANSITIONS[type(event)]
        if after is OrderStatus.PAID and not self._money_is_right(event):
            self.attention = AMOUNT_MISMATCH
            self._give_back(payment, event, policy.amount_mismatch)
            return "the money is not what the order asks for"
        if after is OrderStatus.PAID and self.status is OrderStatus.CANCELED:
            if policy.paid_after_cancel is not OnPaidAfterCancel.REOPEN or not self._can_reopen(shelf):
                return self._keep_canceled(payment, event, policy)
            self.cancellation = None
        elif self.status not in before:
            return f"{event.type} does not move an order that is {self.status}"
        if after not in HOLDS_NO_STOCK and not self._has_stock(shelf, after):
            self._give_back(payment, event, policy.paid_without_stock)
            return "the stock for it is gone"
        self._step(after, RULES[type(event)])
        if self.is_canceling and not isinstance(event, PaymentCanceled):
            return None  # nothing is to be shipped, and nobody to be asked to pay
        if after is OrderStatus.PAID:
            less = event.amount_captured < self.total_amount
            if less and policy.captured_less is OnCapturedLess.FLAG:
                self.attention = CAPTURED_LESS_THAN_TOTAL
            self._ask_for(EffectType.NOTIFY_WAREHOUSE, event)
        if after is not OrderStatus.AUTHORIZED:
            self._ask_for(EffectType.NOTIFY_CUSTOMER, event)
        return None

    def _can_reopen(self, shelf: Shelf) -> bool:
        try:
            self.reserve(shelf)
        except StockInsufficient:
            return False
        return True

    def _keep_canceled(self, payment: OrderPayment, event: PaymentEvent, policy: MoneyPolicy) -> str:
        """Money came for an order that is called off."""
        self.attention = PAID_AFTER_CANCEL
        flag = policy.paid_after_cancel is OnPaidAfterCancel.FLAG
        self._give_back(payment, event, OnMoney.FLAG if flag else OnMoney.REFUND)
        return f"{event.type} does not move an order that is {self.status}"

    def _give_back(self, payment: OrderPayment, event: PaymentEvent, declared: OnMoney) -> None:
        """Refund what a payment has just taken, where that is what was declared for such money.

        A cancellation under way does so by itself. Of several captures the last one tells the whole.
        """
        taken = isinstance(event, PaymentSucceeded) or (isinstance(event, PaymentCaptured) and event.final)
        if taken and declared is OnMoney.REFUND and not self.is_canceling:
            key, at = event.event_id.hex, event.occurred_at
            reason = (self.attention or "").lower()
            self._ask(AttemptKind.REFUND, payment, reason, at, key=key, check_at=at)

    def _remember_refund(self, event: PaymentEvent) -> None:
        """Also of a refund that was made elsewhere: by the payment side's own call, or at the gateway."""
        if not isinstance(event, RefundProcessed | RefundFailed):
            return
        known = next((one for one in self.refunds if one.refund_id == event.refund_id), None)
        if known is None:
            reason = event.reason if isinstance(event, RefundProcessed) else None
            known = OrderRefund(
                refund_id=event.refund_id, payment_id=event.payment_id, amount=event.amount, reason=reason
            )
            self.refunds.append(known)
        known.amount = event.amount
        if isinstance(event, RefundFailed):  # goods that went back to stock after it succeeded stay there
            known.status = OrderRefundStatus.FAILED
            return
        known.status = OrderRefundStatus.SUCCEEDED
        if known.restock:
            goods: dict[str, int] = {}
            for line in known.lines:
                goods[line.sku] = goods.get(line.sku, 0) + line.quantity
            self._effects.append(
                Effect(
                    EffectType.RESTOCK,
                    self.order_id,
                    event.type,
                    event.event_id,
                    refund_id=known.refund_id,
                    goods=goods,
                )
            )

    def _settle_attention(self) -> None:
        """Nobody needs to look any more at money that was given back."""
        superseded = [payment for payment in self.payments if payment is not self.latest_payment]
        if (self.attention in OF_SUPERSEDED and not any(payment.amount_kept for payment in superseded)) or (
            self.attention in OF_THE_WHOLE and self.amount_kept == 0
        ):
            self.attention = None

    def _has_stock(self, shelf: Shelf, after: OrderStatus) -> bool:
        """Whether it may go there: with its stock, or to wait for the customer or for the capture without.

        Money that is taken or held for what is not there is flagged.
        """
        try:
            self.reserve(shelf)
        except StockInsufficient:
            if after is not OrderStatus.AWAITING_USER_PAYMENT_ACTION:
                self.attention = STOCK_INSUFFICIENT
            return after is not OrderStatus.PAID
        if self.attention == STOCK_INSUFFICIENT:
            self.attention = None
        return True

    def _ask_for(self, type: EffectType, event: PaymentEvent) -> None:
        amount = event.amount if isinstance(event, RefundProcessed) else None
        self._effects.append(Effect(type, self.order_id, event.type, event.event_id, amount))

    def _money_is_right(self, event: PaymentEvent) -> bool:
        if event.currency != self.currency:
            return False
        if isinstance(event, PaymentCaptured):  # the merchant may capture less than was ordered, never more
            return event.amount_captured <= self.total_amount
        return event.amount_captured == self.total_amount

    def _follow_refunds(self, event: PaymentEvent, payment: OrderPayment) -> str | None:
        if isinstance(event, RefundFailed):
            self.attention = REFUND_FAILED
        else:
            self._ask_for(EffectType.NOTIFY_CUSTOMER, event)
        if self.status not in _AFTER_MONEY:
            return f"an order that is {self.status} keeps its status whatever is given back"
        if payment.amount_kept <= 0:
            after = OrderStatus.REFUNDED
        elif payment.amount_refunded > 0:
            after = OrderStatus.PARTIALLY_REFUNDED
        elif self.fulfilled_at is not None:
            after = OrderStatus.FULFILLED
        else:
            after = OrderStatus.PROCESSING_FULFILLMENT if self.accepted_at else OrderStatus.PAID
        self._step(after, RULES[type(event)])
        return None

    def _give_way(self, event: PaymentEvent, payment: OrderPayment) -> None:
        """A checkout does not expire that was paid while its payment was being canceled."""
        if (
            self.is_canceling
            and self.cancellation is not None
            and self.cancellation.gives_way
            and payment is self.latest_payment
            and isinstance(event, PaymentAuthorized | PaymentSucceeded | PaymentCaptured)
        ):
            self.cancellation = None

    def _follow_cancellation(self, event: PaymentEvent, payment: OrderPayment) -> None:
        """What an event brings to a pending cancellation, which asked for its payment's end when it began."""
        if not self.is_canceling or self.cancellation is None:
            return
        key, at = event.event_id.hex, event.occurred_at
        match event:
            case RefundFailed():
                self.cancellation = None  # the order is what its money says, until a person decides
            case PaymentSucceeded() | PaymentCaptured(final=True):
                self._ask(AttemptKind.REFUND, payment, self._reason, at, key=key, check_at=at)
            case PaymentFailed() if payment is self.latest_payment and not self.cancellation.gives_way:
                # The customer's bank was at work on it before, and it could not be canceled.
                self._ask(AttemptKind.CANCEL, payment, self._reason, at, key=key, check_at=at)
            case PaymentCanceled() | RefundProcessed():
                self.end_cancellation()

    def _take_over(self, event: PaymentEvent) -> OrderPayment:
        payment = self._payment(event.payment_id)
        if payment is None:
            payment = OrderPayment(
                payment_id=event.payment_id,
                gateway_payment_intent_id=event.gateway_payment_intent_id,
                status="REQUIRES_PAYMENT_METHOD",
            )
            self.payments.append(payment)
        payment.gateway_payment_intent_id = (
            event.gateway_payment_intent_id or payment.gateway_payment_intent_id
        )
        payment.amount_captured = event.amount_captured
        payment.amount_refunded = event.amount_refunded
        payment.method = event.method or payment.method
        payment.status = _payment_status(event) or payment.status
        payment.last_error = event.last_error if isinstance(event, PaymentFailed) else None
        payment.next_action = event.next_action if isinstance(event, PaymentRequiresAction) else None
        if payment.paid_at is None and isinstance(event, PaymentSucceeded | PaymentCaptured):
            payment.paid_at = event.occurred_at
        return payment

    def _payment(self, payment_id: str) -> OrderPayment | None:
        return next((payment for payment in self.payments if payment.payment_id == payment_id), None)

    def _move(self, status: OrderStatus, now: datetime, rule: str) -> None:
        self._step(status, rule)
        self.updated_at = now

    def _step(self, status: OrderStatus, rule: str) -> None:
        """Change the status; `rule` is what allows it. Its cause is to be noted before the order is saved."""
        self._steps.append(Step(self.status, status, rule))
        self.status = status


def _payment_status(event: PaymentEvent) -> str | None:
    """The payment's status that an event tells of; None where it tells of something else."""
    match event:
        case PaymentRequiresAction():
            return "REQUIRES_ACTION"
        case PaymentAuthorized() | PaymentCaptured(final=False):
            return "REQUIRES_CAPTURE"
        case PaymentSucceeded() | PaymentCaptured():
            return "SUCCEEDED"
        case PaymentFailed():
            return "REQUIRES_PAYMENT_METHOD"
        case PaymentCanceled():
            return "CANCELED"
        case _:
            return None
