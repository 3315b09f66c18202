"""A few fixed seeds, quickly. `make simulate` goes on with new ones."""

import pytest

from tests.simulation.orders.machine import OrderMachine
from tests.simulation.payments.seeds import run_seed


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_orders_follow_their_money_whatever_happens(number: int) -> None:
    run_seed(OrderMachine, number, examples=20, steps=60)
