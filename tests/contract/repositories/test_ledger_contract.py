"""The ledger and the imported balance transactions: the ones in memory and PostgreSQL's."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain.payments.balance import BalanceTransaction
from domain.payments.dispute import Dispute
from domain.payments.ledger import Account, EntryKind, LedgerEntry, postings_of
from domain.payments.ledger_ports import AlreadyPosted, EntryFilter
from domain.payments.payment import Occasion
from tests.contract.repositories.conftest import Payments
from tests.contract.repositories.rows import LATER, a_dispute, a_payment, ids, keep, pay
from tests.support.house import START


def an_entry(source: str = "txn_1", **changes: Any) -> LedgerEntry:
    fields: dict[str, Any] = {
        "entry_id": ids.event_id(),
        "kind": EntryKind.FEE,
        "gateway": "fake",
        "posted_at": START,
        "postings": postings_of(EntryKind.FEE, 59, "EUR"),
        **changes,
    }
    return LedgerEntry(source=source, **fields)


def a_transaction(transaction_id: str = "txn_1", **changes: Any) -> BalanceTransaction:
    fields: dict[str, Any] = {
        "type": "charge",
        "source_id": "ch_1",
        "amount": 1000,
        "fee": 59,
        "currency": "EUR",
        "created_at": START,
        "available_at": START + timedelta(days=2),
        **changes,
    }
    return BalanceTransaction(transaction_id=transaction_id, **fields)


async def post(payments: Payments, *entries: LedgerEntry) -> None:
    async with payments.unit_of_work() as uow:
        await uow.ledger.post(entries)
        await uow.commit()


async def found(payments: Payments, limit: int = 100, **wanted: Any) -> list[LedgerEntry]:
    """All of them, by pages."""
    entries: list[LedgerEntry] = []
    async with payments.unit_of_work() as uow:
        while True:
            after = (entries[-1].posted_at, entries[-1].entry_id) if entries else None
            page = await uow.ledger.find(EntryFilter(**wanted), after=after, limit=limit)
            if not page:
                return entries
            entries += page


async def test_a_payment_is_saved_with_its_entries(payments: Payments) -> None:
    await keep(payments, a_payment())
    await pay(payments)
    (entry,) = await found(payments)
    assert (entry.kind, entry.payment_id, entry.order_id) == (EntryKind.CAPTURE, "pay_1", "ord_1")
    assert (entry.gateway_object, entry.posted_at) == ("ch_1", LATER)
    assert entry.on(Account.GATEWAY_CLEARING) == {"EUR": 1000}
    assert entry.on(Account.REVENUE) == {"EUR": -1000}


async def test_what_is_not_committed_is_not_posted(payments: Payments) -> None:
    await keep(payments, a_payment())
    async with payments.unit_of_work() as uow:
        await uow.ledger.post([an_entry()])
    assert await found(payments) == []


async def test_a_fact_is_posted_once(payments: Payments) -> None:
    await post(payments, an_entry())
    with pytest.raises(AlreadyPosted):
        await post(payments, an_entry())
    await post(payments, an_entry(gateway="other"), an_entry(kind=EntryKind.PAYOUT))
    assert len(await found(payments)) == 3


async def test_balances_are_sums_by_account_gateway_and_currency(payments: Payments) -> None:
    await post(
        payments,
        an_entry("txn_1"),
        an_entry("txn_2", postings=postings_of(EntryKind.FEE, -9, "EUR")),
        an_entry("txn_3", postings=postings_of(EntryKind.FEE, 7, "USD"), gateway="other"),
        an_entry("txn_4", posted_at=START + timedelta(days=1)),
    )
    async with payments.unit_of_work() as uow:
        at_first = await uow.ledger.balances(before=START + timedelta(days=1), account=Account.FEES)
        dollars = await uow.ledger.balances(currency="USD")
    assert [(one.gateway, one.currency, one.debits, one.credits, one.amount) for one in at_first] == [
        ("fake", "EUR", 59, 9, 50),
        ("other", "USD", 7, 0, 7),
    ]
    assert [(one.account, one.amount) for one in dollars] == [
        (Account.FEES, 7),
        (Account.GATEWAY_CLEARING, -7),
    ]


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_entries_are_found_by_what_they_are_about(payments: Payments, limit: int) -> None:
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2"))
    day = timedelta(days=1)
    await post(
        payments,
        an_entry("a", posted_at=START + day, payment_id="pay_1", order_id="ord_1"),
        an_entry("b", payment_id="pay_2", order_id="ord_2"),
        an_entry("c", kind=EntryKind.PAYOUT, postings=postings_of(EntryKind.PAYOUT, 5, "USD")),
        an_entry("d", kind=EntryKind.CAPTURE, postings=postings_of(EntryKind.CAPTURE, 5, "USD")),
    )

    async def sources(**wanted: Any) -> str:
        return "".join([entry.source for entry in await found(payments, limit, **wanted)])

    assert await sources() == "bcda"
    assert await sources(payment_id="pay_1") == "a"
    assert await sources(order_id="ord_2") == "b"
    assert await sources(order_id="ord_2", account=Account.BANK) == ""
    assert await sources(account=Account.GATEWAY_CLEARING) == "bcda"
    assert await sources(account=Account.CUSTOMER_RECEIVABLE) == "d"
    assert await sources(account=Account.BANK) == "c"
    assert await sources(currency="USD") == "cd"
    assert await sources(account=Account.BANK, currency="EUR") == ""
    assert await sources(since=START + day) == "a"
    assert await sources(until=START + day, account=Account.FEES) == "b"


async def test_entries_of_objects_and_sources(payments: Payments) -> None:
    await post(
        payments, an_entry("a", gateway_object="ch_1"), an_entry("b", gateway_object="ch_1", gateway="x")
    )
    async with payments.unit_of_work() as uow:
        assert [one.source for one in await uow.ledger.of_objects("fake", ["ch_1", "ch_2"])] == ["a"]
        assert [one.source for one in await uow.ledger.of_sources("x", ["a", "b"])] == ["b"]
        assert await uow.ledger.unbalanced(limit=5) == []


async def test_a_payment_is_compared_with_what_was_posted(payments: Payments) -> None:
    await keep(payments, a_payment(), a_payment("pay_2", "ord_2"))
    await pay(payments)
    async with payments.unit_of_work() as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        dispute = a_dispute()
        payment.open_dispute(dispute, Occasion(LATER, ids.event_id))
        await uow.disputes.put(dispute)
        await uow.payments.save(payment)
        await uow.commit()
    async with payments.unit_of_work() as uow:
        one, two = await uow.ledger.payment_books(after=None, limit=5)
        assert await uow.ledger.payment_books(after="pay_1", limit=5) == [two]
        kept: Dispute | None = await uow.disputes.get("du_1")
    assert kept is not None
    assert kept.movements == 1
    assert one.agree
    assert two.agree
    assert (one.ledger_captured, one.ledger_refunded, one.ledger_disputed) == (1000, 0, 1000)
    assert not replace(one, captured=999).agree


async def test_balance_transactions_are_kept_once(payments: Payments) -> None:
    first = a_transaction(exchange_rate=Decimal("1.234"), description="x")
    async with payments.unit_of_work() as uow:
        transactions = uow.balance_transactions
        assert list(await transactions.add("fake", [first])) == [first]
        assert await transactions.add("fake", [first]) == []
        assert list(await transactions.add("other", [first])) == [first]
        assert await transactions.explained_ids("fake", ["txn_1", "txn_2"]) == set()
        await uow.commit()


async def test_the_cursor_never_goes_back(payments: Payments) -> None:
    async with payments.unit_of_work() as uow:
        transactions = uow.balance_transactions
        assert await transactions.created_until("fake") is None
        await transactions.move("fake", LATER)
        await transactions.move("fake", START)
        assert await transactions.created_until("fake") == LATER
        assert await transactions.created_until("other") is None
        assert await transactions.oldest_payment("fake") is None
        await uow.payments.add(a_payment())
        assert await transactions.oldest_payment("fake") == START
        await uow.commit()


async def test_what_no_posting_explains_is_taken_until_one_does(payments: Payments) -> None:
    payout = a_transaction("txn_3", type="payout", source_id="po_1", amount=-900, fee=0)
    no_source = a_transaction("txn_4", type="reserve_transaction", source_id=None)
    new = [a_transaction("txn_1"), a_transaction("txn_2", amount=500), payout, no_source]
    async with payments.unit_of_work() as uow:
        await uow.balance_transactions.add("fake", new)
        await uow.commit()
    await post(payments, an_entry("evt", gateway_object="ch_1"))
    async with payments.unit_of_work() as uow:
        (books,) = await uow.balance_transactions.take_unexplained("fake", now=LATER, limit=1)
        assert [one.transaction_id for one in books.transactions] == ["txn_1", "txn_2"]
        assert [one.source for one in books.entries] == ["evt"]
        assert (books.at_gateway, books.in_ledger) == ({"EUR": 1500}, {"EUR": -59})
        await uow.balance_transactions.explained([books])
        assert list(await uow.balance_transactions.unexplained("fake", after=None, limit=9)) == [no_source]
        assert list(await uow.balance_transactions.unexplained("fake", after="txn_4", limit=9)) == []
        names = [one.transaction_id for one in new]
        assert await uow.balance_transactions.explained_ids("fake", names) == {"txn_1", "txn_2", "txn_3"}
        assert await uow.balance_transactions.take_unexplained("fake", now=LATER, limit=1) == []
        await uow.commit()


INSERT_ENTRY = """
    INSERT INTO payments.ledger_entry (entry_id, kind, source, gateway, posted_at)
    VALUES ($1, 'FEE', 'x', 'fake', now())
"""
INSERT_POSTING = """
    INSERT INTO payments.ledger_posting (entry_id, number, account, gateway, currency, amount, posted_at)
    VALUES ($1, $2, 'fees', 'fake', $3, $4, now())
"""


@pytest.mark.parametrize(
    "postings",
    [[("EUR", 5)], [("EUR", 5), ("EUR", -4)], [("EUR", 5), ("USD", -5)]],
)
async def test_the_database_refuses_an_entry_that_does_not_balance(
    database_url: str, postings: list[tuple[str, int]]
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        entry_id = UUID(int=7)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(INSERT_ENTRY, entry_id)
        for number, (currency, amount) in enumerate(postings, 1):
            await connection.execute(INSERT_POSTING, entry_id, number, currency, amount)
        with pytest.raises(asyncpg.CheckViolationError, match="do not sum to zero"):
            await transaction.commit()
        async with connection.transaction():
            await connection.execute(INSERT_ENTRY, entry_id)
            await connection.execute(INSERT_POSTING, entry_id, 1, "EUR", 5)
            await connection.execute(INSERT_POSTING, entry_id, 2, "EUR", -5)  # one by one: checked at the end
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(INSERT_POSTING, entry_id, 3, "EUR", 1)
    finally:
        await connection.close()
