"""What a payment tells of its line items, and what a preflight tells before there is one."""

from typing import Any

import pytest

from domain.payments.errors import AmountTooSmall, StatementDescriptorInvalid, UserRequired
from domain.payments.gateway import CaptureMethod, FutureUsage, GatewayRefused, LineItem
from domain.payments.line_data import LineCheck, LineFault, LineItems
from domain.payments.use_cases.create_payment import CreatePayment
from domain.shared.errors import Refused, UserDiffers
from tests.support.house import CUSTOMER, RETURN_URL, SERVICE, House

LINE = LineItem(name="Oak", quantity=1, unit_amount=900, tax_amount=100, unit_of_measure="each")
REFUSED = GatewayRefused(
    "parameter_invalid", "A line is wrong.", param="amount_details[line_items][0][quantity]"
)


async def test_lines_are_sent() -> None:
    house = House()
    paid = await house.pay(await house.order(), lines=(LINE,))
    assert (paid.line_items, paid.line_item_faults) == (LineItems.SENT, ())
    assert (await house.pay(await house.order())).line_items is None


async def test_lines_that_do_not_add_up_are_left_out_and_say_so() -> None:
    house = House()
    paid = await house.pay(await house.order(), lines=(LINE, LINE))
    assert paid.line_items is LineItems.LEFT_OUT
    assert paid.line_item_faults == (LineFault("/lines", "They add up to 2000."),)
    assert house.payment(paid.payment_id).line_item_faults == paid.line_item_faults


async def test_lines_that_the_gateway_refuses_are_left_out_and_say_so() -> None:
    house = House()
    house.gateway.script(REFUSED)
    paid = await house.pay(await house.order(), lines=(LINE,))
    assert (paid.status, paid.line_items) == ("SUCCEEDED", LineItems.LEFT_OUT)
    assert paid.line_item_faults == (LineFault("/lines", "A line is wrong."),)


async def test_lines_that_the_gateway_passes_on_to_nobody_say_so() -> None:
    house = House()
    held = await house.pay(await house.order(), lines=(LINE,), capture_method=CaptureMethod.MANUAL)
    assert held.line_items is LineItems.SENT
    house.gateway.put_intent(held.intent_id or "", line_items_error="They no longer add up.")
    captured = await house.capture(held, 500)
    assert captured.line_items is LineItems.LEFT_OUT
    assert captured.line_item_faults == (LineFault("/lines", "They no longer add up."),)


def preflight(house: House, **changes: Any) -> LineCheck:
    fields: dict[str, Any] = {
        "caller": CUSTOMER,
        "order_id": "ord_1",
        "amount": 1000,
        "currency": "EUR",
        "confirm": False,
        "return_url": RETURN_URL,
        **changes,
    }
    return house.preflight_payment(CreatePayment(request_id="1", **fields))


async def test_a_preflight_tells_the_same_and_makes_nothing() -> None:
    house = House()
    house.gateway.down = True
    assert preflight(house, lines=(LINE,)).outcome is LineItems.SENT
    wrong = preflight(house, lines=(LINE, LINE))
    assert (wrong.level2.qualifies, wrong.level3.qualifies) == (False, False)
    assert not house.world.payments.rows["payment"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": 49}, AmountTooSmall),
        ({"statement_descriptor_suffix": "12"}, StatementDescriptorInvalid),
        ({"user_id": "u_2"}, UserDiffers),
    ],
)
def test_a_preflight_refuses_what_the_creation_would(changes: dict[str, Any], error: type[Refused]) -> None:
    with pytest.raises(error):
        preflight(House(), **changes)


def test_a_guest_saves_nothing_in_a_preflight_either() -> None:
    with pytest.raises(UserRequired):
        preflight(House(), caller=SERVICE, setup_future_usage=FutureUsage.ON_SESSION)
