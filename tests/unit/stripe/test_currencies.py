"""Every code of ISO 4217: what it is here, and what of it Stripe charges."""

import pytest
from iso4217 import Currency as IsoCurrency

from adapters.stripe.amounts import from_stripe, to_stripe
from adapters.stripe.limits import check_amount
from adapters.system.currencies import IsoCurrencies
from domain.payments.errors import (
    AmountNotRepresentable,
    AmountTooLarge,
    AmountTooSmall,
    CurrencyUnsupported,
)
from domain.shared.errors import Refused
from tests.unit.stripe.iso_4217 import (
    CHARGED,
    DECIMALS,
    LEAST,
    MOST,
    NO_MONEY,
    NOT_CHARGED,
    SENT_FOR_1200,
    THREE_DECIMALS,
)


def refusal(amount: int, code: str) -> tuple[type[Refused], str | None]:
    with pytest.raises(Refused) as refused:
        check_amount(amount, code)
    return type(refused.value), refused.value.pointer


def test_no_code_is_forgotten() -> None:
    published = [currency.code for currency in IsoCurrency]
    assert sorted(published) == sorted([*DECIMALS, *NO_MONEY])
    assert set(NOT_CHARGED) < DECIMALS.keys()


@pytest.mark.parametrize(("code", "decimals"), DECIMALS.items())
def test_decimals(code: str, decimals: int) -> None:
    currency = IsoCurrencies().find(code)
    assert currency is not None
    assert (currency.code, currency.exponent) == (code, decimals)


@pytest.mark.parametrize("code", [*NO_MONEY, "ANG", "BGN", "STD", "HRK", "eur", "EURO", ""])
def test_no_money(code: str) -> None:
    assert IsoCurrencies().find(code) is None
    assert refusal(1000, code) == (CurrencyUnsupported, "/currency")


@pytest.mark.parametrize("code", CHARGED)
def test_what_stripe_charges(code: str) -> None:
    sent = SENT_FOR_1200.get(code, 1200)
    assert (to_stripe(1200, code), from_stripe(sent, code)) == (sent, 1200)
    least, most = LEAST.get(code, 1), MOST.get(code, 99_999_999)
    check_amount(least, code)
    check_amount(most, code)
    step = 10 if code in THREE_DECIMALS else 100 if code == "MGA" else 1
    assert refusal(most + step, code) == (AmountTooLarge, "/amount")
    if least > step:
        assert refusal(least - 1, code) == (AmountTooSmall, "/amount")
    if step > 1:
        assert refusal(least + 1, code) == (AmountNotRepresentable, "/amount")


@pytest.mark.parametrize("code", NOT_CHARGED)
def test_what_stripe_does_not_charge(code: str) -> None:
    assert refusal(1000, code) == (CurrencyUnsupported, "/currency")


def test_the_limit_is_told_in_our_minor_units() -> None:
    for amount, code, limit in (
        (1, "EUR", "50"),
        (1_000_000, "ISK", "999999"),
        (10**12, "MGA", "9999999900"),
    ):
        with pytest.raises(Refused, match=f" {limit} minor units of {code}"):
            check_amount(amount, code)
