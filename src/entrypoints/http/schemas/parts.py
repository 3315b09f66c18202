"""Parts that several bodies and answers share."""

from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType
from entrypoints.http.schemas.values import (
    AddressLine,
    AmountOrZero,
    Answered,
    Code,
    CountryCode,
    Email,
    Name,
    PostalCode,
    Quantity,
    Sku,
    Strict,
)


class AddressBody(Strict):
    line1: AddressLine | None = None
    line2: AddressLine | None = None
    city: AddressLine | None = None
    state: AddressLine | None = None
    postal_code: PostalCode | None = None
    country: CountryCode | None = None


class CustomerBody(Strict):
    """Who buys. Personal data: never logged, and not part of any answer."""

    name: Name | None = None
    email: Email | None = None
    billing_address: AddressBody | None = None
    shipping_address: AddressBody | None = None


class LineBody(Strict):
    """One position. Discount and tax are of the whole line."""

    sku: Sku
    name: Name
    quantity: Quantity
    unit_amount: AmountOrZero
    discount_amount: AmountOrZero | None = None
    tax_amount: AmountOrZero | None = None
    commodity_code: Code | None = None
    unit_of_measure: Code | None = None


class MethodAnswer(Answered):
    """What may be shown of the card."""

    brand: str
    last4: str


class NextActionAnswer(Answered):
    """What the customer's client has to do next."""

    type: NextActionType
    redirect_url: str | None
    """Where to send the customer, for `REDIRECT`."""


class LastErrorAnswer(Answered):
    """Why the last attempt was declined, in the gateway's words."""

    code: str
    decline_code: str | None
    message: str


def method_answer(method: CardMethod | None) -> MethodAnswer | None:
    return None if method is None else MethodAnswer(brand=method.brand, last4=method.last4)


def next_action_answer(action: NextAction | None) -> NextActionAnswer | None:
    return None if action is None else NextActionAnswer(type=action.type, redirect_url=action.redirect_url)


def last_error_answer(error: LastError | None) -> LastErrorAnswer | None:
    return (
        None
        if error is None
        else LastErrorAnswer(code=error.code, decline_code=error.decline_code, message=error.message)
    )
