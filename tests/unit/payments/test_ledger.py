"""What each money fact posts, by use cases over the units of work in memory."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.payments.balance import BalanceTransaction, ObjectBooks, entries_of, explains_itself, posted_for
from domain.payments.dispute_status import DisputeStatus
from domain.payments.gateway import GatewayRefundStatus
from domain.payments.ledger import (
    RULES,
    Account,
    EntryKind,
    EntryUnbalanced,
    LedgerEntry,
    Posting,
    account_named,
    postings_of,
)
from domain.shared.errors import Malformed
from tests.support.house import START, CountedIds, House

ids = CountedIds()


def entries(house: House, payment_id: str) -> list[LedgerEntry]:
    rows = house.world.payments.rows["ledger_entry"].values()
    return sorted((row for row in rows if row.payment_id == payment_id), key=lambda row: row.entry_id)


def moved(house: House, payment_id: str) -> dict[str, int]:
    """What is on each account for this payment, but for those where nothing is."""
    totals = {
        account: sum(sum(entry.on(account).values()) for entry in entries(house, payment_id))
        for account in Account
    }
    return {account.value: total for account, total in totals.items() if total}


async def test_a_paid_order_is_billed_and_collected() -> None:
    house = House()
    payment = await house.paid(1000)
    (entry,) = entries(house, payment.payment_id)
    (event,) = house.log(payment.payment_id)
    assert [(one.account.value, one.amount) for one in entry.postings] == [
        ("customer_receivable", 1000),
        ("revenue", -1000),
        ("gateway_clearing", 1000),
        ("customer_receivable", -1000),
    ]
    assert (entry.kind, entry.source) == (EntryKind.CAPTURE, str(event.event_id))
    assert (entry.gateway, entry.gateway_object) == ("fake", payment.charge_id)
    assert (entry.payment_id, entry.order_id) == (payment.payment_id, payment.order_id)


async def test_an_authorization_posts_nothing_and_each_capture_its_part() -> None:
    house = House()
    house.gateway.multicapture = True
    payment = await house.authorized(1000)
    assert entries(house, payment.payment_id) == []
    await house.capture(payment, 300, final=False)
    await house.capture(house.payment(payment.payment_id), 200)
    assert moved(house, payment.payment_id) == {"gateway_clearing": 500, "revenue": -500}
    assert len(entries(house, payment.payment_id)) == 2


async def test_a_refund_is_posted_once_the_gateway_confirms_it() -> None:
    house = House()
    payment = await house.paid(1000, "pm_card_pendingRefund")
    refund = await house.refund(payment, 300)
    assert moved(house, payment.payment_id) == {"gateway_clearing": 1000, "revenue": -1000}
    settled = house.gateway.settle_refund(refund.gateway_refund_id or "", GatewayRefundStatus.SUCCEEDED)
    for _ in range(2):
        await house.webhook(house.gateway.webhook("refund.updated", settled))
    assert moved(house, payment.payment_id) == {"gateway_clearing": 700, "refunds": 300, "revenue": -1000}
    assert entries(house, payment.payment_id)[-1].gateway_object == refund.gateway_refund_id


async def test_a_refund_that_a_bank_sends_back_is_reversed() -> None:
    house = House()
    payment = await house.paid(1000)
    refund = await house.refund(payment, 300)
    failed = house.gateway.settle_refund(refund.gateway_refund_id or "", GatewayRefundStatus.FAILED, "closed")
    await house.webhook(house.gateway.webhook("refund.failed", failed))
    assert moved(house, payment.payment_id) == {"gateway_clearing": 1000, "revenue": -1000}
    kinds = [entry.kind for entry in entries(house, payment.payment_id)]
    assert kinds == [EntryKind.CAPTURE, EntryKind.REFUND, EntryKind.REFUND_REVERSED]


async def test_a_refund_that_never_succeeded_posts_nothing_when_it_fails() -> None:
    house = House()
    payment = await house.paid(1000, "pm_card_pendingRefund")
    refund = await house.refund(payment, 300)
    failed = house.gateway.settle_refund(refund.gateway_refund_id or "", GatewayRefundStatus.FAILED, "closed")
    await house.webhook(house.gateway.webhook("refund.failed", failed))
    assert [entry.kind for entry in entries(house, payment.payment_id)] == [EntryKind.CAPTURE]


async def test_a_dispute_takes_money_gives_it_back_and_takes_it_again() -> None:
    house = House()
    payment = await house.paid(1000)
    opened = house.gateway.open_dispute(payment.intent_id or "")
    await house.webhook(house.gateway.webhook("charge.dispute.created", opened))
    assert moved(house, payment.payment_id) == {"disputes": 1000, "revenue": -1000}
    name = opened.gateway_dispute_id
    for status in (DisputeStatus.UNDER_REVIEW, DisputeStatus.WON):
        await house.webhook(
            house.gateway.webhook("charge.dispute.updated", house.gateway.move_dispute(name, status))
        )
    assert moved(house, payment.payment_id) == {"gateway_clearing": 1000, "revenue": -1000}
    assert [entry.source for entry in entries(house, payment.payment_id)[1:]] == [f"{name}#1", f"{name}#2"]


async def test_an_inquiry_moves_money_only_once_it_becomes_a_chargeback() -> None:
    house = House()
    payment = await house.paid(1000)
    inquiry = house.gateway.open_dispute(payment.intent_id or "", DisputeStatus.WARNING_NEEDS_RESPONSE)
    await house.webhook(house.gateway.webhook("charge.dispute.created", inquiry))
    assert "disputes" not in moved(house, payment.payment_id)
    charged = house.gateway.move_dispute(
        inquiry.gateway_dispute_id, DisputeStatus.NEEDS_RESPONSE, amount_withdrawn=1000
    )
    await house.webhook(house.gateway.webhook("charge.dispute.updated", charged))
    assert moved(house, payment.payment_id)["disputes"] == 1000
    lost = house.gateway.move_dispute(inquiry.gateway_dispute_id, DisputeStatus.LOST)
    await house.webhook(house.gateway.webhook("charge.dispute.closed", lost))
    assert moved(house, payment.payment_id)["disputes"] == 1000, "a lost dispute keeps what it took"


def test_every_rule_balances_and_an_entry_that_does_not_is_refused() -> None:
    for kind in RULES:
        postings = postings_of(kind, 7, "EUR")
        assert sum(one.amount for one in postings) == 0
        assert [one.amount for one in postings_of(kind, -7, "EUR")] == [-one.amount for one in postings]
    for postings in (
        (),
        (Posting(Account.FEES, "EUR", 1),),
        (Posting(Account.FEES, "EUR", 1), Posting(Account.BANK, "USD", -1)),
    ):
        with pytest.raises(EntryUnbalanced):
            an_entry(postings=postings)


def test_an_unknown_account_is_named() -> None:
    assert account_named("fees") is Account.FEES
    with pytest.raises(Malformed, match="customer_receivable"):
        account_named("cash")


def an_entry(**changes: Any) -> LedgerEntry:
    fields: dict[str, Any] = {
        "entry_id": ids.event_id(),
        "kind": EntryKind.CAPTURE,
        "source": "evt_1",
        "gateway": "fake",
        "posted_at": START,
        "postings": postings_of(EntryKind.CAPTURE, 1000, "JPY"),
        "gateway_object": "ch_1",
        "payment_id": "pay_1",
        **changes,
    }
    return LedgerEntry(**fields)


def a_transaction(
    type: str = "charge", amount: int = 1000, fee: int = 0, **changes: Any
) -> BalanceTransaction:
    fields: dict[str, Any] = {
        "transaction_id": "txn_1",
        "source_id": "ch_1",
        "currency": "USD",
        "created_at": START,
        "available_at": START + timedelta(days=2),
        **changes,
    }
    return BalanceTransaction(type=type, amount=amount, fee=fee, **fields)


@pytest.mark.parametrize(
    ("transaction", "amounts"),
    [
        (a_transaction(fee=59), {EntryKind.FEE: 59}),
        (a_transaction("refund", -1000), {}),
        (a_transaction("adjustment", -1000, 1500), {EntryKind.FEE: 1500}),
        (a_transaction("adjustment", 1000, -1500), {EntryKind.FEE: -1500}),
        (a_transaction("stripe_fee", -20), {EntryKind.FEE: 20}),
        (a_transaction("stripe_fee", -20, 3), {EntryKind.FEE: 23}),
        (a_transaction("payout", -900), {EntryKind.PAYOUT: 900}),
        (a_transaction("payout", -900, 9), {EntryKind.PAYOUT: 900, EntryKind.FEE: 9}),
        (a_transaction("payout_failure", 900), {EntryKind.PAYOUT_RETURNED: 900}),
        (a_transaction("topup", 50), {EntryKind.TOP_UP: 50}),
        (a_transaction("topup_reversal", -50), {EntryKind.TOP_UP: -50}),
        (a_transaction("some_new_word", -50), {}),
    ],
)
def test_what_a_balance_transaction_posts_by_itself(
    transaction: BalanceTransaction, amounts: dict[EntryKind, int]
) -> None:
    assert posted_for(transaction) == amounts
    posted = entries_of(transaction, "fake", None, ids.event_id)
    cleared = sum(entry.on(Account.GATEWAY_CLEARING).get("USD", 0) for entry in posted)
    if explains_itself(transaction):
        assert cleared == transaction.net, "nothing else is posted for it"
    else:
        assert cleared == -transaction.fee


def books(transactions: list[BalanceTransaction], *posted: LedgerEntry) -> ObjectBooks:
    return ObjectBooks(gateway="fake", gateway_object="ch_1", transactions=transactions, entries=posted)


def test_an_object_agrees_when_both_books_have_moved_the_same() -> None:
    capture = an_entry(postings=postings_of(EntryKind.CAPTURE, 1000, "USD"))
    assert books([a_transaction()], capture).agree
    assert not books([a_transaction()]).agree
    assert not books([a_transaction(amount=999)], capture).agree
    assert not books([a_transaction()], an_entry()).agree, "another currency is other money"
    back_and_forth = [a_transaction("refund", -5), a_transaction("refund_failure", 5)]
    assert books(back_and_forth).agree, "a refund that failed before it succeeded has moved nothing"


def test_the_gateway_settles_in_another_currency() -> None:
    rate = Decimal("0.0065")
    charged = a_transaction(amount=650, exchange_rate=rate)
    entry = books([charged], an_entry()).exchange(ids.event_id)
    assert entry is not None
    assert {(one.account.value, one.currency): one.amount for one in entry.postings} == {
        ("exchange", "JPY"): 1000,
        ("gateway_clearing", "JPY"): -1000,
        ("gateway_clearing", "USD"): 650,
        ("exchange", "USD"): -650,
    }
    assert (entry.source, entry.payment_id) == ("txn_1", "pay_1")
    both = books([charged], an_entry(), entry)
    assert both.agree

    refund = an_entry(kind=EntryKind.REFUND, postings=postings_of(EntryKind.REFUND, 1000, "JPY"))
    refunded = a_transaction("refund", -640, transaction_id="txn_2", exchange_rate=Decimal("0.0064"))
    later = books([charged, refunded], an_entry(), entry, refund)
    difference = later.exchange(ids.event_id)
    assert difference is not None
    assert difference.on(Account.GATEWAY_CLEARING) == {"JPY": 1000, "USD": -640}
    assert books([charged, refunded], an_entry(), entry, refund, difference).agree


def test_no_exchange_is_posted_before_its_fact_is() -> None:
    rate = Decimal("0.0065")
    first = a_transaction(amount=650, exchange_rate=rate)
    second = a_transaction(amount=325, transaction_id="txn_2", exchange_rate=rate)
    assert books([first]).exchange(ids.event_id) is None
    assert books([first, second], an_entry()).exchange(ids.event_id) is None, "one capture is not told yet"
    assert books([a_transaction()], an_entry()).exchange(ids.event_id) is None, "nothing was changed"
