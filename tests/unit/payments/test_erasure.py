"""What of a payment stands in the way of erasing its customer's data."""

import pytest

from domain.payments.erasure import obstacle
from domain.payments.gateway import IntentStatus


@pytest.mark.parametrize("status", list(IntentStatus))
def test_only_a_settled_payment_without_an_open_operation_is_erased(status: IntentStatus) -> None:
    settled = status in (IntentStatus.SUCCEEDED, IntentStatus.CANCELED)
    assert (obstacle(status, has_open_operation=False) is None) == settled
    assert obstacle(status, has_open_operation=True) is not None
