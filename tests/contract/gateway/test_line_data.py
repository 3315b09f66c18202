"""Lines and totals: what a gateway says of them beforehand is what becomes of them."""

import pytest

from domain.payments.gateway import LineItem, PaymentGateway
from domain.payments.line_data import LineItems
from tests.contract.gateway.test_gateway_contract import create, draft

LINE = LineItem(name="Oak", quantity=1, unit_amount=1000, sku="OAK", tax_amount=99, unit_of_measure="each")


def test_lines_that_suffice_for_every_level(gateway: PaymentGateway) -> None:
    check = gateway.check_lines(draft(lines=(LINE,)))
    assert (check.outcome, check.faults) == (LineItems.SENT, ())
    assert (check.level2.qualifies, check.level3.qualifies) == (True, True)


def test_lines_that_do_not_add_up(gateway: PaymentGateway) -> None:
    check = gateway.check_lines(draft(lines=(LINE, LINE)))
    assert check.outcome is LineItems.LEFT_OUT
    assert [fault.pointer for fault in check.faults] == ["/lines"]
    assert not check.level2.qualifies
    assert not check.level3.qualifies


def test_lines_that_lack_what_level_3_needs(gateway: PaymentGateway) -> None:
    line = LineItem(name="Oak", quantity=1, unit_amount=1000, sku="OAK", tax_amount=99)
    check = gateway.check_lines(draft(lines=(line,)))
    assert (check.outcome, check.level2.qualifies) == (LineItems.SENT, True)
    assert [fault.pointer for fault in check.level3.faults] == ["/lines/0/unitOfMeasure"]


def test_nothing_to_check(gateway: PaymentGateway) -> None:
    check = gateway.check_lines(draft())
    assert (check.outcome, check.faults) == (None, ())
    assert [fault.pointer for fault in check.level2.faults] == ["/taxAmount"]
    assert [fault.pointer for fault in check.level3.faults] == ["/lines"]


@pytest.mark.parametrize("lines", [(LINE,), (LINE, LINE)])
async def test_the_payment_is_made_with_them_or_without(
    gateway: PaymentGateway, lines: tuple[LineItem, ...]
) -> None:
    assert (await create(gateway, lines=lines)).line_items_error is None
