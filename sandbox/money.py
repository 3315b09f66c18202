"""Stripe's limits on amounts. Source: https://docs.stripe.com/currencies."""

from sandbox.errors import ApiError

_SUPPORTED = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd
hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad
mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln
pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs
uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
CURRENCIES = frozenset(_SUPPORTED.split())
_THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
# Zero-decimal in ISO 4217 or in use, but Stripe wants two decimals that are always 00.
_WHOLE_OF_HUNDRED = frozenset(("isk", "ugx"))
_MINIMUMS = {
    "usd": 50, "aed": 200, "ars": 50, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "cop": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "idr": 50, "ils": 50, "inr": 50, "jpy": 50,
    "krw": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "php": 50, "pln": 200, "ron": 200, "rub": 50,
    "sek": 300, "sgd": 50, "thb": 1000, "zar": 50,
}  # fmt: skip
_DIGITS = {"cop": 10, "huf": 10, "idr": 12, "inr": 9, "jpy": 10, "lbp": 11}
_MOST_DIGITS = 8


def check_currency(given: str) -> str:
    currency = given.lower()
    if currency not in CURRENCIES:
        raise ApiError(
            f"Invalid currency: {given}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(CURRENCIES))}",
            param="currency",
        )
    return currency


def check_amount(amount: int, currency: str) -> None:
    """Raises ApiError for an amount that Stripe would not charge in this currency."""
    if amount < 1:
        raise ApiError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    if amount < _MINIMUMS.get(currency, 1):
        raise ApiError(
            f"Amount must be at least {_MINIMUMS[currency]} {currency}",
            code="amount_too_small",
            param="amount",
        )
    largest = 10 ** _DIGITS.get(currency, _MOST_DIGITS) - 1
    if amount > largest:
        raise ApiError(
            f"Amount must be no more than {largest} {currency}", code="amount_too_large", param="amount"
        )
    step = 10 if currency in _THREE_DECIMALS else 100 if currency in _WHOLE_OF_HUNDRED else 1
    if amount % step:
        raise ApiError(
            f"Invalid amount: {currency} amounts must be evenly divisible by {step}.", param="amount"
        )


def processing_fee(amount: int, currency: str) -> int:
    """2.9 % and 30 minor units, in what the currency has, and never more than the amount itself."""
    fee = (amount * 29 + 500) // 1000 + 30
    step = 100 if currency in _WHOLE_OF_HUNDRED else 1
    return min(amount, -(-fee // step) * step)
