"""Bodies and answers of the payment and refund calls."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from domain.payments.gateway import CaptureMethod, FutureUsage, IntentStatus
from domain.payments.line_data import LineItems
from entrypoints.http.queries import Cursor, Limit
from entrypoints.http.schemas.parts import CustomerBody, LastErrorAnswer, LineBody, NextActionAnswer
from entrypoints.http.schemas.values import (
    Amount,
    AmountOrZero,
    Answered,
    CurrencyCode,
    Description,
    DescriptorSuffix,
    Email,
    OrderId,
    Reason,
    Signature,
    Strict,
    Token,
    Url,
    UserId,
)


class CreateIntentBody(Strict):
    order_id: OrderId
    amount: Amount
    currency: CurrencyCode
    user_id: UserId | None = None
    description: Description | None = None
    lines: Annotated[list[LineBody], Meta(max_length=1000)] = field(default_factory=list)
    """Level 2/3 data; left out where it breaks the gateway's rules, which `lineItems` tells."""
    shipping_amount: AmountOrZero | None = None
    discount_amount: AmountOrZero | None = None
    tax_amount: AmountOrZero | None = None
    customer: CustomerBody | None = None
    payment_method_token: Token | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    return_url: Url | None = None
    setup_future_usage: FutureUsage | None = None
    """Save the method with the user, once the payment is confirmed."""
    receipt_email: Email | None = None
    """Where the gateway sends a receipt. By default nowhere, or to the customer where the settings say so."""
    statement_descriptor_suffix: DescriptorSuffix | None = None
    """What stands behind the account's own name on the cardholder's statement."""
    order_snapshot: Signature | None = None
    """The order's signed terms, for callers whose payments need them: `snapshot` of `getPaymentTerms`."""


class CreatePaymentBody(CreateIntentBody, kw_only=True):
    """As for an intent, with the method to pay by."""

    payment_method_token: Token
    off_session: bool = False
    """The customer is not there. The method must be one that they have saved; what needs them is declined
    with `authentication_required`, and they can confirm the same payment later."""


class UpdatePaymentBody(Strict):
    """The order's new total; lines and totals as for an intent, or the gateway has none any more."""

    amount: Amount
    description: Description | None = None
    lines: Annotated[list[LineBody], Meta(max_length=1000)] = field(default_factory=list)
    shipping_amount: AmountOrZero | None = None
    discount_amount: AmountOrZero | None = None
    tax_amount: AmountOrZero | None = None
    order_snapshot: Signature | None = None
    """The order's signed terms, as for a new payment."""


class ConfirmPaymentBody(Strict):
    payment_method_token: Token | None = None
    return_url: Url | None = None
    setup_future_usage: FutureUsage | None = None
    off_session: bool = False


class CapturePaymentBody(Strict):
    amount: Amount | None = None
    """By default all that can be captured."""
    final: bool = True
    """Whether the rest of the authorization is released; `false` needs `multicapture` on the payment."""


class CancelPaymentBody(Strict):
    reason: Reason | None = None


class RefreshPaymentBody(Strict):
    """Nothing: the path says it all."""


class ListPaymentsQuery(Strict):
    order_id: OrderId | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class ListEventsQuery(Strict):
    after: Cursor | None = None
    type: Annotated[str, Meta(pattern=r"^[A-Za-z]{1,64}\Z", description="An event type.")] | None = None
    order_id: OrderId | None = None
    limit: Limit = 20


class LineFaultAnswer(Answered):
    """What is missing or does not add up."""

    pointer: str
    """A JSON pointer into the body of the request."""
    message: str


class LevelAnswer(Answered):
    """Whether lines and totals suffice for a level's rates. The card and the trade decide, too."""

    qualifies: bool
    faults: list[LineFaultAnswer]


class PreflightAnswer(Answered):
    level2: LevelAnswer
    level3: LevelAnswer


class PaymentAnswer(Answered):
    """A payment; amounts in minor units of `currency`."""

    payment_id: str
    order_id: str
    user_id: str | None
    amount: int
    currency: str
    status: IntentStatus
    gateway: str
    gateway_payment_intent_id: str | None
    client_secret: str | None
    next_action: NextActionAnswer | None
    operation: Literal["UNKNOWN"] | None
    """`UNKNOWN` while the gateway's word on the last call is still out."""
    capture_method: CaptureMethod
    setup_future_usage: FutureUsage | None
    line_items: LineItems | None
    """What became of the lines and totals; null where there were none."""
    line_item_faults: list[LineFaultAnswer]
    """Why they were left out."""
    capture_before: datetime | None
    """When the authorization lapses (manual capture)."""
    multicapture: bool
    """Whether the authorization can be captured in parts (`final: false`)."""
    amount_capturable: int
    amount_captured: int
    amount_refunded: int
    last_error: LastErrorAnswer | None
    cancellation_reason: str | None
    """Why it was canceled: as asked, `authorization_expired`, or in the gateway's words."""
    attention: str | None
    version: int
    created_at: datetime
    updated_at: datetime


class PaymentPage(Answered):
    items: list[PaymentAnswer]
    next_cursor: str | None


class EventPage(Answered):
    """CloudEvents in the order of the log. `nextCursor` is null when there is nothing behind `after` yet."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class WebhookAnswer(Answered):
    received: Literal[True]
