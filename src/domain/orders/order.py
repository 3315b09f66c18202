"""The order: what was bought, where its payment stands, and what clients and the warehouse may do.

`confirm`, `attempt_again` and `call_off` are what a client may ask; every other change of status
follows from a payment event (following.py) or from the warehouse.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.orders import stock
from domain.orders.attempt import NOTHING_TO_REFUND, Attempt, AttemptKind
from domain.orders.attention import REFUND_FAILED, by_urgency
from domain.orders.cancellation import NOBODY, Cancellation, Requester
from domain.orders.cart import Customer, OrderLine
from domain.orders.effects import Effect
from domain.orders.errors import (
    DiscountExceedsLine,
    OrderStateForbids,
    RefundExceedsPaid,
    RefundIsZero,
    TotalOutOfRange,
)
from domain.orders.history import Entry, Step, explain
from domain.orders.order_payment import OrderPayment
from domain.orders.refunds import OrderRefund, OrderRefundStatus, RefundedLine, amount_of
from domain.orders.status import HOLDS_NO_STOCK, PAYABLE, SHIPPABLE, OrderStatus
from domain.orders.stock import Shelf, StockChange
from domain.shared.errors import AttentionNotOpen, FieldFault
from domain.shared.money import MAX_AMOUNT


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
    attentions: tuple[str, ...] = ()
    """What a person must look at, the most urgent first: `raise_attention` and `settle` keep them."""
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
    _noted_attentions: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)
    _effects: list[Effect] = field(default_factory=list, repr=False)
    _history: list[Entry] = field(default_factory=list, repr=False)
    _steps: list[Step] = field(default_factory=list, repr=False)
    _attempts: list[Attempt] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._noted_attentions = self.attentions

    @property
    def attention(self) -> str | None:
        """The most urgent of what a person must look at."""
        return self.attentions[0] if self.attentions else None

    def raise_attention(self, attention: str) -> None:
        self.attentions = by_urgency({*self.attentions, attention})

    def acknowledge(self, attention: str, now: datetime) -> None:
        """A person has dealt with it. Raises AttentionNotOpen."""
        if attention not in self.attentions:
            raise AttentionNotOpen
        self.settle(attention)
        self.updated_at = now

    def settle(self, *attentions: str) -> None:
        """Nobody needs to look at these any more, where somebody had to."""
        self.attentions = tuple(one for one in self.attentions if one not in attentions)

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

    def ask_for(self, effect: Effect) -> None:
        """Ask the world outside for something, once the transaction that saves this order is committed."""
        self._effects.append(effect)

    def take_effects(self) -> list[Effect]:
        """The effects since the last call, for the transaction that saves this order."""
        effects, self._effects = self._effects, []
        return effects

    def note(self, entry: Entry) -> None:
        """Remember what happened: the cause of the changes of status since the last entry, if there were any."""
        entry.before = entry.after = self.status
        if self.attentions != self._noted_attentions:
            entry.attention, entry.attentions = self.attention or "", self.attentions
            self._noted_attentions = self.attentions
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
                self.ask(kind, payment, self._reason, now, key=attempt_id, check_at=check_at)
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
        requester: Requester,
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
        self.ask(
            AttemptKind.REFUND,
            holding,
            reason,
            now,
            key=key,
            check_at=check_at,
            requester=requester,
            amount=amount,
        )
        self.refunds[-1].lines, self.refunds[-1].restock = lines, restock
        return self.refunds[-1]

    def refund_of(self, refund_id: str) -> OrderRefund:
        """The refund of this id. Raises StopIteration where the order has not heard of it."""
        return next(one for one in self.refunds if one.refund_id == refund_id)

    def refund_waits(self, refund_id: str) -> bool:
        """The payment side wants a second person to approve it; whether that is news."""
        waiting = next((one for one in self.refunds if one.refund_id == refund_id), None)
        if waiting is None or waiting.status is not OrderRefundStatus.PENDING:
            return False  # its events have told more by now
        waiting.status = OrderRefundStatus.PENDING_APPROVAL
        return True

    def _left_of(self, payment: OrderPayment) -> int:
        """What is held of a payment and not promised to refunds that we have asked for."""
        promised = sum(
            refund.amount
            for refund in self.refunds
            if refund.payment_id == payment.payment_id and refund.status.is_open
        )
        return payment.amount_kept - promised

    def settlement_refused(self, attempt: Attempt, now: datetime) -> None:
        """The payment side did not do what the order had asked for."""
        self.updated_at = now
        self.refunds = [one for one in self.refunds if one.refund_id != attempt.refund_id]
        if attempt.kind is AttemptKind.CANCEL:
            # Else the payment's own events say when it can be canceled, or what it has taken.
            pending = self.cancellation if self.is_canceling else None
            if attempt.gives_way and pending is not None and pending.gives_way:
                self.cancellation = None  # the payment goes on, and so does the checkout
        elif attempt.amount is None and attempt.error != NOTHING_TO_REFUND:
            # Nobody waits for this answer. What is promised to other refunds is settled by their events.
            self.raise_attention(REFUND_FAILED)
            if self.is_canceling:
                self.cancellation = None

    def end_cancellation(self) -> None:
        """Where no payment is open and nothing is held any more, the order is canceled."""
        if self.is_canceling and all(payment.is_settled for payment in self.payments):
            self.step(OrderStatus.CANCELED, "the order is called off, and no money of it is held")

    def ask(
        self,
        kind: AttemptKind,
        payment: OrderPayment,
        reason: str | None,
        now: datetime,
        *,
        key: str,
        check_at: datetime,
        requester: Requester = NOBODY,
        amount: int | None = None,
    ) -> None:
        """Ask the payment side to cancel this payment, or to give it back: an amount, or all that is left."""
        cancellation = self.cancellation if self.is_canceling else None
        if cancellation:
            requester = cancellation.refunds_for if kind is AttemptKind.REFUND else cancellation.requester
        attempt = Attempt(
            attempt_id=key,
            order_id=self.order_id,
            kind=kind,
            payment_id=payment.payment_id,
            amount=amount,
            reason=reason,
            requested_by=requester.subject,
            requested_scope=requester.scope,
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
                    refund_id=attempt.refund_id,
                    payment_id=payment.payment_id,
                    amount=amount,
                    reason=reason,
                    cancels=self.is_canceling,
                )
            )
        self._attempts.append(attempt)

    def _check_not_canceling(self) -> None:
        if self.is_canceling:
            raise OrderStateForbids("the order is being canceled")

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
        if self.status not in SHIPPABLE:
            raise OrderStateForbids(f"an order in {self.status} cannot be fulfilled")
        self.accept_fulfilment(now)
        self.fulfilled_at = self.updated_at = now
        if self.status is OrderStatus.PROCESSING_FULFILLMENT:
            self._move(OrderStatus.FULFILLED, now, "the warehouse shipped it")
        return True

    def payment_of(self, payment_id: str, intent_id: str | None) -> OrderPayment:
        """The payment of this id, which is its own from now on."""
        known = self._payment(payment_id)
        if known is None:
            known = OrderPayment(
                payment_id=payment_id,
                gateway_payment_intent_id=intent_id,
                status="REQUIRES_PAYMENT_METHOD",
            )
            self.payments.append(known)
        return known

    def _payment(self, payment_id: str) -> OrderPayment | None:
        return next((payment for payment in self.payments if payment.payment_id == payment_id), None)

    def _move(self, status: OrderStatus, now: datetime, rule: str) -> None:
        self.step(status, rule)
        self.updated_at = now

    def step(self, status: OrderStatus, rule: str) -> None:
        """Change the status; `rule` is what allows it. Its cause is to be noted before the order is saved."""
        self._steps.append(Step(self.status, status, rule))
        self.status = status
