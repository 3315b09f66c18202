"""A few fixed seeds, quickly. `make simulate` goes on with new ones."""

import pytest

from tests.simulation.payments.machine import PaymentMachine
from tests.simulation.payments.seeds import run_seed


@pytest.mark.parametrize("number", [1, 2])
def test_the_books_are_right_whatever_happens(number: int) -> None:
    run_seed(PaymentMachine, number, examples=12, steps=40)
