"""Level 2/3 data: an order's lines as Stripe's `amount_details`, or the reasons why not.

Cards of companies cost less with them, and no payment may fail for them: what breaks a rule
is found here, before anything is sent, and then all of it is left out.
Sources: `stripe.params.PaymentIntentCreateParamsAmountDetails` and its parts, and
https://docs.stripe.com/payments/payment-line-items.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from adapters.stripe.amounts import NotRepresentable, to_stripe
from domain.payments.gateway import IntentDraft, LineItem

MAX_LINES = 200
MAX_PRODUCT_CODE = 12
MAX_PRODUCT_NAME = 1024

_POSTAL_CODE = re.compile(r"[A-Za-z0-9 -]{1,10}")


@dataclass(frozen=True, slots=True)
class Level3Problem:
    """One broken rule: `pointer` is the JSON pointer of the field in our own request."""

    code: str
    pointer: str
    message: str


def amount_details(draft: IntentDraft) -> dict[str, Any] | None:
    """The `amount_details` of this draft; None where there are none to give or a rule is broken."""
    given = (draft.shipping_amount, draft.discount_amount, draft.tax_amount)
    if not draft.lines and all(amount is None for amount in given):
        return None
    if problems(draft):
        return None
    return _build(draft)


def problems(draft: IntentDraft) -> list[Level3Problem]:
    """Every rule of Stripe's that the draft's Level 2/3 data breaks."""
    found = [*_count_problems(draft), *_total_problems(draft)]
    for index, line in enumerate(draft.lines):
        found.extend(_line_problems(line, f"/lines/{index}", draft.currency))
    # Sums of numbers that are wrong themselves would only repeat what was said.
    return found or [*_sum_problems(draft)]


def product_code(sku: str) -> str:
    """The SKU where it fits; else its first four letters or digits and eight digits of its hash.

    Cutting would give neighbours (`TSHIRT-BLUE-S`, `TSHIRT-BLUE-M`) one code, and leaving it
    out would forfeit the Level 3 rate, which needs one.
    """
    if len(sku) <= MAX_PRODUCT_CODE:
        return sku
    head = "".join(char for char in sku if char.isascii() and char.isalnum())[:4]
    return (head + sha256(sku.encode()).hexdigest()[: MAX_PRODUCT_CODE - 4]).upper()


def _count_problems(draft: IntentDraft) -> Iterator[Level3Problem]:
    if len(draft.lines) > MAX_LINES:
        yield Level3Problem("too_many_lines", "/lines", f"At most {MAX_LINES} lines.")


def _total_problems(draft: IntentDraft) -> Iterator[Level3Problem]:
    yield from _amount_problems(draft.shipping_amount, "/shippingAmount", draft.currency)
    yield from _amount_problems(draft.discount_amount, "/discountAmount", draft.currency)
    yield from _amount_problems(draft.tax_amount, "/taxAmount", draft.currency)


def _line_problems(line: LineItem, pointer: str, currency: str) -> Iterator[Level3Problem]:
    if not line.name:
        yield Level3Problem("name_missing", f"{pointer}/name", "A line needs a name.")
    if line.quantity < 1:
        yield Level3Problem("quantity_not_positive", f"{pointer}/quantity", "At least 1.")
    yield from _amount_problems(line.unit_amount, f"{pointer}/unitAmount", currency)
    yield from _amount_problems(line.discount_amount, f"{pointer}/discountAmount", currency)
    yield from _amount_problems(line.tax_amount, f"{pointer}/taxAmount", currency)


def _amount_problems(amount: int | None, pointer: str, currency: str) -> Iterator[Level3Problem]:
    if amount is None:
        return
    if amount < 0:
        yield Level3Problem("amount_negative", pointer, "At least 0.")
    try:
        to_stripe(amount, currency)
    except NotRepresentable as cause:
        yield Level3Problem("amount_not_representable", pointer, str(cause))


def _sum_problems(draft: IntentDraft) -> Iterator[Level3Problem]:
    """Tax and discount stand per line or in total, never both: a total beside lines must be their sum."""
    if not draft.lines:
        return
    line_discount, line_tax = _line_discount(draft), _line_tax(draft)
    if line_discount and draft.discount_amount not in (None, line_discount):
        yield Level3Problem(
            "discount_twice", "/discountAmount", f"The lines' discounts add up to {line_discount}."
        )
    if line_tax and draft.tax_amount not in (None, line_tax):
        yield Level3Problem("tax_twice", "/taxAmount", f"The lines' taxes add up to {line_tax}.")
    total = (
        sum(line.unit_amount * line.quantity for line in draft.lines)
        - (line_discount or draft.discount_amount or 0)
        + (line_tax or draft.tax_amount or 0)
        + (draft.shipping_amount or 0)
    )
    if total != draft.amount:
        yield Level3Problem(
            "sum_mismatch",
            "/lines",
            f"Lines, discount, tax and shipping add up to {total}, not {draft.amount}.",
        )


def _line_discount(draft: IntentDraft) -> int:
    return sum(line.discount_amount or 0 for line in draft.lines)


def _line_tax(draft: IntentDraft) -> int:
    return sum(line.tax_amount or 0 for line in draft.lines)


def _build(draft: IntentDraft) -> dict[str, Any]:
    currency = draft.currency
    details: dict[str, Any] = {}
    if draft.discount_amount and not _line_discount(draft):
        details["discount_amount"] = to_stripe(draft.discount_amount, currency)
    tax_per_line = _line_tax(draft) > 0
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
