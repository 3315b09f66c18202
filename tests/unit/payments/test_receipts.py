"""To whom the gateway sends a receipt."""

from dataclasses import replace

import pytest

from domain.payments.gateway import Customer
from tests.support.house import House

CUSTOMER = Customer(name="Ada", email="ada@example.org")


@pytest.mark.parametrize(
    ("to_customers", "named", "sent_to"),
    [
        (False, None, None),
        (False, "books@example.org", "books@example.org"),
        (True, None, "ada@example.org"),
        (True, "books@example.org", "books@example.org"),
    ],
)
async def test_receipts(to_customers: bool, named: str | None, sent_to: str | None) -> None:
    house = House()
    house.create_payment = replace(house.create_payment, receipts_to_customers=to_customers)
    await house.pay(await house.order(), customer=CUSTOMER, receipt_email=named)
    create, _ = house.gateway.sent[0]
    assert create.params["receipt_email"] == sent_to


async def test_nobody_to_send_it_to() -> None:
    house = House()
    house.create_payment = replace(house.create_payment, receipts_to_customers=True)
    await house.pay(await house.order(), customer=Customer(name="Ada"))
    await house.pay(await house.order())
    assert {request.params.get("receipt_email") for request, _ in house.gateway.sent} == {None}
