"""Amounts and currencies that the gateway does not charge: refused before anything is begun."""

import pytest

from domain.payments.errors import AmountTooLarge, AmountTooSmall, CurrencyUnsupported
from domain.shared.errors import Refused
from tests.support.house import House


@pytest.mark.parametrize(
    ("amount", "currency", "error"),
    [
        (49, "EUR", AmountTooSmall),
        (100_000_000, "EUR", AmountTooLarge),
        (1000, "BTN", CurrencyUnsupported),
    ],
)
async def test_nothing_is_begun(amount: int, currency: str, error: type[Refused]) -> None:
    house = House()
    order = await house.order(amount, currency=currency)
    with pytest.raises(error):
        await house.pay(order)
    assert not house.world.payments.rows["payment"]
    assert (house.gateway.customers, house.gateway.sent) == ({}, [])
