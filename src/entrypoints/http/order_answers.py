"""Orders as clients see them."""

from collections.abc import Sequence
from typing import Any

from litestar import Request
from structlog.contextvars import bind_contextvars

from domain.orders.cancellation import Cancellation
from domain.orders.cart import OrderLine
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.orders.ports import PaymentView
from domain.orders.refunds import OrderRefund, RefundedLine
from domain.payments.gateway import IntentStatus
from domain.shared.callers import Caller
from domain.shared.idempotency import Answer
from entrypoints.http.answers import result
from entrypoints.http.queries import read_id
from entrypoints.http.schemas.orders import (
    CancellationAnswer,
    LatestPaymentAnswer,
    OrderAnswer,
    OrderLineAnswer,
    OrderPaymentAnswer,
    OrderRefundSummary,
    RefundedLineAnswer,
)
from entrypoints.http.schemas.parts import last_error_answer, method_answer, next_action_answer

ApiRequest = Request[Caller, Any, Any]


def read_order_id(request: ApiRequest) -> str:
    """The order's id in the path, which every line of the log then names. Raises Problem 404."""
    order_id = read_id(request, "orderId")
    bind_contextvars(order_id=order_id)
    return order_id


def order_result(order: Order, begun: PaymentView | None = None) -> Answer:
    """The answer of a call about one order, with its version as `ETag`."""
    return result(order_answer(order, begun), headers={"ETag": f'"{order.version}"'})


def order_answer(order: Order, begun: PaymentView | None) -> OrderAnswer:
    """The order as clients see it; `begun` is the payment as the payment side has just answered it."""
    return OrderAnswer(
        order_id=order.order_id,
        user_id=order.user_id,
        status=order.status,
        version=order.version,
        currency=order.currency,
        lines=[_line_answer(line) for line in order.lines],
        subtotal_amount=order.subtotal_amount,
        discount_amount=order.discount_amount,
        tax_amount=order.tax_amount,
        shipping_amount=order.shipping_amount,
        total_amount=order.total_amount,
        amount_paid=order.amount_paid,
        amount_refunded=order.amount_refunded,
        metadata=order.metadata,
        confirmed_at=order.confirmed_at,
        fulfilled_at=order.fulfilled_at,
        cancellation=_cancellation_answer(order.cancellation),
        attention=order.attention,
        attentions=list(order.attentions),
        payments=[_payment_answer(payment) for payment in order.payments],
        payment=_begun_answer(begun) if begun else _latest_answer(order.latest_payment),
        refunds=[_refund_summary(refund) for refund in order.refunds],
        created_at=order.created_at,
        updated_at=order.updated_at,
    )


def _cancellation_answer(cancellation: Cancellation | None) -> CancellationAnswer | None:
    if cancellation is None:
        return None
    return CancellationAnswer(requested_at=cancellation.requested_at, reason=cancellation.reason)


def _line_answer(line: OrderLine) -> OrderLineAnswer:
    return OrderLineAnswer(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount_amount,
        tax_amount=line.tax_amount,
        commodity_code=line.commodity_code,
        unit_of_measure=line.unit_of_measure,
    )


def _payment_answer(payment: OrderPayment) -> OrderPaymentAnswer:
    return OrderPaymentAnswer(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        status=IntentStatus(payment.status),
        amount_captured=payment.amount_captured,
        method=method_answer(payment.method),
        paid_at=payment.paid_at,
    )


def _refund_summary(refund: OrderRefund) -> OrderRefundSummary:
    return OrderRefundSummary(
        refund_id=refund.refund_id,
        payment_id=refund.payment_id,
        amount=refund.amount,
        status=refund.status,
        lines=refunded_line_answers(refund.lines),
        restock=refund.restock,
    )


def refunded_line_answers(lines: Sequence[RefundedLine]) -> list[RefundedLineAnswer]:
    return [RefundedLineAnswer(sku=line.sku, quantity=line.quantity) for line in lines]


def _latest_answer(payment: OrderPayment | None) -> LatestPaymentAnswer | None:
    if payment is None:
        return None
    return LatestPaymentAnswer(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        client_secret=None,
        status=IntentStatus(payment.status),
        next_action=next_action_answer(payment.next_action),
        last_error=last_error_answer(payment.last_error),
        operation=None,
    )


def _begun_answer(payment: PaymentView) -> LatestPaymentAnswer:
    return LatestPaymentAnswer(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.gateway_payment_intent_id,
        client_secret=payment.client_secret,
        status=IntentStatus(payment.status),
        next_action=next_action_answer(payment.next_action),
        last_error=last_error_answer(payment.last_error),
        operation="UNKNOWN" if payment.operation_unknown else None,
    )
