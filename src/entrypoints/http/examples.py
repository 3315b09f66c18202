"""The examples of the OpenAPI document: one shopping cart and what becomes of it."""

from datetime import UTC, datetime

import msgspec
from msgspec import structs

from domain.orders.status import OrderStatus
from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import CaptureMethod, IntentStatus
from domain.payments.refund import RefundStatus
from domain.payments.refund_policy import Cause, Ruling
from domain.shared.payment_events import NextActionType
from domain.shared.timeline import TimelineKind
from entrypoints.http.schemas.disputes import DisputeAnswer
from entrypoints.http.schemas.inventory import StockAnswer
from entrypoints.http.schemas.orders import (
    CancelOrderBody,
    ChangeOrderBody,
    CheckoutBody,
    CreateOrderBody,
    LatestPaymentAnswer,
    OrderAnswer,
    OrderLineAnswer,
    OrderPaymentAnswer,
    OrderRefundAnswer,
    PaymentTermsAnswer,
    RefundedLineAnswer,
    RefundedLineBody,
    RefundOrderBody,
)
from entrypoints.http.schemas.parts import (
    AddressBody,
    CustomerBody,
    LineBody,
    MethodAnswer,
    NextActionAnswer,
)
from entrypoints.http.schemas.payment_methods import PaymentMethodAnswer
from entrypoints.http.schemas.payments import (
    CreateIntentBody,
    CreatePaymentBody,
    LevelAnswer,
    LineFaultAnswer,
    PaymentAnswer,
    PreflightAnswer,
)
from entrypoints.http.schemas.refunds import (
    CreateRefundBody,
    DecideRefundBody,
    RefundAnswer,
    RefundState,
    SimulatedRefundAnswer,
)
from entrypoints.http.schemas.timeline import ExplainAnswer, StreamEvent, TimelineEntryAnswer

_ORDER = "ord_01KAQ3V5T6W7X8Y9Z0ABCDEFGH"
_PAYMENT = "pay_01KAQ3VB1C2D3E4F5G6H7J8K9M"
_INTENT = "pi_3SxExampleExample"
REDIRECT_URL = "https://hooks.stripe.com/redirect/authenticate/src_1"
_MADE = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_PAID = datetime(2026, 11, 23, 12, 1, tzinfo=UTC)
_SHIPPED = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
_ADDRESS = AddressBody(line1="1 Analytical Way", city="London", postal_code="W1J 7NT", country="GB")
_CUSTOMER = CustomerBody(name="Ada Lovelace", email="ada@example.org", billing_address=_ADDRESS)
_LINE = LineBody(sku="TEA-GREEN-100", name="Green tea, 100 g", quantity=2, unit_amount=990, tax_amount=317)

CREATE_ORDER = CreateOrderBody(
    currency="EUR",
    user_id="u_1",
    customer=_CUSTOMER,
    lines=[_LINE],
    shipping_amount=450,
    metadata={"channel": "web"},
)
CHANGE_ORDER = ChangeOrderBody(shipping_amount=690, metadata={"channel": "app", "coupon": None})
CHECKOUT = CheckoutBody(
    payment_method_token="pm_card_visa",
    return_url="https://shop.example/thanks",
)
CANCEL_ORDER = CancelOrderBody(reason="Ordered by mistake")
ORDER = OrderAnswer(
    order_id=_ORDER,
    user_id="u_1",
    status=OrderStatus.PROCESSING_FULFILLMENT,
    version=4,
    currency="EUR",
    lines=[
        OrderLineAnswer(
            sku=_LINE.sku,
            name=_LINE.name,
            quantity=2,
            unit_amount=990,
            discount_amount=0,
            tax_amount=317,
            commodity_code=None,
            unit_of_measure=None,
        )
    ],
    subtotal_amount=1980,
    discount_amount=0,
    tax_amount=317,
    shipping_amount=450,
    total_amount=2747,
    amount_paid=2747,
    amount_refunded=0,
    metadata={"channel": "web"},
    confirmed_at=_MADE,
    fulfilled_at=None,
    cancellation=None,
    attention=None,
    attentions=[],
    payments=[
        OrderPaymentAnswer(
            payment_id=_PAYMENT,
            gateway_payment_intent_id=_INTENT,
            status=IntentStatus.SUCCEEDED,
            amount_captured=2747,
            method=MethodAnswer(brand="visa", last4="4242"),
            paid_at=_PAID,
        )
    ],
    refunds=[],
    payment=LatestPaymentAnswer(
        payment_id=_PAYMENT,
        gateway_payment_intent_id=_INTENT,
        client_secret=None,
        status=IntentStatus.SUCCEEDED,
        next_action=None,
        last_error=None,
        operation=None,
    ),
    created_at=_MADE,
    updated_at=_PAID,
)
DRAFT = structs.replace(
    ORDER,
    status=OrderStatus.DRAFT,
    version=2,
    shipping_amount=690,
    total_amount=2987,
    amount_paid=0,
    metadata={"channel": "app"},
    confirmed_at=None,
    payments=[],
    payment=None,
)
STOCK = StockAnswer(sku="TEA-GREEN-100", on_hand=12, reserved=2, available=10)
NEW_STOCK = StockAnswer(sku="TEA-GREEN-100", on_hand=12, reserved=0, available=12)
FULFILLED = structs.replace(
    ORDER, status=OrderStatus.FULFILLED, version=5, fulfilled_at=_SHIPPED, updated_at=_SHIPPED
)
TERMS = PaymentTermsAnswer(
    order_id=_ORDER, version=1, amount=2747, currency="EUR", payable=True, snapshot="eyJ…example…"
)

CREATE_INTENT = CreateIntentBody(
    order_id=_ORDER,
    amount=2747,
    currency="EUR",
    user_id="u_1",
    description="Tea",
    lines=[_LINE],
    shipping_amount=450,
    customer=_CUSTOMER,
)
CREATE_PAYMENT = CreatePaymentBody(
    order_id=_ORDER,
    amount=2747,
    currency="EUR",
    payment_method_token="pm_card_visa",
    return_url="https://shop.example/thanks",
)
PAYMENT = PaymentAnswer(
    payment_id=_PAYMENT,
    order_id=_ORDER,
    user_id="u_1",
    amount=2747,
    currency="EUR",
    status=IntentStatus.REQUIRES_ACTION,
    gateway="stripe",
    gateway_payment_intent_id=_INTENT,
    client_secret=f"{_INTENT}_secret_example",
    next_action=NextActionAnswer(type=NextActionType.REDIRECT, redirect_url=REDIRECT_URL),
    operation=None,
    capture_method=CaptureMethod.AUTOMATIC,
    setup_future_usage=None,
    line_items=None,
    line_item_faults=[],
    capture_before=None,
    multicapture=False,
    amount_capturable=0,
    amount_captured=0,
    amount_refunded=0,
    last_error=None,
    cancellation_reason=None,
    attention=None,
    version=2,
    created_at=_MADE,
    updated_at=_MADE,
)
PREFLIGHT = PreflightAnswer(
    level2=LevelAnswer(qualifies=True, faults=[]),
    level3=LevelAnswer(
        qualifies=False,
        faults=[
            LineFaultAnswer(pointer="/lines/0/unitOfMeasure", message="Level 3 needs a unit of measure.")
        ],
    ),
)
PAYMENT_METHOD = PaymentMethodAnswer(
    payment_method_token="pm_1SxExampleExample",
    type="card",
    brand="visa",
    last4="4242",
    exp_month=12,
    exp_year=2034,
    created_at=_MADE,
)
REFUND_ORDER = RefundOrderBody(
    lines=[RefundedLineBody(sku=_LINE.sku, quantity=1)], reason="One packet was torn", restock=False
)
CREATE_REFUND = CreateRefundBody(
    payment_id=_PAYMENT, amount=990, currency="EUR", reason="One packet was torn"
)
REFUND = RefundAnswer(
    refund_id="ref_01KAQ4N0P1Q2R3S4T5V6W7X8Y9",
    payment_id=_PAYMENT,
    amount=990,
    currency="EUR",
    reason="One packet was torn",
    status=RefundStatus.SUCCEEDED,
    operation=None,
    failure_reason=None,
    created_at=_PAID,
    updated_at=_PAID,
    attempt=1,
    requested_by="u_support",
    retried_by=None,
    policy_rule="everybody",
    decided_by="u_support",
    decided_at=_PAID,
    comment=None,
    approve_before=None,
)
DECIDE_REFUND = DecideRefundBody(comment="The courier confirms the damage")
SIMULATED_REFUND = SimulatedRefundAnswer(
    outcome=Ruling.NEEDS_APPROVAL,
    status=RefundStatus.PENDING_APPROVAL,
    policy_rule="everybody",
    causes=[Cause.PER_DAY],
    used_of_day=99_500,
    used_of_order=0,
    refusal=None,
)
ORDER_REFUND = OrderRefundAnswer(
    **{name: getattr(REFUND, name) for name in RefundState.__struct_fields__},
    order_id=_ORDER,
    lines=[RefundedLineAnswer(sku=_LINE.sku, quantity=1)],
    restock=False,
)
EVENT = {
    "specversion": "1.0",
    "id": "019ab03d-8a3e-7cc1-a2f4-6f5f1a2b3c4d",
    "source": "/payments",
    "type": "PaymentSucceeded",
    "subject": _PAYMENT,
    "time": "2026-11-23T12:01:00Z",
    "datacontenttype": "application/json",
    "partitionkey": _ORDER,
    "sequence": "0000000001",
    "data": {
        "paymentId": _PAYMENT,
        "orderId": _ORDER,
        "currency": "EUR",
        "amount": 2747,
        "amountCaptured": 2747,
        "amountRefunded": 0,
    },
}
DISPUTE = DisputeAnswer(
    dispute_id="du_1SxExampleExample",
    payment_id=_PAYMENT,
    amount=2747,
    currency="EUR",
    reason="product_not_received",
    status=DisputeStatus.NEEDS_RESPONSE,
    closed=False,
    charge_refundable=False,
    evidence_due_by=datetime(2026, 12, 9, 23, 59, 59, tzinfo=UTC),
    amount_withdrawn=2747,
    opened_at=datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
    updated_at=datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
)
TIMELINE_ENTRY = TimelineEntryAnswer(
    at=_PAID,
    kind=TimelineKind.EVENT,
    title="PaymentSucceeded: PENDING_PAYMENT → PAID.",
    reason="the money is taken",
    position=4,
    ids={
        "eventId": "019ab03d-8a3e-7cc1-a2f4-6f5f1a2b3c4d",
        "paymentId": _PAYMENT,
        "gatewayPaymentIntentId": "pi_3SxExampleExample",
    },
    details={
        "name": "PaymentSucceeded",
        "before": "PENDING_PAYMENT",
        "after": "PAID",
        "sequence": 1,
        "amount": 2747,
        "occurredAt": "2026-11-23T12:01:00Z",
        "committedAt": "2026-11-23T12:01:00.010000Z",
        "publishedAt": "2026-11-23T12:01:00.014000Z",
        "appliedAt": "2026-11-23T12:01:00.020000Z",
    },
)
EXPLAINED = ExplainAnswer(
    order_id=_ORDER, status=OrderStatus.PAID, attention=None, attentions=[], entries=[TIMELINE_ENTRY]
)
STREAM = StreamEvent(id="4", data=msgspec.json.encode(TIMELINE_ENTRY).decode())
