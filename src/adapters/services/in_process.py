"""The two services calling each other within one process, as themselves."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.services.identities import ORDERS, orders_for
from domain.orders.attempt import Attempt
from domain.orders.errors import OrderNotFound
from domain.orders.order import Order
from domain.orders.ports import PaymentView, RefundView
from domain.orders.use_cases.read_orders import GetPaymentTermsHandler, PaymentTerms, payment_terms
from domain.payments.gateway import Address, CaptureMethod, Customer, FutureUsage, LineItem
from domain.payments.payment import Payment
from domain.payments.ports import OrderTerms
from domain.payments.use_cases.cancel_payment import CancelPayment, CancelPaymentHandler
from domain.payments.use_cases.confirm_payment import ConfirmPayment, ConfirmPaymentHandler
from domain.payments.use_cases.create_payment import CreatePayment, CreatePaymentHandler
from domain.payments.use_cases.create_refund import CreateRefund, CreateRefundHandler
from domain.shared.callers import Caller


@dataclass(frozen=True, slots=True)
class InProcessPayments:
    """The payment side, for the order side."""

    create: CreatePaymentHandler
    confirm_payment: ConfirmPaymentHandler
    cancel_payment: CancelPaymentHandler
    create_refund: CreateRefundHandler
    return_url: str
    sign_terms: Callable[[PaymentTerms], str] | None = None
    """Where the payment side wants the order's signed terms of us."""

    async def pay(self, order: Order, attempt: Attempt) -> PaymentView:
        payment = await self.create(
            CreatePayment(
                request_id=attempt.attempt_id,
                caller=ORDERS,
                order_id=order.order_id,
                amount=order.total_amount,
                currency=order.currency,
                confirm=attempt.payment_method_token is not None,
                return_url=attempt.return_url or self.return_url,
                capture_method=CaptureMethod(attempt.capture_method),
                user_id=order.user_id,
                lines=_lines(order),
                shipping_amount=order.shipping_amount or None,
                customer=_customer(order),
                payment_method_token=attempt.payment_method_token,
                setup_future_usage=_future_usage(attempt),
                off_session=attempt.off_session,
                order_snapshot=self.sign_terms(payment_terms(order)) if self.sign_terms else None,
            )
        )
        return _view(payment)

    async def confirm(self, order: Order, attempt: Attempt) -> PaymentView:
        payment = await self.confirm_payment(
            ConfirmPayment(
                request_id=attempt.attempt_id,
                caller=ORDERS,
                payment_id=attempt.payment_id or "",
                return_url=attempt.return_url or self.return_url,
                payment_method_token=attempt.payment_method_token,
                setup_future_usage=_future_usage(attempt),
                off_session=attempt.off_session,
            )
        )
        return _view(payment)

    async def cancel(self, attempt: Attempt) -> PaymentView:
        payment = await self.cancel_payment(
            CancelPayment(
                request_id=attempt.attempt_id,
                caller=ORDERS,
                payment_id=attempt.payment_id or "",
                reason=attempt.reason,
                gives_way=attempt.gives_way,
            )
        )
        return _view(payment)

    async def refund(self, attempt: Attempt) -> RefundView:
        refund = await self.create_refund(
            CreateRefund(
                request_id=attempt.attempt_id,
                caller=orders_for(attempt),
                payment_id=attempt.payment_id or "",
                amount=attempt.amount,
                currency=None,
                reason=attempt.reason or "order_canceled",
            )
        )
        return RefundView(
            refund_id=refund.refund_id,
            payment_id=refund.payment_id,
            amount=refund.amount,
            currency=refund.currency,
            reason=refund.reason,
            status=refund.status,
            failure_reason=refund.failure_reason,
            operation_unknown=refund.operation_unknown,
            created_at=refund.created_at,
            updated_at=refund.updated_at,
        )


@dataclass(frozen=True, slots=True)
class InProcessOrderTerms:
    """The order side, for the payment side."""

    get_terms: GetPaymentTermsHandler

    async def get(self, order_id: str, caller: Caller) -> OrderTerms | None:
        try:
            terms = await self.get_terms(caller, order_id)
        except OrderNotFound:
            return None
        return OrderTerms(
            order_id=terms.order_id,
            version=terms.version,
            amount=terms.amount,
            currency=terms.currency,
            payable=terms.payable,
        )


def _future_usage(attempt: Attempt) -> FutureUsage | None:
    return FutureUsage(attempt.setup_future_usage) if attempt.setup_future_usage else None


def _view(payment: Payment) -> PaymentView:
    return PaymentView(
        payment_id=payment.payment_id,
        gateway_payment_intent_id=payment.intent_id,
        status=payment.status,
        client_secret=payment.client_secret,
        next_action=payment.next_action,
        last_error=payment.last_error,
        operation_unknown=payment.operation_unknown,
    )


def _lines(order: Order) -> tuple[LineItem, ...]:
    return tuple(
        LineItem(
            name=line.name,
            quantity=line.quantity,
            unit_amount=line.unit_amount,
            sku=line.sku,
            discount_amount=line.discount_amount or None,
            tax_amount=line.tax_amount or None,
            commodity_code=line.commodity_code,
            unit_of_measure=line.unit_of_measure,
        )
        for line in order.lines
    )


def _customer(order: Order) -> Customer | None:
    if order.customer is None:
        return None
    billing, shipping = order.customer.billing_address, order.customer.shipping_address
    return Customer(
        name=order.customer.name,
        email=order.customer.email,
        billing_address=_address(billing) if billing else None,
        shipping_address=_address(shipping) if shipping else None,
    )


def _address(address: "object") -> Address:
    return Address(
        **{
            name: getattr(address, name)
            for name in ("line1", "line2", "city", "state", "postal_code", "country")
        }
    )
