"""The ledger beside the gateway's own account of our balance: imported, tied, compared, paid out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.payments.errors import GatewayUnavailable, PayoutNotFound
from domain.payments.gateway import GatewayRefundStatus
from domain.payments.ledger import Account, EntryKind
from domain.payments.ledger_ports import EntryFilter
from domain.payments.use_cases.import_balance import Imported
from domain.payments.use_cases.verify_ledger import LedgerReport
from tests.support.fake_gateway import FakeGateway
from tests.support.house import SERVICE, House, World

FEE = 59  # of 1000


async def report(house: House) -> LedgerReport:
    await house.import_balance()
    return await house.verify_ledger()


async def balances(house: House, **wanted: Any) -> Mapping[str, int]:
    """What is on each account, at all gateways, but for those where nothing is."""
    total: Counter[str] = Counter()
    for one in await house.read_ledger.balances(**wanted):
        total[one.account.value] += one.amount
    return {account: amount for account, amount in total.items() if amount}


async def test_fees_are_posted_and_clearing_is_what_the_gateway_holds() -> None:
    house = House()
    payment = await house.paid(1000)
    await house.refund(payment, 300)
    disputed = await house.paid(1000)
    opened = house.gateway.open_dispute(disputed.intent_id or "")
    await house.webhook(house.gateway.webhook("charge.dispute.created", opened))
    found = await report(house)
    assert found.is_right
    assert found.payments == 2
    (comparison,) = found.balances
    assert comparison.clearing == comparison.at_gateway == 1000 - 300 - 2 * FEE - 1500
    assert await balances(house) == {
        "disputes": 1000,
        "fees": 2 * FEE + 1500,
        "gateway_clearing": 1000 - 300 - 2 * FEE - 1500,
        "refunds": 300,
        "revenue": -2000,
    }
    fees = [
        entry
        async for entry in house.read_ledger.entries(EntryFilter(account=Account.FEES))
        if entry.payment_id == payment.payment_id
    ]
    assert [(entry.source[:4], entry.order_id) for entry in fees] == [("txn_", payment.order_id)]


async def test_what_was_imported_is_not_imported_again() -> None:
    house = House()
    assert await house.import_balance() == Imported(), "before the first payment nothing is ours"
    await house.paid(1000)
    assert await house.import_balance() == Imported(transactions=1, explained=1)
    assert await house.import_balance() == Imported()
    house.clock.advance(days=3, hours=1)
    await house.paid(1000)
    assert await house.import_balance() == Imported(transactions=1, explained=1)
    assert (await report(house)).is_right


async def test_a_long_time_is_read_day_by_day() -> None:
    house = House()
    for _ in range(3):
        await house.paid(1000)
        house.gateway.balance.book()
        house.clock.advance(days=2)
    assert (await house.import_balance()).transactions == 3
    assert (await report(house)).is_right


async def test_a_late_transaction_is_found_behind_younger_ones() -> None:
    house = House()
    await house.paid(1000)
    await house.import_balance()
    late = house.gateway.balance.post("stripe_fee", -20)
    late = replace(late, created_at=late.created_at - timedelta(minutes=9), available_at=late.created_at)
    house.gateway.balance.transactions[-1] = late
    assert (await house.import_balance()).transactions == 1
    assert (await balances(house))["fees"] == FEE + 20


async def test_money_that_no_webhook_told_of_is_unexplained_until_one_does() -> None:
    house = House()
    payment = await house.authorized(1000)
    captured = house.gateway.put_intent(
        payment.intent_id or "", status="SUCCEEDED", amount_captured=1000, amount_capturable=0
    )
    found = await report(house)
    assert not found.is_right
    assert [one.transaction.source_id for one in found.unexplained] == [captured.charge_id]
    assert [(one.clearing, one.difference) for one in found.balances] == [(-FEE, 1000)]
    await house.webhook(house.gateway.webhook("payment_intent.succeeded", captured))
    house.clock.advance(minutes=1)
    assert (await report(house)).is_right


async def test_a_movement_that_nothing_of_ours_explains_is_found() -> None:
    house = House()
    await house.paid(1000)
    house.gateway.balance.post("adjustment", -77, source_id="du_unknown")
    reserve = house.gateway.balance.post("reserve_transaction", -5)
    found = await report(house)
    assert [one.transaction.amount for one in found.unexplained] == [-77, -5]
    assert found.unexplained[1].transaction == reserve
    assert [one.difference for one in found.balances] == [-82]


async def test_a_payment_that_was_altered_by_hand_is_found() -> None:
    house = House()
    payment = await house.paid(1000)
    house.world.payments.rows["payment"][payment.payment_id].amount_captured = 999
    found = await report(house)
    assert [(one.captured, one.ledger_captured) for one in found.disagreeing] == [(999, 1000)]
    assert await house.backfill_ledger(SERVICE) == 0, "nor is it made right by posting the difference"


async def test_a_refund_that_fails_before_it_succeeds_explains_itself() -> None:
    house = House()
    payment = await house.paid(1000, "pm_card_pendingRefund")
    refund = await house.refund(payment, 300)
    found = await report(house)
    assert [one.transaction.amount for one in found.unexplained] == [-300]
    house.gateway.settle_refund(refund.gateway_refund_id or "", GatewayRefundStatus.FAILED, "closed")
    house.clock.advance(minutes=1)
    assert not (await report(house)).unexplained


async def test_a_payout_ties_to_the_cent() -> None:
    house = House()
    payment = await house.paid(1000)
    await house.refund(payment, 300)
    house.gateway.balance.post("stripe_fee", -20)
    payout = house.gateway.balance.pay_out()
    assert not (await house.report_payout(payout.payout_id)).ties, "nothing was imported yet"
    await house.import_balance()
    made = await house.report_payout(payout.payout_id)
    assert (made.gross, made.fees, made.payout.amount) == (680, FEE, 680 - FEE)
    assert made.ties
    parts = {part.transaction.type: len(part.entries) for part in made.parts}
    assert parts == {"stripe_fee": 1, "refund": 1, "charge": 2}
    assert (await balances(house))["bank"] == payout.amount
    assert "gateway_clearing" not in await balances(house)
    assert [one.payout_id for _, one in await house.report_payout.list(limit=5)] == [payout.payout_id]
    altered = replace(payout, amount=payout.amount + 1)
    house.gateway.balance.payouts[payout.payout_id] = altered
    again = await house.report_payout(payout.payout_id)
    assert (again.difference, again.ties) == (-1, False)
    with pytest.raises(PayoutNotFound):
        await house.report_payout("po_none")


async def test_the_gateway_settles_in_its_own_currency() -> None:
    house = House()
    house.gateway.balance.rates["EUR"] = ("USD", Decimal("1.25"))
    payment = await house.paid(1000)
    assert (await report(house)).is_right
    refunded = await house.refund(payment, 400)
    assert refunded.status == "SUCCEEDED"
    house.clock.advance(minutes=1)
    house.gateway.balance.rates["EUR"] = ("USD", Decimal("1.2"))
    found = await report(house)
    assert found.is_right
    assert [(one.currency, one.clearing) for one in found.balances] == [
        ("EUR", 0),
        ("USD", 1250 - 66 - 480),
    ]
    assert await balances(house, currency="EUR") == {"exchange": 600, "refunds": 400, "revenue": -1000}


async def test_an_account_that_is_away_stops_no_other() -> None:
    world = World()
    second = FakeGateway(world.clock, name="second")
    world.accounts.insert(0, world.account(second, frozenset({"USD"})))
    house = House(world)
    await house.paid(1000)
    second.down = True
    dollars = await house.order(1000, currency="USD")
    assert dollars.currency == "USD"
    second.balance.post("stripe_fee", -1, currency="USD")
    async with house.payments_uow() as uow:
        await uow.balance_transactions.move("second", house.clock.now())
        await uow.commit()
    with pytest.raises(GatewayUnavailable):
        await house.import_balance()
    assert (await balances(house))["fees"] == FEE
    second.down = False
    await house.import_balance()
    assert (await balances(house))["fees"] == FEE + 1


async def test_payments_of_before_are_posted_once() -> None:
    house = House()
    payment = await house.paid(1000)
    await house.refund(payment, 300)
    disputed = await house.paid(1000)
    opened = house.gateway.open_dispute(disputed.intent_id or "")
    await house.webhook(house.gateway.webhook("charge.dispute.created", opened))
    house.world.payments.rows["ledger_entry"].clear()
    for dispute in house.world.payments.rows["dispute"].values():
        dispute.movements = 0
    later = await house.paid(500)
    assert later.amount_captured == 500
    assert await house.backfill_ledger(SERVICE) == 4
    told = [record.entry for record in house.world.payments.audit if record.entry.action == "ledger.backfill"]
    assert {entry.object_id: entry.after for entry in told} == {
        payment.payment_id: {"entries": 2},
        disputed.payment_id: {"entries": 2},
    }
    assert await house.backfill_ledger(SERVICE) == 0
    assert (await report(house)).is_right


async def test_a_statement_has_the_balance_after_each_line() -> None:
    house = House()
    await house.paid(1000)
    house.clock.advance(days=1)
    since = house.clock.now()
    payment = await house.paid(500)
    await house.refund(payment, 200)
    clearing = Account.GATEWAY_CLEARING
    lines = [
        (line.entry.kind, line.posting.amount, line.balance)
        async for line in house.read_ledger.statement(clearing, EntryFilter(account=clearing, since=since))
    ]
    assert lines == [(EntryKind.CAPTURE, 500, 1500), (EntryKind.REFUND, -200, 1300)]
    of_payment = EntryFilter(account=clearing, payment_id=payment.payment_id, since=since)
    only = [line.balance async for line in house.read_ledger.statement(clearing, of_payment)]
    assert only == [500, 300]
