"""Bodies and answers of the order calls."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from domain.orders.refunds import OrderRefundStatus
from domain.orders.status import OrderStatus
from domain.payments.gateway import CaptureMethod, FutureUsage, IntentStatus
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.parts import (
    CustomerBody,
    LastErrorAnswer,
    LineBody,
    MethodAnswer,
    NextActionAnswer,
)
from entrypoints.http.schemas.refunds import RefundState
from entrypoints.http.schemas.values import (
    Amount,
    AmountOrZero,
    Answered,
    CurrencyCode,
    Metadata,
    MetadataChanges,
    Quantity,
    Reason,
    Sku,
    Strict,
    Token,
    Url,
    UserId,
)

Lines = Annotated[list[LineBody], Meta(min_length=1, max_length=500)]


class CreateOrderBody(Strict):
    currency: CurrencyCode
    lines: Lines
    user_id: UserId | None = None
    """Whose order it is; by default the caller's own. Naming another needs `users:any`."""
    customer: CustomerBody | None = None
    shipping_amount: AmountOrZero = 0
    metadata: Metadata = field(default_factory=dict)


class ChangeOrderBody(Strict):
    """What is absent stays as it is."""

    currency: CurrencyCode | UnsetType = UNSET
    lines: Lines | UnsetType = UNSET
    customer: CustomerBody | UnsetType | None = UNSET
    shipping_amount: AmountOrZero | UnsetType | None = UNSET
    metadata: MetadataChanges | UnsetType | None = UNSET


class CheckoutBody(Strict):
    """Of `/confirm` and of another attempt."""

    payment_method_token: Token | None = None
    """Without one, the client completes the payment with the `clientSecret`."""
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    return_url: Url | None = None
    setup_future_usage: FutureUsage | None = None
    """What the method is to be saved for, with the order's user."""
    off_session: bool = False
    """The customer is not there. The method must be one that they have saved; what needs them is declined
    with `authentication_required`, and they can confirm the same payment later."""


class FulfilBody(Strict):
    """Nothing is to be said."""


class CancelOrderBody(Strict):
    reason: Reason | None = None


class RefundedLineBody(Strict):
    sku: Sku
    quantity: Quantity


class RefundOrderBody(Strict):
    """Of an amount, or of lines: then the amount is their share of the order."""

    reason: Reason
    amount: Amount | None = None
    lines: Annotated[list[RefundedLineBody], Meta(max_length=500)] = field(default_factory=list)
    restock: bool = False
    """Whether the goods of `lines` go back to stock once the money is given back."""


class ListOrdersQuery(Strict):
    status: OrderStatus | None = None
    user_id: UserId | None = None
    attention: Annotated[
        bool, Meta(description="`true`: only those that have an attention, which a person must look at.")
    ] = False
    limit: Limit = 20
    cursor: Cursor | None = None


class OrderLineAnswer(Answered):
    sku: str
    name: str
    quantity: int
    unit_amount: int
    discount_amount: int
    tax_amount: int
    commodity_code: str | None
    unit_of_measure: str | None


class OrderPaymentAnswer(Answered):
    payment_id: str
    gateway_payment_intent_id: str | None
    status: IntentStatus
    amount_captured: int
    method: MethodAnswer | None
    paid_at: datetime | None


class LatestPaymentAnswer(Answered):
    """The payment that counts. `clientSecret` comes with the call that began the attempt, and then no more."""

    payment_id: str
    gateway_payment_intent_id: str | None
    client_secret: str | None
    status: IntentStatus
    next_action: NextActionAnswer | None
    last_error: LastErrorAnswer | None
    operation: Literal["UNKNOWN"] | None
    """`UNKNOWN` while the gateway's word on the attempt is still out."""


class RefundedLineAnswer(Answered):
    sku: str
    quantity: int


class OrderRefundAnswer(RefundState):
    """A refund of an order, as `/v1/refunds` has it, and what of the order it is for."""

    order_id: str
    lines: list[RefundedLineAnswer]
    restock: bool


class OrderRefundSummary(Answered):
    """A refund as far as the order knows; the amount in minor units of its payment's currency."""

    refund_id: str
    payment_id: str
    amount: int
    status: OrderRefundStatus
    """`PENDING_APPROVAL` while a second person is to approve it, `REJECTED` where nobody did."""
    lines: list[RefundedLineAnswer]
    restock: bool


class CancellationAnswer(Answered):
    """Pending until the side of the money is known; on a canceled order, why it is."""

    requested_at: datetime
    reason: str | None
    """As it was asked, or `checkout_expired`."""


class OrderAnswer(Answered):
    """An order; amounts in minor units of `currency`."""

    order_id: str
    user_id: str | None
    status: OrderStatus
    version: int
    currency: str
    lines: list[OrderLineAnswer]
    subtotal_amount: int
    discount_amount: int
    tax_amount: int
    shipping_amount: int
    total_amount: int
    amount_paid: int
    amount_refunded: int
    metadata: dict[str, str]
    confirmed_at: datetime | None
    """When its checkout was complete: from then on the lines are frozen."""
    fulfilled_at: datetime | None
    cancellation: CancellationAnswer | None
    attention: str | None
    """The most urgent of what a person must look at, if anything."""
    attentions: list[str]
    """All that a person must look at, the most urgent first."""
    payments: list[OrderPaymentAnswer]
    payment: LatestPaymentAnswer | None
    refunds: list[OrderRefundSummary]
    """In the order in which they were asked for, or heard of."""
    created_at: datetime
    updated_at: datetime
    order_token: str | UnsetType = UNSET
    """A bearer token for this order alone, to be handed to the guest: only in the answer that makes their order."""


class OrderPage(Answered):
    items: list[OrderAnswer]
    next_cursor: str | None


class OrderTerms(Answered):
    """What may be paid for the order now."""

    order_id: str
    version: int
    amount: int
    currency: str
    payable: bool


class PaymentTermsAnswer(OrderTerms):
    """The same with our signature."""

    snapshot: str
    """A JWS (RFC 7515) over the other fields as a JSON object, with `iat` and `exp` besides, by a key of
    `/.well-known/jwks.json`; good for two minutes."""
