"""What of an order stands in the way of erasing its customer's data."""

from typing import Any

import pytest

from domain.orders.erasure import obstacle
from domain.orders.status import OrderStatus

CLOSED: dict[str, Any] = {
    "is_canceling": False,
    "is_taken_on": True,
    "has_open_attempt": False,
    "is_undelivered": False,
}


@pytest.mark.parametrize("status", ["DRAFT", "PROCESSING_FULFILLMENT", "FULFILLED", "CANCELED", "REFUNDED"])
def test_what_needs_no_data_any_more_is_erased(status: str) -> None:
    assert obstacle(OrderStatus(status), **CLOSED) is None


@pytest.mark.parametrize("status", ["CANCELED", "REFUNDED", "DRAFT"])
def test_what_is_not_to_be_shipped_waits_for_no_warehouse(status: str) -> None:
    assert obstacle(OrderStatus(status), **{**CLOSED, "is_taken_on": False}) is None


@pytest.mark.parametrize(
    ("status", "facts"),
    [
        ("PENDING_PAYMENT", {}),
        ("AWAITING_USER_PAYMENT_ACTION", {}),
        ("PAYMENT_FAILED", {}),
        ("AUTHORIZED", {}),
        ("PAID", {"is_taken_on": False}),
        ("PARTIALLY_REFUNDED", {"is_taken_on": False}),
        ("PROCESSING_FULFILLMENT", {"is_undelivered": True}),
        ("PROCESSING_FULFILLMENT", {"is_canceling": True}),
        ("REFUNDED", {"has_open_attempt": True}),
    ],
)
def test_what_is_open_is_named(status: str, facts: dict[str, bool]) -> None:
    assert obstacle(OrderStatus(status), **{**CLOSED, **facts})
