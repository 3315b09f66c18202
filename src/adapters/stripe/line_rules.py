"""Stripe's rules for Level 2 and 3 data: what it refuses, and what the card networks' lower rates need.

Sources: https://docs.stripe.com/payments/payment-line-items ("Field requirements", "Cards L2 and L3 Rates
Eligibility") and `stripe.params.PaymentIntentCreateParamsAmountDetails` with its parts.
"""

import re
from collections.abc import Iterator

from adapters.stripe.amounts import NotRepresentable, to_stripe
from domain.payments.gateway import IntentDraft, LineItem
from domain.payments.line_data import LevelCheck, LineCheck, LineFault

MAX_LINES = 200
_WORD = re.compile(r"[A-Za-z0-9]{1,12}")

_LEAST_TAX_PERMILLE = 1
_MOST_TAX_PERCENT = 22
"""Visa's limits of Level 2; Mastercard's end at 30 %. Trades that are exempt from them are not known here."""


def check_lines(draft: IntentDraft) -> LineCheck:
    given = bool(draft.lines) or any(
        amount is not None for amount in (draft.shipping_amount, draft.discount_amount, draft.tax_amount)
    )
    refused = tuple(faults(draft)) if given else ()
    return LineCheck(
        given=given,
        faults=refused,
        level2=LevelCheck((*refused, *_level2_faults(draft))),
        level3=LevelCheck((*refused, *_level3_faults(draft))),
    )


def faults(draft: IntentDraft) -> list[LineFault]:
    """Everything that Stripe would refuse."""
    found = [*_count_faults(draft), *_total_faults(draft)]
    for index, line in enumerate(draft.lines):
        found.extend(_line_faults(line, f"/lines/{index}", draft.currency))
    # Sums of numbers that are wrong themselves would only repeat what was said.
    return found or [*_sum_faults(draft)]


def is_tax_per_line(draft: IntentDraft) -> bool:
    """Stripe takes tax by line or in total, never both."""
    told = any(line.tax_amount is not None for line in draft.lines)
    return told and (line_tax(draft) > 0 or not draft.tax_amount)


def line_discount(draft: IntentDraft) -> int:
    return sum(line.discount_amount or 0 for line in draft.lines)


def line_tax(draft: IntentDraft) -> int:
    return sum(line.tax_amount or 0 for line in draft.lines)


def _level2_faults(draft: IntentDraft) -> Iterator[LineFault]:
    by_line = bool(draft.lines) and all(line.tax_amount is not None for line in draft.lines)
    if draft.tax_amount is None and not by_line:
        yield LineFault("/taxAmount", "Level 2 needs the tax, in total or on every line.")
        return
    tax = line_tax(draft) if is_tax_per_line(draft) else draft.tax_amount or 0
    net = draft.amount - tax
    if tax * 1000 < net * _LEAST_TAX_PERMILLE or tax * 100 > net * _MOST_TAX_PERCENT:
        yield LineFault("/taxAmount", "Level 2 needs a tax between 0.1 % and 22 % (Mastercard: 30 %).")


def _level3_faults(draft: IntentDraft) -> Iterator[LineFault]:
    if not draft.lines:
        yield LineFault("/lines", "Level 3 needs the lines.")
    for index, line in enumerate(draft.lines):
        if not line.sku:
            yield LineFault(f"/lines/{index}/sku", "Level 3 needs a product code.")
        if not line.unit_of_measure:
            yield LineFault(f"/lines/{index}/unitOfMeasure", "Level 3 needs a unit of measure.")
        if line.tax_amount is None:
            yield LineFault(f"/lines/{index}/taxAmount", "Level 3 needs the line's tax, be it 0.")


def _count_faults(draft: IntentDraft) -> Iterator[LineFault]:
    if len(draft.lines) > MAX_LINES:
        yield LineFault("/lines", f"At most {MAX_LINES} lines.")


def _total_faults(draft: IntentDraft) -> Iterator[LineFault]:
    yield from _amount_faults(draft.shipping_amount, "/shippingAmount", draft.currency)
    yield from _amount_faults(draft.discount_amount, "/discountAmount", draft.currency)
    yield from _amount_faults(draft.tax_amount, "/taxAmount", draft.currency)


def _line_faults(line: LineItem, pointer: str, currency: str) -> Iterator[LineFault]:
    if not line.name:
        yield LineFault(f"{pointer}/name", "A line needs a name.")
    if line.quantity < 1:
        yield LineFault(f"{pointer}/quantity", "At least 1.")
    yield from _amount_faults(line.unit_amount, f"{pointer}/unitAmount", currency)
    yield from _amount_faults(line.discount_amount, f"{pointer}/discountAmount", currency)
    yield from _amount_faults(line.tax_amount, f"{pointer}/taxAmount", currency)
    for name, word in (("unitOfMeasure", line.unit_of_measure), ("commodityCode", line.commodity_code)):
        if word and not _WORD.fullmatch(word):
            yield LineFault(f"{pointer}/{name}", "At most 12 letters and digits, without spaces.")


def _amount_faults(amount: int | None, pointer: str, currency: str) -> Iterator[LineFault]:
    if amount is None:
        return
    if amount < 0:
        yield LineFault(pointer, "At least 0.")
    try:
        to_stripe(amount, currency)
    except NotRepresentable as cause:
        yield LineFault(pointer, str(cause))


def _sum_faults(draft: IntentDraft) -> Iterator[LineFault]:
    """Tax and discount stand per line or in total, never both: a total beside lines must be their sum."""
    if not draft.lines:
        return
    discount, tax = line_discount(draft), line_tax(draft)
    if discount and draft.discount_amount not in (None, discount):
        yield LineFault("/discountAmount", f"The lines' discounts add up to {discount}.")
    if tax and draft.tax_amount not in (None, tax):
        yield LineFault("/taxAmount", f"The lines' taxes add up to {tax}.")
    total = (
        sum(line.unit_amount * line.quantity for line in draft.lines)
        - (discount or draft.discount_amount or 0)
        + (tax or draft.tax_amount or 0)
        + (draft.shipping_amount or 0)
    )
    if total != draft.amount:
        yield LineFault("/lines", f"Lines, discount, tax and shipping add up to {total}, not {draft.amount}.")
