from dataclasses import replace

import pytest

from adapters.stripe.level3 import amount_details, product_code
from adapters.stripe.line_rules import check_lines, faults
from domain.payments.gateway import Address, Customer, IntentDraft, LineItem
from domain.payments.line_data import LineItems
from tests.unit.stripe.drafts import DRAFT, LINES

LINE = LineItem(name="Oak", quantity=1, unit_amount=4600)
NO_TOTALS = replace(DRAFT, shipping_amount=None, discount_amount=None, tax_amount=None)


def pointers(draft: IntentDraft) -> list[str]:
    return [fault.pointer for fault in faults(draft)]


def test_totals_and_lines_become_amount_details() -> None:
    assert amount_details(DRAFT) == {
        "discount_amount": 200,
        "tax": {"total_tax_amount": 400},
        "shipping": {"amount": 400, "to_postal_code": "94607"},
        "enforce_arithmetic_validation": False,
        "line_items": [
            {
                "product_name": "Oak board",
                "product_code": "OAK-1",
                "quantity": 2,
                "unit_cost": 1000,
                "unit_of_measure": "each",
                "payment_method_options": {"card": {"commodity_code": "301036"}},
            },
            {
                "product_name": "Nails",
                "product_code": product_code("NAIL-STEEL-100MM"),
                "quantity": 1,
                "unit_cost": 2000,
            },
        ],
    }


def test_tax_and_discount_per_line_are_not_repeated_in_total() -> None:
    first = replace(LINES[0], discount_amount=200, tax_amount=400)
    details = amount_details(replace(DRAFT, lines=(first, LINES[1])))
    assert details is not None
    assert "tax" not in details
    assert "discount_amount" not in details
    assert details["line_items"][0]["discount_amount"] == 200
    assert details["line_items"][0]["tax"] == {"total_tax_amount": 400}
    assert "discount_amount" not in details["line_items"][1]
    assert details["line_items"][1]["tax"] == {"total_tax_amount": 0}


def test_totals_without_lines_are_level_2_data() -> None:
    assert amount_details(replace(DRAFT, lines=(), customer=None)) == {
        "discount_amount": 200,
        "tax": {"total_tax_amount": 400},
        "shipping": {"amount": 400},
    }


def test_nothing_given_is_nothing_sent() -> None:
    assert amount_details(replace(NO_TOTALS, lines=())) is None


def test_amounts_are_in_stripe_s_minor_unit() -> None:
    line = LineItem(name="Oak", quantity=2, unit_amount=100)
    details = amount_details(replace(NO_TOTALS, currency="ISK", amount=200, lines=(line,)))
    assert details is not None
    assert details["line_items"][0]["unit_cost"] == 10_000


@pytest.mark.parametrize(
    ("draft", "found"),
    [
        (replace(NO_TOTALS, lines=(replace(LINE, unit_amount=23),) * 200), []),
        (replace(NO_TOTALS, lines=(replace(LINE, unit_amount=23),) * 201), ["/lines"]),
        (replace(NO_TOTALS, lines=(replace(LINE, name=""),)), ["/lines/0/name"]),
        (
            replace(NO_TOTALS, lines=(LINE, replace(LINE, quantity=0))),
            ["/lines/1/quantity"],
        ),
        (
            replace(NO_TOTALS, lines=(replace(LINE, unit_amount=-1, tax_amount=-1),)),
            ["/lines/0/unitAmount", "/lines/0/taxAmount"],
        ),
        (replace(DRAFT, shipping_amount=-1), ["/shippingAmount"]),
        (
            replace(NO_TOTALS, currency="KWD", lines=(replace(LINE, unit_amount=4601),)),
            ["/lines/0/unitAmount"],
        ),
        (replace(NO_TOTALS, lines=(replace(LINE, unit_amount=4599),)), ["/lines"]),
        (
            replace(NO_TOTALS, tax_amount=5, lines=(replace(LINE, unit_amount=4590, tax_amount=10),)),
            ["/taxAmount"],
        ),
        (
            replace(NO_TOTALS, lines=(replace(LINE, unit_of_measure="kg per box"),)),
            ["/lines/0/unitOfMeasure"],
        ),
        (
            replace(NO_TOTALS, lines=(replace(LINE, unit_of_measure="x" * 13, commodity_code="44-11"),)),
            ["/lines/0/unitOfMeasure", "/lines/0/commodityCode"],
        ),
        (
            replace(
                NO_TOTALS, discount_amount=5, lines=(replace(LINE, unit_amount=4610, discount_amount=10),)
            ),
            ["/discountAmount"],
        ),
    ],
)
def test_each_rule_is_checked_and_named(draft: IntentDraft, found: list[str]) -> None:
    assert pointers(draft) == found
    assert (amount_details(draft) is None) == bool(found)


def test_every_problem_is_listed() -> None:
    draft = replace(DRAFT, tax_amount=-1, lines=(replace(LINE, quantity=0), replace(LINE, name="")))
    assert pointers(draft) == [
        "/taxAmount",
        "/lines/0/quantity",
        "/lines/1/name",
    ]


def test_a_long_sku_gets_a_code_of_its_own() -> None:
    small, medium = product_code("TSHIRT-BLUE-S"), product_code("TSHIRT-BLUE-M")
    assert small != medium
    assert small == product_code("TSHIRT-BLUE-S")
    assert len(small) == len(medium) == 12
    assert small.startswith("TSHI")
    assert small.isalnum()
    assert product_code("TWELVE-CHARS") == "TWELVE-CHARS"


def test_a_long_name_is_cut_and_a_strange_postal_code_left_out() -> None:
    customer = Customer(shipping_address=Address(postal_code="〒100-0001"))
    draft = replace(DRAFT, customer=customer, lines=(replace(LINE, name="x" * 1025, unit_amount=4000),))
    details = amount_details(draft)
    assert details is not None
    assert details["line_items"][0]["product_name"] == "x" * 1024
    assert details["shipping"] == {"amount": 400}


FULL = replace(LINE, unit_amount=4000, sku="OAK", unit_of_measure="each", tax_amount=600)
"""A line that has all that Level 3 asks for."""


@pytest.mark.parametrize(
    ("draft", "level2", "level3"),
    [
        (replace(NO_TOTALS, lines=(FULL,)), [], []),
        (replace(NO_TOTALS, lines=(FULL,), tax_amount=600), [], []),
        (replace(NO_TOTALS, lines=(), tax_amount=600), [], ["/lines"]),
        (replace(NO_TOTALS, lines=()), ["/taxAmount"], ["/lines"]),
        (replace(NO_TOTALS, lines=(), shipping_amount=400), ["/taxAmount"], ["/lines"]),
        # A tax that was not collected is no Level 2 tax, and told as 0 enough for Level 3.
        (replace(NO_TOTALS, lines=(replace(FULL, unit_amount=4600, tax_amount=0),)), ["/taxAmount"], []),
        (
            replace(NO_TOTALS, lines=(replace(LINE, unit_amount=4000),), tax_amount=600),
            [],
            ["/lines/0/sku", "/lines/0/unitOfMeasure", "/lines/0/taxAmount"],
        ),
        (
            replace(NO_TOTALS, lines=(replace(FULL, unit_amount=2000), replace(FULL, unit_amount=2000))),
            ["/lines", "/taxAmount"],
            ["/lines"],
        ),
    ],
)
def test_what_each_level_asks_for(draft: IntentDraft, level2: list[str], level3: list[str]) -> None:
    check = check_lines(draft)
    assert [fault.pointer for fault in check.level2.faults] == level2
    assert [fault.pointer for fault in check.level3.faults] == level3
    assert (check.level2.qualifies, check.level3.qualifies) == (not level2, not level3)


@pytest.mark.parametrize(
    ("tax", "qualifies"), [(0, False), (9, False), (10, True), (2200, True), (2201, False), (99_999, False)]
)
def test_level_2_taxes_lie_between_limits(tax: int, qualifies: bool) -> None:
    draft = replace(NO_TOTALS, lines=(), amount=10_000 + tax, tax_amount=tax)
    assert check_lines(draft).level2.qualifies is qualifies


def test_what_becomes_of_the_lines() -> None:
    assert check_lines(replace(NO_TOTALS, lines=())).outcome is None
    assert check_lines(replace(NO_TOTALS, lines=(FULL,))).outcome is LineItems.SENT
    assert check_lines(replace(NO_TOTALS, lines=(LINE, LINE))).outcome is LineItems.LEFT_OUT
    # Lines that win no lower rate are sent all the same, for reconciliation.
    assert check_lines(replace(NO_TOTALS, lines=(LINE,))).outcome is LineItems.SENT


def test_a_tax_of_nothing_is_told_by_line() -> None:
    details = amount_details(replace(NO_TOTALS, lines=(replace(LINE, tax_amount=0),)))
    assert details is not None
    assert details["line_items"][0]["tax"] == {"total_tax_amount": 0}
