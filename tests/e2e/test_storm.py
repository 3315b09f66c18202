"""A small storm: webhooks lost and doubled, money moved behind our back, a row altered by hand."""

import asyncio

import pytest

from tests.e2e.conftest import RunningSystem
from tests.e2e.storm import weather

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("e2e")]


def test_after_a_storm_every_order_follows_its_money_and_the_altered_row_is_flagged(
    system: RunningSystem,
) -> None:
    """The ledger too sums to zero, and holds what the gateway holds."""
    report = asyncio.run(weather(system, orders=27, patience_seconds=150))
    assert report.left == []
    assert report.findings["ORDER_ALTERED", "OPEN"] == 1
    assert report.findings["REFUND_AT_GATEWAY", "REPAIRED"] >= 2
    assert not report.findings["LEDGER_DIFFERS", "OPEN"]
