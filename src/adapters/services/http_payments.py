"""The payment side, for an order side in another process.

The order side's attempts have ids of their own, from which the payment side's follow, so that each call is a PUT
of that id: the same at each repetition, for good, with the present state as its answer. The public calls keep
their first answer instead, `UNKNOWN` too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import msgspec

from adapters.services.client import ServiceClient
from adapters.services.identities import ORDERS, orders_for
from domain.orders.attempt import Attempt
from domain.orders.cart import Address, Customer, OrderLine
from domain.orders.order import Order
from domain.orders.ports import PaymentView, RefundView
from domain.orders.use_cases.read_orders import PaymentTerms, payment_terms
from domain.shared.payment_events import LastError, NextAction, NextActionType
from domain.shared.timeline import TimelineEntry

UNKNOWN = "UNKNOWN"


class _Sent(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """A body; what is not said is left out."""


class _AddressSent(_Sent):
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


class _CustomerSent(_Sent):
    name: str | None = None
    email: str | None = None
    billing_address: _AddressSent | None = None
    shipping_address: _AddressSent | None = None


class _LineSent(_Sent):
    sku: str
    name: str
    quantity: int
    unit_amount: int
    discount_amount: int | None = None
    tax_amount: int | None = None
    commodity_code: str | None = None
    unit_of_measure: str | None = None


class _ConfirmationSent(_Sent):
    return_url: str
    payment_method_token: str | None = None
    setup_future_usage: str | None = None
    off_session: bool = False


class _PaymentSent(_ConfirmationSent, kw_only=True):
    order_id: str
    amount: int
    currency: str
    capture_method: str
    lines: list[_LineSent]
    confirm: bool
    order_snapshot: str
    user_id: str | None = None
    shipping_amount: int | None = None
    customer: _CustomerSent | None = None


class _CancellationSent(_Sent):
    reason: str | None = None
    gives_way: bool = False


class _RefundSent(_Sent):
    payment_id: str
    reason: str
    amount: int | None = None


class _PaymentSaid(msgspec.Struct, rename="camel"):
    payment_id: str
    gateway_payment_intent_id: str | None
    status: str
    client_secret: str | None
    next_action: "_NextActionSaid | None"
    last_error: "_LastErrorSaid | None"
    operation: str | None


class _NextActionSaid(msgspec.Struct, rename="camel"):
    type: NextActionType
    redirect_url: str | None


class _LastErrorSaid(msgspec.Struct, rename="camel"):
    code: str
    decline_code: str | None
    message: str


class _RefundSaid(msgspec.Struct, rename="camel"):
    refund_id: str
    payment_id: str
    amount: int
    currency: str
    reason: str | None
    status: str
    operation: str | None
    failure_reason: str | None
    created_at: datetime
    updated_at: datetime


class _StorySaid(msgspec.Struct):
    entries: list[TimelineEntry]


@dataclass(frozen=True, slots=True)
class HttpPayments:
    """`PaymentService` and `PaymentStories`. `sign_terms` makes the signed terms that each payment carries."""

    client: ServiceClient
    return_url: str
    sign_terms: Callable[[PaymentTerms], str]

    async def pay(self, order: Order, attempt: Attempt) -> PaymentView:
        said = await self.client.call(
            "PUT",
            f"/internal/v1/payments/{_id(attempt.attempt_id)}",
            ORDERS,
            _PaymentSaid,
            _PaymentSent(
                order_id=order.order_id,
                amount=order.total_amount,
                currency=order.currency,
                capture_method=attempt.capture_method,
                lines=[_line(line) for line in order.lines],
                confirm=attempt.payment_method_token is not None,
                order_snapshot=self.sign_terms(payment_terms(order)),
                return_url=attempt.return_url or self.return_url,
                payment_method_token=attempt.payment_method_token,
                setup_future_usage=attempt.setup_future_usage or None,
                off_session=attempt.off_session,
                user_id=order.user_id,
                shipping_amount=order.shipping_amount or None,
                customer=_customer(order.customer),
            ),
        )
        return _view(said)

    async def confirm(self, order: Order, attempt: Attempt) -> PaymentView:
        said = await self.client.call(
            "PUT",
            f"{_payment(attempt)}/confirmations/{_id(attempt.attempt_id)}",
            ORDERS,
            _PaymentSaid,
            _ConfirmationSent(
                return_url=attempt.return_url or self.return_url,
                payment_method_token=attempt.payment_method_token,
                setup_future_usage=attempt.setup_future_usage or None,
                off_session=attempt.off_session,
            ),
        )
        return _view(said)

    async def cancel(self, attempt: Attempt) -> PaymentView:
        said = await self.client.call(
            "PUT",
            f"{_payment(attempt)}/cancellations/{_id(attempt.attempt_id)}",
            ORDERS,
            _PaymentSaid,
            _CancellationSent(reason=attempt.reason, gives_way=attempt.gives_way),
        )
        return _view(said)

    async def refund(self, attempt: Attempt) -> RefundView:
        said = await self.client.call(
            "PUT",
            f"/internal/v1/refunds/{_id(attempt.attempt_id)}",
            orders_for(attempt),
            _RefundSaid,
            _RefundSent(
                payment_id=attempt.payment_id or "",
                reason=attempt.reason or "order_canceled",
                amount=attempt.amount,
            ),
        )
        return RefundView(
            refund_id=said.refund_id,
            payment_id=said.payment_id,
            amount=said.amount,
            currency=said.currency,
            reason=said.reason,
            status=said.status,
            failure_reason=said.failure_reason,
            operation_unknown=said.operation == UNKNOWN,
            created_at=said.created_at,
            updated_at=said.updated_at,
        )

    async def __call__(self, order_id: str) -> Sequence[TimelineEntry]:
        said = await self.client.call("GET", f"/internal/v1/orders/{_id(order_id)}/story", ORDERS, _StorySaid)
        return said.entries


def _id(text: str) -> str:
    return quote(text, safe="")


def _payment(attempt: Attempt) -> str:
    return f"/internal/v1/payments/{_id(attempt.payment_id or '')}"


def _view(said: _PaymentSaid) -> PaymentView:
    action, error = said.next_action, said.last_error
    return PaymentView(
        payment_id=said.payment_id,
        gateway_payment_intent_id=said.gateway_payment_intent_id,
        status=said.status,
        client_secret=said.client_secret,
        next_action=NextAction(action.type, action.redirect_url) if action else None,
        last_error=LastError(error.code, error.decline_code, error.message) if error else None,
        operation_unknown=said.operation == UNKNOWN,
    )


def _line(line: OrderLine) -> _LineSent:
    return _LineSent(
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount_amount or None,
        tax_amount=line.tax_amount or None,
        commodity_code=line.commodity_code,
        unit_of_measure=line.unit_of_measure,
    )


def _customer(customer: Customer | None) -> _CustomerSent | None:
    if customer is None:
        return None
    return _CustomerSent(
        name=customer.name,
        email=customer.email,
        billing_address=_address(customer.billing_address),
        shipping_address=_address(customer.shipping_address),
    )


def _address(address: Address | None) -> _AddressSent | None:
    if address is None:
        return None
    return _AddressSent(
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        state=address.state,
        postal_code=address.postal_code,
        country=address.country,
    )
