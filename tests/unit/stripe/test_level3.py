from dataclasses import replace

import pytest

from adapters.stripe.level3 import amount_details, problems, product_code
from domain.payments.gateway import Address, Customer, IntentDraft, LineItem
from tests.unit.stripe.drafts import DRAFT, LINES

LINE = LineItem(name="Oak", quantity=1, unit_amount=4600)
NO_TOTALS = replace(DRAFT, shipping_amount=None, discount_amount=None, tax_amount=None)


def codes(draft: IntentDraft) -> list[tuple[str, str]]:
    return [(problem.code, problem.pointer) for problem in problems(draft)]


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
        (replace(NO_TOTALS, lines=(replace(LINE, unit_amount=23),) * 201), [("too_many_lines", "/lines")]),
        (replace(NO_TOTALS, lines=(replace(LINE, name=""),)), [("name_missing", "/lines/0/name")]),
        (
            replace(NO_TOTALS, lines=(LINE, replace(LINE, quantity=0))),
            [("quantity_not_positive", "/lines/1/quantity")],
        ),
        (
            replace(NO_TOTALS, lines=(replace(LINE, unit_amount=-1, tax_amount=-1),)),
            [("amount_negative", "/lines/0/unitAmount"), ("amount_negative", "/lines/0/taxAmount")],
        ),
        (replace(DRAFT, shipping_amount=-1), [("amount_negative", "/shippingAmount")]),
        (
            replace(NO_TOTALS, currency="KWD", lines=(replace(LINE, unit_amount=4601),)),
            [("amount_not_representable", "/lines/0/unitAmount")],
        ),
        (replace(NO_TOTALS, lines=(replace(LINE, unit_amount=4599),)), [("sum_mismatch", "/lines")]),
        (
            replace(NO_TOTALS, tax_amount=5, lines=(replace(LINE, unit_amount=4590, tax_amount=10),)),
            [("tax_twice", "/taxAmount")],
        ),
        (
            replace(
                NO_TOTALS, discount_amount=5, lines=(replace(LINE, unit_amount=4610, discount_amount=10),)
            ),
            [("discount_twice", "/discountAmount")],
        ),
    ],
)
def test_each_rule_is_checked_and_named(draft: IntentDraft, found: list[tuple[str, str]]) -> None:
    assert codes(draft) == found
    assert (amount_details(draft) is None) == bool(found)


def test_every_problem_is_listed() -> None:
    draft = replace(DRAFT, tax_amount=-1, lines=(replace(LINE, quantity=0), replace(LINE, name="")))
    assert codes(draft) == [
        ("amount_negative", "/taxAmount"),
        ("quantity_not_positive", "/lines/0/quantity"),
        ("name_missing", "/lines/1/name"),
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
