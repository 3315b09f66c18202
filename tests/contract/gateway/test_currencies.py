"""What can be charged: what a gateway says beforehand, and what the sandbox then takes."""

import pytest

from domain.payments.errors import (
    AmountNotRepresentable,
    AmountTooLarge,
    AmountTooSmall,
    CurrencyUnsupported,
)
from domain.payments.gateway import PaymentGateway
from domain.shared.errors import Refused
from tests.contract.gateway.conftest import StripeBench
from tests.contract.gateway.test_gateway_contract import create
from tests.unit.stripe.iso_4217 import CHARGED, LEAST, MOST


@pytest.mark.parametrize(
    ("amount", "currency", "error", "pointer"),
    [
        (1000, "BTN", CurrencyUnsupported, "/currency"),
        (49, "EUR", AmountTooSmall, "/amount"),
        (100_000_000, "EUR", AmountTooLarge, "/amount"),
        (5125, "KWD", AmountNotRepresentable, "/amount"),
    ],
)
def test_what_cannot_be_charged_is_told_beforehand(
    gateway: PaymentGateway, amount: int, currency: str, error: type[Refused], pointer: str
) -> None:
    with pytest.raises(error) as refused:
        gateway.check_amount(amount, currency)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("amount", "currency"), [(50, "EUR"), (99_999_999, "USD"), (5120, "KWD"), (1, "ISK")]
)
async def test_what_can_be_charged_is_taken(gateway: PaymentGateway, amount: int, currency: str) -> None:
    gateway.check_amount(amount, currency)
    assert (await create(gateway, amount=amount, currency=currency)).amount == amount


@pytest.mark.parametrize("bench", ["stripe"], indirect=True)
async def test_the_sandbox_takes_the_least_and_the_most_of_every_currency(bench: StripeBench) -> None:
    for code in CHARGED:
        for amount in (LEAST.get(code, 1), MOST.get(code, 99_999_999)):
            made = await create(bench.gateway, amount=amount, currency=code)
            assert (made.amount, made.currency) == (amount, code)
