"""The demo's verdict: books that agree pass, and each kind of disagreement is found."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from entrypoints.local.demo.checks import faults_of
from entrypoints.local.demo.journeys import PAID, Journey
from entrypoints.local.demo.stock import stock_faults

Books = dict[str, Any]


def books() -> Books:
    """A paid order of 1000 with 300 given back, as all sides tell it when nothing went wrong."""
    return {
        "order": {"status": "PAID", "amountPaid": 1000, "amountRefunded": 300, "attention": None},
        "payments": [{"gatewayPaymentIntentId": "pi_1", "amountCaptured": 1000, "amountRefunded": 300}],
        "intents": [{"id": "pi_1", "amount_received": 1000, "latest_charge": {"amount_refunded": 300}}],
        "events": [
            {"id": "evt_1", "subject": "pay_1", "sequence": "0000000001"},
            {"id": "evt_2", "subject": "pay_1", "sequence": "0000000002"},
        ],
        "mails": [mail(1, "Payment received for order 1"), mail(2, "Your refund for order 1")],
    }


def found(changed: Books) -> list[str]:
    journey = Journey(
        0, "paid", expected=PAID, captured=1000, refunded=300, told=["Payment received", "Your refund"]
    )
    return faults_of(
        journey, *(changed[book] for book in ("order", "payments", "intents", "events", "mails"))
    )


def mail(number: int, subject: str) -> dict[str, Any]:
    return {"subject": subject, "headers": {"Message-ID": f"<{number}@shop>"}}


def test_books_that_agree_have_no_fault() -> None:
    assert found(books()) == []


def test_a_mail_that_was_sent_again_is_the_same_mail() -> None:
    changed = books()
    changed["mails"].append(dict(changed["mails"][0]))
    assert found(changed) == []


DISAGREEMENTS: dict[str, tuple[Callable[[Books], object], str]] = {
    "status": (lambda b: b["order"].update(status="PAYMENT_FAILED"), "the order is PAYMENT_FAILED"),
    "order paid twice": (lambda b: b["order"].update(amountPaid=2000), "the order has 2000 paid"),
    "refund lost": (lambda b: b["order"].update(amountRefunded=0), "the order has 0 refunded"),
    "attention": (lambda b: b["order"].update(attention="DISPUTED"), "asks for attention: DISPUTED"),
    "two payments": (lambda b: b["payments"].append(dict(b["payments"][0])), "there are 2 payments"),
    "no payment": (lambda b: b["payments"].clear(), "there are 0 payments"),
    "capture lost": (lambda b: b["payments"][0].update(amountCaptured=0), "the payments have 0 captured"),
    "refund doubled": (
        lambda b: b["payments"][0].update(amountRefunded=600),
        "the payments have 600 refunded",
    ),
    "another intent": (
        lambda b: b["intents"].append({**b["intents"][0], "id": "pi_2"}),
        "the gateway took 2000",
    ),
    "intent gone": (lambda b: b["intents"].clear(), "the gateway has the intents []"),
    "gateway gave back": (
        lambda b: b["intents"][0]["latest_charge"].update(amount_refunded=600),
        "the gateway gave back 600",
    ),
    "event gap": (lambda b: b["events"].pop(0), "are numbered [2]"),
    "event twice": (lambda b: b["events"].append(dict(b["events"][0])), "an event id occurs twice"),
    "no event": (lambda b: b["events"].clear(), "there is no event"),
    "mail lost": (lambda b: b["mails"].pop(0), "0 mails begin with “Payment received”, not 1"),
    "mail doubled": (
        lambda b: b["mails"].append(mail(3, "Your refund for order 1")),
        "2 mails begin with “Your refund”, not 1",
    ),
}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_each_disagreement_is_found(name: str) -> None:
    change, sentence = DISAGREEMENTS[name]
    changed = copy.deepcopy(books())
    change(changed)
    assert any(sentence in fault for fault in found(changed)), found(changed)


def ordered(status: str, *, shipped: bool = False) -> dict[str, Any]:
    lines = [{"sku": "TEA", "quantity": 2}, {"sku": "MUG", "quantity": 9}, {"sku": "TEA", "quantity": 1}]
    return {"status": status, "fulfilledAt": "2026-03-01T12:00:00Z" if shipped else None, "lines": lines}


ORDERS = [
    ordered("PAID"),
    ordered("PARTIALLY_REFUNDED", shipped=True),
    *(ordered(status) for status in ("DRAFT", "PAYMENT_FAILED", "CANCELED")),
]


@pytest.mark.parametrize(
    ("on_hand", "reserved", "faults"),
    [
        (7, 3, []),
        (10, 3, ["there are 10 TEA, not 7"]),
        (7, 6, ["6 TEA are reserved, not 3"]),
        (4, 0, ["there are 4 TEA, not 7", "0 TEA are reserved, not 3"]),
    ],
)
def test_stock_is_compared_with_what_the_orders_leave_of_it(
    on_hand: int, reserved: int, faults: list[str]
) -> None:
    item = {"sku": "TEA", "onHand": on_hand, "reserved": reserved}
    assert list(stock_faults(item, 10, ORDERS)) == faults
