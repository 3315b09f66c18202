"""Level 2/3 data: an order's lines as Stripe's `amount_details`.

Cards of companies cost less with them, and no payment may fail for them: what breaks a rule is found
before anything is sent (`line_rules`), and then all of it is left out.
"""

import re
from hashlib import sha256
from typing import Any

from adapters.stripe.amounts import to_stripe
from adapters.stripe.line_rules import check_lines, is_tax_per_line, line_discount
from domain.payments.gateway import IntentDraft, LineItem
from domain.payments.line_data import LineItems

MAX_PRODUCT_CODE = 12
MAX_PRODUCT_NAME = 1024

_POSTAL_CODE = re.compile(r"[A-Za-z0-9 -]{1,10}")


def amount_details(draft: IntentDraft) -> dict[str, Any] | None:
    """The `amount_details` of this draft; None where there are none to give or a rule is broken."""
    return _build(draft) if check_lines(draft).outcome is LineItems.SENT else None


def product_code(sku: str) -> str:
    """The SKU where it fits; else its first four letters or digits and eight digits of its hash.

    Cutting would give neighbours (`TSHIRT-BLUE-S`, `TSHIRT-BLUE-M`) one code, and leaving it
    out would forfeit the Level 3 rate, which needs one.
    """
    if len(sku) <= MAX_PRODUCT_CODE:
        return sku
    head = "".join(char for char in sku if char.isascii() and char.isalnum())[:4]
    return (head + sha256(sku.encode()).hexdigest()[: MAX_PRODUCT_CODE - 4]).upper()


def _build(draft: IntentDraft) -> dict[str, Any]:
    currency = draft.currency
    details: dict[str, Any] = {}
    if draft.discount_amount and not line_discount(draft):
        details["discount_amount"] = to_stripe(draft.discount_amount, currency)
    tax_per_line = is_tax_per_line(draft)
    if draft.tax_amount is not None and not tax_per_line:
        details["tax"] = {"total_tax_amount": to_stripe(draft.tax_amount, currency)}
    if draft.shipping_amount is not None:
        details["shipping"] = {"amount": to_stripe(draft.shipping_amount, currency), **_destination(draft)}
    if draft.lines:
        details["line_items"] = [_line(line, currency, tax_per_line) for line in draft.lines]
        # Our own check has passed. Should Stripe's arithmetic differ, or a partial capture
        # no longer match the lines, then the lines are dropped and not the payment.
        details["enforce_arithmetic_validation"] = False
    return details


def _destination(draft: IntentDraft) -> dict[str, str]:
    address = draft.customer.shipping_address if draft.customer else None
    if address and address.postal_code and _POSTAL_CODE.fullmatch(address.postal_code):
        return {"to_postal_code": address.postal_code}
    return {}


def _line(line: LineItem, currency: str, tax_per_line: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        # The card networks see 26 characters of it, so a cut at Stripe's limit loses nothing.
        "product_name": line.name[:MAX_PRODUCT_NAME],
        "quantity": line.quantity,
        "unit_cost": to_stripe(line.unit_amount, currency),
    }
    if line.sku:
        item["product_code"] = product_code(line.sku)
    if line.discount_amount:
        item["discount_amount"] = to_stripe(line.discount_amount, currency)
    if tax_per_line:
        item["tax"] = {"total_tax_amount": to_stripe(line.tax_amount or 0, currency)}
    if line.unit_of_measure:
        item["unit_of_measure"] = line.unit_of_measure
    if line.commodity_code:
        item["payment_method_options"] = {"card": {"commodity_code": line.commodity_code}}
    return item
