"""How an order follows the events of its payments.

The totals of a payment come with each of its events, so following one sets them and never adds to them.
"""

from dataclasses import dataclass

from domain.orders.attempt import AttemptKind
from domain.orders.attention import (
    AMOUNT_MISMATCH,
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
)
from domain.orders.effects import Effect, EffectType
from domain.orders.errors import StockInsufficient
from domain.orders.history import RULES, applied
from domain.orders.money_policy import (
    BY_DEFAULT,
    MoneyPolicy,
    OnCapturedLess,
    OnMoney,
    OnPaidAfterCancel,
)
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.refunds import OrderRefund, OrderRefundStatus
from domain.orders.status import (
    AFTER_MONEY,
    HOLDS_NO_STOCK,
    NEEDS_STOCK,
    NOT_TO_BE_SHIPPED,
    SHIPPABLE,
    TRANSITIONS,
    OrderStatus,
)
from domain.orders.stock import NOTHING_TRACKED, Shelf
from domain.shared.payment_events import (
    DisputeClosed,
    DisputeOpened,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentEvent,
    PaymentFailed,
    PaymentSucceeded,
    RefundFailed,
    RefundProcessed,
    RefundRejected,
)


def may_need_stock(order: Order, event: PaymentEvent) -> bool:
    """Whether this event can lead to where the order must hold what it does not hold."""
    return order.reserved is None and order.fulfilled_at is None and isinstance(event, NEEDS_STOCK)


def follow(
    order: Order,
    event: PaymentEvent,
    shelf: Shelf = NOTHING_TRACKED,
    policy: MoneyPolicy = BY_DEFAULT,
    *,
    published_at: str | None = None,
) -> None:
    """Let the order follow one payment event. Events of one payment must come in their order, each once.

    `shelf` has the order's tracked SKUs where it `may_need_stock`; `published_at` is for the history.
    """
    payment = order.payment_of(event.payment_id, event.gateway_payment_intent_id)
    payment.follow(event)
    order.updated_at = max(order.updated_at, event.occurred_at)
    entry = applied(event, published_at)
    entry.rule = _Following(order, payment, event, shelf, policy).follow()
    order.note(entry)


@dataclass(frozen=True, slots=True)
class _Following:
    order: Order
    payment: OrderPayment
    event: PaymentEvent
    shelf: Shelf
    policy: MoneyPolicy

    def follow(self) -> str | None:
        """Why the event left the order's status as it was, where it did."""
        before = self.order.status
        self._give_way()
        self._remember_refund()
        is_latest = self.payment is self.order.latest_payment
        rule = self._follow_latest() if is_latest else self._follow_superseded()
        if isinstance(self.event, RefundProcessed):
            self._settle_money()
        self._follow_cancellation()
        if before in SHIPPABLE and self.order.status in NOT_TO_BE_SHIPPED and self.order.fulfilled_at is None:
            self._ask_for(EffectType.NOTIFY_WAREHOUSE, about=self.order.status)
        return rule

    def _follow_latest(self) -> str | None:
        """Follow an event of the payment that counts."""
        order, event = self.order, self.event
        if event.sequence == 1 and len(order.payments) > 1 and order.status is OrderStatus.AUTHORIZED:
            # The funds held were the former payment's: canceled before this one began, told later perhaps.
            order.step(OrderStatus.PENDING_PAYMENT, "a new payment began")
        match event:
            case RefundProcessed() | RefundFailed():
                return self._follow_refund()
            case RefundRejected():
                return "a refund was not approved, and nothing was sent"
            case DisputeOpened():
                order.raise_attention(DISPUTED)
            case DisputeClosed():
                order.settle(DISPUTED)
                if event.reason == "lost":
                    order.raise_attention(DISPUTE_LOST)
            case PaymentCaptured(final=False):
                return "more may be captured: the order waits for the final capture"
            case _:
                return self._follow_payment()
        return "a dispute is for a person to answer"

    def _follow_superseded(self) -> str:
        order = self.order
        match self.event:
            case RefundFailed():
                order.raise_attention(REFUND_FAILED)
            case RefundProcessed():
                self._ask_for(EffectType.NOTIFY_CUSTOMER)
            case _ if self.payment.amount_kept > 0:
                paid = order.status in AFTER_MONEY
                order.settle(*OF_SUPERSEDED)  # two words for the same money
                attention = PAID_TWICE if paid else SUPERSEDED_PAYMENT_CAPTURED
                self._raise(attention, self.policy.paid_twice)
        return "another payment has taken the place of this one"

    def _follow_payment(self) -> str | None:
        order, event, policy = self.order, self.event, self.policy
        before, after = TRANSITIONS[type(event)]
        if after is OrderStatus.PAID and not self._money_is_right():
            self._raise(AMOUNT_MISMATCH, policy.amount_mismatch)
            return "the money is not what the order asks for"
        if after is OrderStatus.PAID and order.status is OrderStatus.CANCELED:
            if policy.paid_after_cancel is not OnPaidAfterCancel.REOPEN or not self._can_reopen():
                return self._keep_canceled()
            order.cancellation = None
        elif order.status not in before:
            if order.status is OrderStatus.CANCELED and not isinstance(event, PaymentCanceled):
                self._give_up_late()
            return f"{event.type} does not move an order that is {order.status}"
        if after not in HOLDS_NO_STOCK and not self._has_stock(after):
            return "the stock for it is gone"
        order.step(after, RULES[type(event)])
        if order.is_canceling and not isinstance(event, PaymentCanceled):
            return None  # nothing is to be shipped, and nobody to be asked to pay
        if after is OrderStatus.PAID:
            less = event.amount_captured < order.total_amount
            if less and policy.captured_less is OnCapturedLess.FLAG:
                order.raise_attention(CAPTURED_LESS_THAN_TOTAL)
            self._ask_for(EffectType.NOTIFY_WAREHOUSE)
        if after is not OrderStatus.AUTHORIZED:
            self._ask_for(EffectType.NOTIFY_CUSTOMER)
        return None

    def _money_is_right(self) -> bool:
        order, event = self.order, self.event
        if event.currency != order.currency:
            return False
        if isinstance(event, PaymentCaptured):  # the merchant may capture less than was ordered, never more
            return event.amount_captured <= order.total_amount
        return event.amount_captured == order.total_amount

    def _can_reopen(self) -> bool:
        try:
            self.order.reserve(self.shelf)
        except StockInsufficient:
            return False
        return True

    def _keep_canceled(self) -> str:
        """Money came for an order that is called off."""
        flag = self.policy.paid_after_cancel is OnPaidAfterCancel.FLAG
        self._raise(PAID_AFTER_CANCEL, OnMoney.FLAG if flag else OnMoney.REFUND)
        return f"{self.event.type} does not move an order that is {self.order.status}"

    def _give_up_late(self) -> None:
        """A payment begun beside the checkout, of which the order hears only now, must not be paid any more."""
        cancellation = self.order.cancellation
        self._ask(AttemptKind.CANCEL, cancellation.reason if cancellation else None)

    def _has_stock(self, after: OrderStatus) -> bool:
        """Whether it may go there: with its stock, or to wait for the customer or for the capture without.

        Money that is taken or held for what is not there is flagged.
        """
        order = self.order
        try:
            order.reserve(self.shelf)
        except StockInsufficient:
            if after is not OrderStatus.AWAITING_USER_PAYMENT_ACTION:
                self._raise(STOCK_INSUFFICIENT, self.policy.paid_without_stock)
            return after is not OrderStatus.PAID
        order.settle(STOCK_INSUFFICIENT)
        return True

    def _follow_refund(self) -> str | None:
        order, event = self.order, self.event
        if isinstance(event, RefundFailed):
            order.raise_attention(REFUND_FAILED)
        else:
            self._ask_for(EffectType.NOTIFY_CUSTOMER)
        if order.status not in AFTER_MONEY:
            return f"an order that is {order.status} keeps its status whatever is given back"
        if self.payment.amount_kept <= 0:
            after = OrderStatus.REFUNDED
        elif self.payment.amount_refunded > 0:
            after = OrderStatus.PARTIALLY_REFUNDED
        elif order.fulfilled_at is not None:
            after = OrderStatus.FULFILLED
        else:
            after = OrderStatus.PROCESSING_FULFILLMENT if order.accepted_at else OrderStatus.PAID
        order.step(after, RULES[type(event)])
        return None

    def _raise(self, attention: str, declared: OnMoney) -> None:
        """Flag the money, and refund what the payment has just taken where that was declared for such money.

        A cancellation under way does so by itself. Of several captures the last one tells the whole.
        """
        order, event = self.order, self.event
        order.raise_attention(attention)
        taken = isinstance(event, PaymentSucceeded) or (isinstance(event, PaymentCaptured) and event.final)
        if taken and declared is OnMoney.REFUND and not order.is_canceling:
            self._ask(AttemptKind.REFUND, attention.lower())

    def _remember_refund(self) -> None:
        """Also a refund that was made elsewhere: by the payment side's own call, or at the gateway."""
        order, event = self.order, self.event
        if not isinstance(event, RefundProcessed | RefundFailed | RefundRejected):
            return
        if all(one.refund_id != event.refund_id for one in order.refunds):
            reason = event.reason if isinstance(event, RefundProcessed) else None
            order.refunds.append(
                OrderRefund(
                    refund_id=event.refund_id, payment_id=event.payment_id, amount=event.amount, reason=reason
                )
            )
        known = order.refund_of(event.refund_id)
        known.amount = event.amount
        if isinstance(event, RefundRejected):
            known.status = OrderRefundStatus.REJECTED
            return
        if isinstance(event, RefundFailed):  # goods that went back to stock after it succeeded stay there
            known.status = OrderRefundStatus.FAILED
            return
        was_retried = known.status is OrderRefundStatus.FAILED
        known.status = OrderRefundStatus.SUCCEEDED
        if was_retried and all(one.status is not OrderRefundStatus.FAILED for one in order.refunds):
            order.settle(REFUND_FAILED)
        if known.restock:
            self._ask_for(EffectType.RESTOCK, known)

    def _settle_money(self) -> None:
        """Nobody needs to look any more at money that was given back."""
        order = self.order
        superseded = [payment for payment in order.payments if payment is not order.latest_payment]
        if not any(payment.amount_kept for payment in superseded):
            order.settle(*OF_SUPERSEDED)
        if order.amount_kept == 0:
            order.settle(*OF_THE_WHOLE)

    def _give_way(self) -> None:
        """A checkout does not expire that was paid while its payment was being canceled."""
        order = self.order
        if (
            order.is_canceling
            and order.cancellation is not None
            and order.cancellation.gives_way
            and self.payment is order.latest_payment
            and isinstance(self.event, PaymentAuthorized | PaymentSucceeded | PaymentCaptured)
        ):
            order.cancellation = None

    def _follow_cancellation(self) -> None:
        """What the event brings to a pending cancellation, which asked for its payment's end when it began."""
        order = self.order
        if not order.is_canceling or order.cancellation is None:
            return
        match self.event:
            case RefundFailed(refund_id=nothing) | RefundRejected(refund_id=nothing) if order.refund_of(
                nothing
            ).cancels:
                order.cancellation = None  # the order is what its money says, until a person decides
            case RefundFailed() | RefundRejected():
                self._ask(AttemptKind.REFUND, order.cancellation.reason)  # of what that one had promised
            case PaymentSucceeded() | PaymentCaptured(final=True):
                self._ask(AttemptKind.REFUND, order.cancellation.reason)
            case PaymentFailed() if self.payment is order.latest_payment and not order.cancellation.gives_way:
                # The customer's bank was at work on it before, and it could not be canceled.
                self._ask(AttemptKind.CANCEL, order.cancellation.reason)
            case PaymentCanceled() | RefundProcessed():
                order.end_cancellation()

    def _ask(self, kind: AttemptKind, reason: str | None) -> None:
        """Of the payment side, under a key that follows from the event."""
        event = self.event
        at = event.occurred_at
        self.order.ask(kind, self.payment, reason, at, key=event.event_id.hex, check_at=at)

    def _ask_for(self, type: EffectType, refund: OrderRefund | None = None, about: str | None = None) -> None:
        """Of the world outside, about the event if nothing else; `refund` is the one whose goods come back."""
        event = self.event
        self.order.ask_for(
            Effect(
                type,
                self.order.order_id,
                about or event.type,
                event.event_id,
                amount=event.amount if isinstance(event, RefundProcessed) and refund is None else None,
                refund_id=refund.refund_id if refund else None,
                goods=refund.goods if refund else None,
            )
        )
