"""Which currencies Stripe charges, from which amount on and up to which.

Source: https://docs.stripe.com/currencies ("Supported presentment currencies", "Minimum and maximum
charge amounts") and, for the eight digits, https://docs.stripe.com/api/payment_intents/create. Amounts
here are in Stripe's minor units.
"""

from adapters.stripe.amounts import NotRepresentable, floor_from_stripe, to_stripe
from domain.payments.errors import (
    AmountNotRepresentable,
    AmountTooLarge,
    AmountTooSmall,
    CurrencyUnsupported,
)

# Without `std`, which Stripe still lists: ISO 4217 has replaced it by STN, a thousand times its worth.
_CHARGED = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF
CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG
HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD
MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU
UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
"""
CHARGED = frozenset(_CHARGED.split())

_MINIMUMS = {
    "AED": 200, "ARS": 50, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "COP": 50, "CZK": 1500, "DKK": 250,
    "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 17500, "IDR": 50, "ILS": 50, "INR": 50, "JPY": 50, "KRW": 50,
    "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50, "PHP": 50, "PLN": 200, "RON": 200, "RUB": 50, "SEK": 300,
    "SGD": 50, "THB": 1000, "USD": 50, "ZAR": 50,
}  # fmt: skip
"""The others have none of their own: what an amount is worth in the account's currency counts, which
Stripe alone can tell."""

_MOST_DIGITS = 8
_DIGITS = {"COP": 10, "HUF": 10, "IDR": 12, "INR": 9, "JPY": 10, "LBP": 11}


def check_amount(amount: int, currency: str) -> None:
    """Whether Stripe charges this amount, in minor units of ISO 4217.

    Raises CurrencyUnsupported, AmountTooSmall, AmountTooLarge, AmountNotRepresentable.
    """
    if currency not in CHARGED:
        raise CurrencyUnsupported(f"The gateway does not charge in {currency}.", pointer="/currency")
    try:
        theirs = to_stripe(amount, currency)
    except NotRepresentable as cause:
        raise AmountNotRepresentable(str(cause), pointer="/amount") from None
    least, most = _MINIMUMS.get(currency, 1), 10 ** _DIGITS.get(currency, _MOST_DIGITS) - 1
    if theirs < least:
        raise AmountTooSmall(
            f"The gateway charges at least {floor_from_stripe(least, currency)} minor units of {currency}.",
            pointer="/amount",
        )
    if theirs > most:
        raise AmountTooLarge(
            f"The gateway charges at most {floor_from_stripe(most, currency)} minor units of {currency}.",
            pointer="/amount",
        )
