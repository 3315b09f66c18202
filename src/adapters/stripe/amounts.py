"""Amounts between ISO 4217's minor units, which we use, and Stripe's.

They are the same but for the cases below. Source: https://docs.stripe.com/currencies
("Zero-decimal currencies", "Three-decimal currencies" and "Special cases"). HUF and TWD, which that page
has among its special cases, are whole in payouts only, and those are not made here.
"""

_HUNDREDFOLD = frozenset({"ISK", "UGX"})
"""No decimals in ISO 4217 and in fact, but Stripe still counts hundredths, which must be zero."""

_HUNDREDTH = frozenset({"MGA"})
"""Two decimals in ISO 4217 (an ariary is five iraimbilanja), none at Stripe."""

_TENS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three decimals in both; the last digit must be 0 for the card networks' sake."""


class NotRepresentable(ValueError):
    """The amount has no exact counterpart on the other side."""


def to_stripe(amount: int, currency: str) -> int:
    """ISO 4217 minor units to Stripe's. Raises NotRepresentable; never rounds, since that would be other money."""
    if currency in _HUNDREDFOLD:
        return amount * 100
    if currency in _HUNDREDTH:
        return _divided(amount, currency)
    if currency in _TENS and amount % 10:
        raise NotRepresentable(f"The gateway takes {currency} in multiples of ten minor units only.")
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's minor units to ISO 4217's. Raises NotRepresentable."""
    if currency in _HUNDREDTH:
        return amount * 100
    if currency in _HUNDREDFOLD:
        return _divided(amount, currency)
    return amount


def floor_from_stripe(amount: int, currency: str) -> int:
    """The same, rounded down where ISO 4217 has no such fraction: for limits, never for money that moves."""
    return amount // 100 if currency in _HUNDREDFOLD else from_stripe(amount, currency)


def _divided(amount: int, currency: str) -> int:
    if amount % 100:
        raise NotRepresentable(f"{amount} {currency} is not a multiple of 100.")
    return amount // 100
