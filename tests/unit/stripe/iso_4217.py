"""What is expected of every code of ISO 4217, written down from the sources and not from the code.

ISO 4217's List One as of 2026: https://www.six-group.com/en/products-services/financial-information/data-standards.html.
Stripe's rules: https://docs.stripe.com/currencies.
"""


def codes(text: str) -> list[str]:
    return text.split()


TWO_DECIMALS = codes("""
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER
ZAR ZMW ZWG
""")

NO_DECIMALS = codes("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF")

THREE_DECIMALS = codes("BHD IQD JOD KWD LYD OMR TND")

NO_MONEY = codes("CLF UYW XAD XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX")
"""Units of account of four decimals, metals, and codes for tests: nothing that a customer pays with."""

NOT_CHARGED = codes("""
BOV BTN CHE CHW COU CUP ERN GHS IQD IRR KPW LYD MRU MXV SDG SSP STN SVC SYP TMT USN UYI VED VES ZWG
""")
"""Absent from Stripe's list of presentment currencies."""

SENT_FOR_1200 = {
    "ISK": 120_000,  # counted in hundredths that are always 00
    "UGX": 120_000,
    "MGA": 12,  # two decimals in ISO 4217, none at Stripe
}
"""What Stripe is sent for 1200 of our minor units; for every other currency the same 1200."""

LEAST = {
    "USD": 50, "AED": 200, "ARS": 50, "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "COP": 50, "CZK": 1500,
    "DKK": 250, "EUR": 50, "GBP": 30, "HKD": 400, "HUF": 17_500, "IDR": 50, "ILS": 50, "INR": 50, "JPY": 50,
    "KRW": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50, "PHP": 50, "PLN": 200, "RON": 200, "RUB": 50,
    "SEK": 300, "SGD": 50, "THB": 1000, "ZAR": 50,
    "BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10,  # the last digit must be 0
    "MGA": 100,
}  # fmt: skip
"""The least charge in our minor units; for every other currency 1."""

MOST = {
    "COP": 9_999_999_999,
    "HUF": 9_999_999_999,
    "IDR": 999_999_999_999,
    "INR": 999_999_999,
    "JPY": 9_999_999_999,
    "LBP": 99_999_999_999,
    "ISK": 999_999,
    "UGX": 999_999,
    "MGA": 9_999_999_900,
    "BHD": 99_999_990, "JOD": 99_999_990, "KWD": 99_999_990, "OMR": 99_999_990, "TND": 99_999_990,
}  # fmt: skip
"""The largest charge in our minor units; for every other currency 99999999."""

DECIMALS = dict.fromkeys(TWO_DECIMALS, 2) | dict.fromkeys(NO_DECIMALS, 0) | dict.fromkeys(THREE_DECIMALS, 3)
CHARGED = [code for code in DECIMALS if code not in NOT_CHARGED]
