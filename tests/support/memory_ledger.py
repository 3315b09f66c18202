"""The ledger and the gateway's balance transactions in memory; `tests/contract/repositories` holds them to the ports."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.payments.balance import BalanceTransaction, ObjectBooks, explains_itself
from domain.payments.ledger import Account, AccountBalance, LedgerEntry
from domain.payments.ledger_ports import AlreadyPosted, EntryFilter, PaymentBooks

if TYPE_CHECKING:
    from tests.support.memory import Transaction


@dataclass(slots=True)
class MemoryLedger:
    transaction: "Transaction"

    async def post(self, entries: Sequence[LedgerEntry]) -> None:
        for entry in entries:
            key = (entry.gateway, entry.kind, entry.source)
            await self.transaction.lock(f"ledger_entry {key}")
            if await self.transaction.read("ledger_entry", key) is not None:
                raise AlreadyPosted
            await self.transaction.insert("ledger_entry", key, entry)

    async def _all(self) -> list[LedgerEntry]:
        entries: list[LedgerEntry] = await self.transaction.read_all("ledger_entry")
        return sorted(entries, key=lambda entry: (entry.posted_at, entry.entry_id))

    async def balances(
        self, *, before: datetime | None = None, account: Account | None = None, currency: str | None = None
    ) -> Sequence[AccountBalance]:
        found: defaultdict[tuple[Account, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for entry in await self._all():
            for posting in entry.postings:
                wanted = account in (None, posting.account) and currency in (None, posting.currency)
                if wanted and (before is None or entry.posted_at < before):
                    both = found[posting.account, entry.gateway, posting.currency]
                    both[posting.amount < 0] += abs(posting.amount)
        return [
            AccountBalance(account=key[0], gateway=key[1], currency=key[2], debits=both[0], credits=both[1])
            for key, both in sorted(found.items())
        ]

    async def find(
        self, wanted: EntryFilter, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[LedgerEntry]:
        payments: list[Any] = await self.transaction.read_all("payment")
        order = {payment.payment_id: payment.order_id for payment in payments}

        def is_wanted(entry: LedgerEntry) -> bool:
            return (
                (after is None or (entry.posted_at, entry.entry_id) > after)
                and (wanted.since is None or entry.posted_at >= wanted.since)
                and (wanted.until is None or entry.posted_at < wanted.until)
                and wanted.payment_id in (None, entry.payment_id)
                and wanted.order_id in (None, order.get(entry.payment_id or ""))
                and any(
                    wanted.account in (None, posting.account) and wanted.currency in (None, posting.currency)
                    for posting in entry.postings
                )
            )

        return [entry for entry in await self._all() if is_wanted(entry)][:limit]

    async def of_objects(self, gateway: str, objects: Collection[str]) -> Sequence[LedgerEntry]:
        return [e for e in await self._all() if e.gateway == gateway and e.gateway_object in objects]

    async def of_sources(self, gateway: str, sources: Collection[str]) -> Sequence[LedgerEntry]:
        return [e for e in await self._all() if e.gateway == gateway and e.source in sources]

    async def payment_books(self, *, after: str | None, limit: int) -> Sequence[PaymentBooks]:
        payments: list[Any] = await self.transaction.read_all("payment")
        disputes: list[Any] = await self.transaction.read_all("dispute")
        entries = await self._all()
        found = []
        for payment in sorted(payments, key=lambda payment: payment.payment_id):
            own = [entry for entry in entries if entry.payment_id == payment.payment_id]

            def posted(account: Account, own: Sequence[LedgerEntry] = own) -> int:
                return sum(sum(entry.on(account).values()) for entry in own)

            found.append(
                PaymentBooks(
                    payment_id=payment.payment_id,
                    order_id=payment.order_id,
                    gateway=payment.gateway,
                    currency=payment.currency,
                    captured=payment.amount_captured,
                    refunded=payment.amount_refunded,
                    disputed=sum(
                        dispute.amount_withdrawn
                        for dispute in disputes
                        if dispute.payment_id == payment.payment_id
                    ),
                    ledger_captured=-posted(Account.REVENUE),
                    ledger_refunded=posted(Account.REFUNDS),
                    ledger_disputed=posted(Account.DISPUTES),
                )
            )
        return [one for one in found if after is None or one.payment_id > after][:limit]

    async def unbalanced(self, *, limit: int) -> Sequence[UUID]:
        return []  # an entry checks itself when it is made


@dataclass(slots=True)
class MemoryBalanceTransactions:
    transaction: "Transaction"

    async def created_until(self, gateway: str) -> datetime | None:
        found: datetime | None = await self.transaction.read("balance_cursor", gateway)
        return found

    async def move(self, gateway: str, created_until: datetime) -> None:
        before = await self.created_until(gateway)
        newest = created_until if before is None else max(before, created_until)
        await self.transaction.update("balance_cursor", gateway, newest)

    async def oldest_payment(self, gateway: str) -> datetime | None:
        payments: list[Any] = await self.transaction.read_all("payment")
        return min((one.created_at for one in payments if one.gateway == gateway), default=None)

    async def add(
        self, gateway: str, transactions: Sequence[BalanceTransaction]
    ) -> Sequence[BalanceTransaction]:
        new = []
        for one in sorted(transactions, key=lambda one: one.transaction_id):
            key = (gateway, one.transaction_id)
            await self.transaction.lock(f"balance_transaction {key}")
            if await self.transaction.read("balance_transaction", key) is None:
                row = _Row(gateway, one, datetime.fromtimestamp(0, UTC), explains_itself(one))
                await self.transaction.insert("balance_transaction", key, row)
                new.append(one)
        return new

    async def _rows(self, gateway: str) -> "list[_Row]":
        rows: list[_Row] = await self.transaction.read_all("balance_transaction")
        return sorted((row for row in rows if row.gateway == gateway), key=lambda row: row.id)

    async def explained_ids(self, gateway: str, ids: Collection[str]) -> Collection[str]:
        return {row.id for row in await self._rows(gateway) if row.id in ids and row.explained}

    async def take_unexplained(self, gateway: str, *, now: datetime, limit: int) -> Sequence[ObjectBooks]:
        rows = await self._rows(gateway)
        open_ = [
            row
            for row in rows
            if not row.explained and row.transaction.source_id is not None and row.checked_at < now
        ]
        taken: list[_Row] = []
        for row in sorted(open_, key=lambda row: (row.checked_at, row.id)):
            key = (gateway, row.id)
            if len(taken) < limit and await self.transaction.lock_free(f"balance_transaction {key}"):
                await self.transaction.update("balance_transaction", key, replace(row, checked_at=now))
                taken.append(row)
        ledger = MemoryLedger(self.transaction)
        return [
            ObjectBooks(
                gateway=gateway,
                gateway_object=name,
                transactions=sorted(
                    (row.transaction for row in rows if row.transaction.source_id == name),
                    key=lambda one: (one.created_at, one.transaction_id),
                ),
                entries=await ledger.of_objects(gateway, [name]),
            )
            for name in sorted({str(row.transaction.source_id) for row in taken})
        ]

    async def explained(self, books: Sequence[ObjectBooks]) -> None:
        for one in books:
            for transaction in one.transactions:
                key = (one.gateway, transaction.transaction_id)
                row = await self.transaction.read("balance_transaction", key)
                await self.transaction.update("balance_transaction", key, replace(row, explained=True))

    async def unexplained(
        self, gateway: str, *, after: str | None, limit: int
    ) -> Sequence[BalanceTransaction]:
        rows = await self._rows(gateway)
        return [row.transaction for row in rows if not row.explained and (after is None or row.id > after)][
            :limit
        ]


@dataclass(frozen=True, slots=True)
class _Row:
    gateway: str
    transaction: BalanceTransaction
    checked_at: datetime
    explained: bool

    @property
    def id(self) -> str:
        return self.transaction.transaction_id
