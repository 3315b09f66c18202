"""Requests to Stripe, exactly as they are saved and sent. Nothing here sends anything.

The tests hold each of them against the `stripe` package's typed parameter classes.
"""

from typing import Any
from urllib.parse import quote

from adapters.stripe.amounts import NotRepresentable, to_stripe
from adapters.stripe.level3 import amount_details
from domain.payments.gateway import (
    Address,
    CaptureMethod,
    Customer,
    FutureUsage,
    GatewayRefused,
    GatewayRequest,
    IntentDraft,
)

INTENTS_PATH = "/v1/payment_intents"
REFUNDS_PATH = "/v1/refunds"

EXPAND_CHARGE = ("latest_charge",)
"""The card and the authorization's end stand in the charge only."""

PAYMENT_ID = "paymentId"
ORDER_ID = "orderId"
REFUND_ID = "refundId"
REFUND_ATTEMPT = "refundAttempt"
REASON = "reason"
USER_ID = "userId"

_MAX_METADATA_VALUE = 500
"""https://docs.stripe.com/metadata#data"""

_REFUND_REASONS = {"duplicate": "duplicate", "requested_by_customer": "requested_by_customer"}
"""Ours to Stripe's. Not in it, and never to be: `fraudulent`, which puts the card on a block list."""

_CANCELLATION_REASONS = {**_REFUND_REASONS, "abandoned": "abandoned"}


def intent_path(intent_id: str) -> str:
    return f"{INTENTS_PATH}/{quote(intent_id, safe='')}"


def create_request(draft: IntentDraft, *, multicapture: bool) -> GatewayRequest:
    """An unconfirmed intent. Raises GatewayRefused where Stripe has no such amount."""
    manual = draft.capture_method is CaptureMethod.MANUAL
    params: dict[str, Any] = {
        "amount": _amount(draft.amount, draft.currency),
        "currency": draft.currency.lower(),
        "capture_method": "manual" if manual else "automatic",
        # Whatever the account has switched on; each confirmation brings the return URL of a redirect.
        "automatic_payment_methods": {"enabled": True},
        "metadata": {PAYMENT_ID: draft.payment_id, ORDER_ID: draft.order_id},
        "expand": list(EXPAND_CHARGE),
    }
    if draft.gateway_customer_id:
        params["customer"] = draft.gateway_customer_id
    if draft.payment_method_token:
        params["payment_method"] = draft.payment_method_token
    if draft.description:
        params["description"] = draft.description
    if draft.setup_future_usage:
        params["setup_future_usage"] = draft.setup_future_usage.value.lower()
    if draft.receipt_email:
        params["receipt_email"] = draft.receipt_email
    if draft.statement_descriptor_suffix:
        params["statement_descriptor_suffix"] = draft.statement_descriptor_suffix
    if manual and multicapture:
        params["payment_method_options"] = {"card": {"request_multicapture": "if_available"}}
    if shipping := _shipping(draft.customer):
        params["shipping"] = shipping
    if details := amount_details(draft):
        params |= {"amount_details": details, "payment_details": _references(draft)}
    return GatewayRequest(INTENTS_PATH, params)


def update_request(intent_id: str, draft: IntentDraft) -> GatewayRequest:
    """Another amount. Lines that make up the former one must not stay: an empty value removes them.

    Raises GatewayRefused where Stripe has no such amount.
    """
    details = amount_details(draft)
    params: dict[str, Any] = {
        "amount": _amount(draft.amount, draft.currency),
        "amount_details": details or "",
        "expand": list(EXPAND_CHARGE),
    }
    if details:
        params["payment_details"] = _references(draft)
    if draft.description:
        params["description"] = draft.description
    return GatewayRequest(intent_path(intent_id), params)


def confirm_request(
    intent_id: str,
    payment_method_token: str | None,
    return_url: str,
    *,
    setup_future_usage: FutureUsage | None = None,
    off_session: bool = False,
) -> GatewayRequest:
    params: dict[str, Any] = {"return_url": return_url, "expand": list(EXPAND_CHARGE)}
    if payment_method_token:
        params["payment_method"] = payment_method_token
    if setup_future_usage:
        params["setup_future_usage"] = setup_future_usage.value.lower()
    if off_session:
        params["off_session"] = True
    return GatewayRequest(f"{intent_path(intent_id)}/confirm", params)


def capture_request(intent_id: str, amount: int, currency: str, final: bool) -> GatewayRequest:
    """Raises GatewayRefused where Stripe has no such amount."""
    params: dict[str, Any] = {"amount_to_capture": _amount(amount, currency), "expand": list(EXPAND_CHARGE)}
    if not final:
        # Stripe knows this parameter only on intents with multicapture, so its default is not sent.
        params["final_capture"] = False
    return GatewayRequest(f"{intent_path(intent_id)}/capture", params)


def cancel_request(intent_id: str, reason: str | None) -> GatewayRequest:
    params: dict[str, Any] = {"expand": list(EXPAND_CHARGE)}
    if reason in _CANCELLATION_REASONS:
        params["cancellation_reason"] = _CANCELLATION_REASONS[reason]
    return GatewayRequest(f"{intent_path(intent_id)}/cancel", params)


def refund_request(
    intent_id: str,
    *,
    refund_id: str,
    attempt: int = 1,
    payment_id: str,
    order_id: str,
    amount: int,
    currency: str,
    reason: str,
) -> GatewayRequest:
    """Raises GatewayRefused where Stripe has no such amount."""
    params: dict[str, Any] = {
        "payment_intent": intent_id,
        "amount": _amount(amount, currency),
        "metadata": {
            PAYMENT_ID: payment_id,
            ORDER_ID: order_id,
            REFUND_ID: refund_id,
            REASON: reason[:_MAX_METADATA_VALUE],
        },
    }
    if attempt > 1:
        params["metadata"][REFUND_ATTEMPT] = str(attempt)
    if reason in _REFUND_REASONS:
        params["reason"] = _REFUND_REASONS[reason]
    return GatewayRequest(REFUNDS_PATH, params)


def customer_params(user_id: str, customer: Customer | None) -> dict[str, Any]:
    params: dict[str, Any] = {"metadata": {USER_ID: user_id}}
    if customer and customer.name:
        params["name"] = customer.name
    if customer and customer.email:
        params["email"] = customer.email
    return params


def _amount(amount: int, currency: str) -> int:
    try:
        return to_stripe(amount, currency)
    except NotRepresentable as cause:
        raise GatewayRefused(
            "amount_not_representable", str(cause), param="amount", pointer="/amount"
        ) from None


def _references(draft: IntentDraft) -> dict[str, str]:
    """What Level 2/3 data are to name besides."""
    references = {"order_reference": draft.order_id}
    if draft.gateway_customer_id:
        references["customer_reference"] = draft.gateway_customer_id
    return references


def _shipping(customer: Customer | None) -> dict[str, Any] | None:
    """Where the goods go; None without a recipient's name, which Stripe demands with an address."""
    if customer is None or not customer.name or customer.shipping_address is None:
        return None
    address = _address(customer.shipping_address)
    if not address:
        return None
    shipping: dict[str, Any] = {"name": customer.name, "address": address}
    if customer.phone:
        shipping["phone"] = customer.phone
    return shipping


def _address(address: Address) -> dict[str, str]:
    fields = {
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "state": address.state,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return {name: value for name, value in fields.items() if value}
