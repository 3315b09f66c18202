"""Level 2 and 3 data: Stripe's rules for `amount_details`.

Source: the docstrings of `stripe.params.PaymentIntentCreateParamsAmountDetails` and
https://docs.stripe.com/payments/payment-line-items.
"""

import re
from typing import Any

from sandbox.errors import ApiError

Json = dict[str, Any]

_MAX_LINES = 200
_MAX_PRODUCT_CODE = 12
_MAX_PRODUCT_NAME = 1024
_MAX_POSTAL_CODE = 10
_MAX_WORD = 12
_WORD = re.compile(rf"[A-Za-z0-9]{{1,{_MAX_WORD}}}\Z")


def check_amount_details(details: Json, amount: int) -> Json | None:
    """Refuse what Stripe refuses, or return the `error` to show where validation is not enforced.

    `amount` is the intent's, in the minor unit.

    Raises:
        ApiError: 400, naming the parameter.
    """
    lines: list[Json] = details.get("line_items") or []
    if len(lines) > _MAX_LINES:
        raise _refused("line_items", f"There is a maximum of {_MAX_LINES} line items.")
    for number, line in enumerate(lines):
        _check_line(line, f"line_items][{number}")
    shipping = details.get("shipping") or {}
    for name in ("from_postal_code", "to_postal_code"):
        if len(shipping.get(name, "")) > _MAX_POSTAL_CODE:
            raise _refused(f"shipping][{name}", f"At most {_MAX_POSTAL_CODE} characters long.")
    _check_exclusive(details, lines)
    return _check_arithmetic(details, lines, amount)


def _check_line(line: Json, path: str) -> None:
    if len(line.get("product_code", "")) > _MAX_PRODUCT_CODE:
        raise _refused(f"{path}][product_code", f"At most {_MAX_PRODUCT_CODE} characters long.")
    if not 1 <= len(line["product_name"]) <= _MAX_PRODUCT_NAME:
        raise _refused(f"{path}][product_name", f"1 to {_MAX_PRODUCT_NAME} characters long.")
    if line["quantity"] < 1:
        raise _refused(f"{path}][quantity", "An integer greater than 0.")
    if line["unit_cost"] < 0:
        raise _refused(f"{path}][unit_cost", "An integer greater than or equal to 0.")
    card = (line.get("payment_method_options") or {}).get("card") or {}
    for name, word in (
        ("unit_of_measure", line.get("unit_of_measure")),
        ("payment_method_options][card][commodity_code", card.get("commodity_code")),
    ):
        if word and not _WORD.match(word):
            raise _refused(f"{path}][{name}", f"1 to {_MAX_WORD} letters and digits.")
    if line.get("discount_amount", 1) < 1:
        raise _refused(f"{path}][discount_amount", "An integer greater than 0.")
    if line.get("tax", {}).get("total_tax_amount", 0) < 0:
        raise _refused(f"{path}][tax][total_tax_amount", "An integer greater than or equal to 0.")


def _check_exclusive(details: Json, lines: list[Json]) -> None:
    discount = details.get("discount_amount")
    if isinstance(discount, int):
        if discount < 1:
            raise _refused("discount_amount", "An integer greater than 0.")
        if any("discount_amount" in line for line in lines):
            raise _refused("discount_amount", "Mutually exclusive with a line item's discount_amount.")
    if details.get("tax") and any("tax" in line for line in lines):
        raise _refused("tax][total_tax_amount", "Mutually exclusive with a line item's total_tax_amount.")


def _check_arithmetic(details: Json, lines: list[Json], amount: int) -> Json | None:
    """Lines less discounts, with tax and shipping, must make up the amount, where there are lines."""
    if not lines:
        return None
    discount = details.get("discount_amount") or sum(line.get("discount_amount", 0) for line in lines)
    if details.get("tax"):
        tax = details["tax"]["total_tax_amount"]
    else:
        tax = sum(line.get("tax", {}).get("total_tax_amount", 0) for line in lines)
    shipping = (details.get("shipping") or {}).get("amount") or 0
    total = sum(line["unit_cost"] * line["quantity"] for line in lines) - discount + tax + shipping
    if total == amount:
        return None
    message = f"The line items, discounts, tax and shipping add up to {total}, which does not equal the amount {amount}."
    code = "amount_details_amount_mismatch"
    if details.get("enforce_arithmetic_validation", True):
        raise ApiError(message, code=code, param="amount_details")
    return {"code": code, "message": message}


def shown(details: Json, error: Json | None) -> Json:
    """What the intent shows of them: line items are listed apart, by their own call."""
    amount_details: Json = {"tip": {}}
    for name in ("discount_amount", "shipping", "tax"):
        if details.get(name):
            amount_details[name] = details[name]
    if error is not None:
        amount_details["error"] = error
    return amount_details


def _refused(name: str, message: str) -> ApiError:
    return ApiError(f"Invalid amount_details[{name}]: {message}", param=f"amount_details[{name}]")
