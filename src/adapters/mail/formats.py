"""How mails show amounts, dates, cards and whatever people typed."""

import re
from datetime import datetime
from decimal import Decimal

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, get_currency_symbol

from domain.shared.money import Currency
from domain.shared.payment_events import CardMethod

_ENGLISH = Locale("en")  # the language of the templates
# Control characters would end a header; those that turn the direction of writing can show another text
# than the one that is there (https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing).
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\\s]+"
)


def money(amount: int, currency: Currency) -> str:
    """`amount` minor units for people, `€12.34`, with as many decimals as ISO 4217 gives the currency.

    The CLDR has fewer for some, as it tells what is paid in cash: they must not be taken for what is owed.
    """
    symbol = get_currency_symbol(currency.code, locale=_ENGLISH)
    space = "\u00a0" if symbol[-1].isalpha() else ""
    decimals = "." + "0" * currency.exponent if currency.exponent else ""
    pattern = f"¤{space}#,##0{decimals};-¤{space}#,##0{decimals}"
    value = Decimal(amount).scaleb(-currency.exponent)
    return format_currency(value, currency.code, pattern, _ENGLISH, currency_digits=False)


def date(moment: datetime) -> str:
    return format_date(moment, "long", _ENGLISH)


def card(method: CardMethod | None) -> str | None:
    """`Visa ending in 4242`."""
    if method is None:
        return None
    return f"{_BRANDS.get(method.brand, method.brand.replace('_', ' ').title())} ending in {method.last4}"


_BRANDS = {"amex": "American Express", "jcb": "JCB", "unionpay": "UnionPay", "eftpos_au": "eftpos"}


def plain(text: str, longest: int) -> str:
    """One line of what somebody typed: without unseen characters, and cut where it is longer."""
    line = _UNSEEN.sub(" ", text).strip()
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"
