"""What every gateway tells of our balance, as far as the ledger needs it."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.payments.balance import BalanceTransaction, GatewayBalance
from domain.payments.gateway import CaptureMethod, PaymentGateway, RefundSnapshot
from domain.payments.gateway_balance import BalanceBook, balance_book_of
from tests.contract.gateway.bench import Bench
from tests.contract.gateway.test_gateway_contract import capture, new_key, pay, refund_request


def book_of(gateway: PaymentGateway) -> BalanceBook:
    found = balance_book_of(gateway)
    if found is None:
        pytest.skip("this gateway does not tell of its balance")
    return found


async def every(
    gateway: PaymentGateway, limit: int = 2, payout_id: str | None = None
) -> list[BalanceTransaction]:
    """All of them by pages, newest first."""
    found: list[BalanceTransaction] = []
    while True:
        after = found[-1].transaction_id if found else None
        page = await book_of(gateway).list_balance_transactions(after=after, limit=limit, payout_id=payout_id)
        found += page.transactions
        if not page.more:
            return found


async def settled(gateway: PaymentGateway, bench: Bench) -> list[BalanceTransaction]:
    """Once the gateway has booked what it took, which it does a little later."""
    for _ in range(5):
        found = await every(gateway)
        if found:
            return found
        bench.wait()
    raise AssertionError("nothing was booked")


async def test_each_movement_is_told_with_its_object_and_fee(bench: Bench) -> None:
    gateway = bench.gateway
    before = datetime.now(UTC) - timedelta(seconds=2)
    intent = await pay(gateway)
    (charge,) = await settled(gateway, bench)
    assert (charge.type, charge.source_id) == ("charge", intent.charge_id)
    assert (charge.amount, charge.fee, charge.net, charge.currency) == (1099, 62, 1037, "EUR")
    assert charge.available_at - charge.created_at == timedelta(days=2)
    assert charge.exchange_rate is None
    refund = await gateway.execute(refund_request(gateway, intent.intent_id, 99), new_key())
    assert isinstance(refund, RefundSnapshot)
    newest, _ = await every(gateway)
    assert (newest.type, newest.source_id) == ("refund", refund.gateway_refund_id)
    assert (newest.amount, newest.fee) == (-99, 0)
    dispute_id = bench.open_dispute(intent.intent_id)
    newest, *_ = await every(gateway)
    assert (newest.type, newest.source_id) == ("adjustment", dispute_id)
    assert (newest.amount, newest.fee) == (-1099, 1500)
    assert await book_of(gateway).get_balance() == [
        GatewayBalance(currency="EUR", available=0, pending=1099 - 62 - 99 - 1099 - 1500)
    ]
    since = await book_of(gateway).list_balance_transactions(created_from=before)
    assert [one.type for one in since.transactions] == ["adjustment", "refund", "charge"]
    assert not since.more
    assert not (await book_of(gateway).list_balance_transactions(created_before=before)).transactions


async def test_captures_in_parts_are_movements_of_one_charge(bench: Bench) -> None:
    gateway = bench.gateway
    intent = await pay(gateway, capture_method=CaptureMethod.MANUAL)
    assert await every(gateway) == []
    await capture(gateway, intent.intent_id, 300, final=False)
    await settled(gateway, bench)
    await capture(gateway, intent.intent_id, 200)
    assert [(one.amount, one.source_id) for one in await every(gateway)] == [
        (200, intent.charge_id),
        (300, intent.charge_id),
    ]


async def test_a_payout_and_what_it_is_made_of(bench: Bench) -> None:
    gateway = bench.gateway
    assert await book_of(gateway).list_payouts(limit=10) == []
    assert await book_of(gateway).find_payout("po_none") is None
    for _ in range(2):
        await pay(gateway)
    await settled(gateway, bench)
    bench.pay_out()
    (payout,) = await book_of(gateway).list_payouts(limit=10)
    assert await book_of(gateway).find_payout(payout.payout_id) == payout
    assert (payout.amount, payout.currency, payout.automatic) == (2 * 1037, "EUR", True)
    parts = await every(gateway, payout_id=payout.payout_id)
    assert [one.type for one in parts] == ["payout", "charge", "charge"]
    assert sum(one.net for one in parts) == 0
    assert (parts[0].amount, parts[0].source_id) == (-payout.amount, payout.payout_id)
    assert [one.total for one in await book_of(gateway).get_balance()] == [0]
