"""What the ledger needs of the payment side's unit of work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.payments.balance import BalanceTransaction, ObjectBooks
from domain.payments.ledger import Account, AccountBalance, LedgerEntry


class AlreadyPosted(Exception):
    """The ledger has an entry of this kind and source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries are wanted; None leaves it open. `since` is included, `until` is not."""

    account: Account | None = None
    order_id: str | None = None
    payment_id: str | None = None
    currency: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentBooks:
    """A payment's own totals beside what the ledger has posted for it, in minor units of `currency`."""

    payment_id: str
    order_id: str
    gateway: str
    currency: str
    captured: int
    refunded: int
    disputed: int
    """Withdrawn by disputes and not given back."""
    ledger_captured: int
    ledger_refunded: int
    ledger_disputed: int

    @property
    def agree(self) -> bool:
        return (self.captured, self.refunded, self.disputed) == (
            self.ledger_captured,
            self.ledger_refunded,
            self.ledger_disputed,
        )


class Ledger(Protocol):
    """Entries are only ever added; those of a payment come with `Payments.save`."""

    async def post(self, entries: Sequence[LedgerEntry]) -> None:
        """Add entries that no payment tells of. Raises AlreadyPosted, here or at the commit."""
        ...

    async def balances(
        self, *, before: datetime | None = None, account: Account | None = None, currency: str | None = None
    ) -> Sequence[AccountBalance]:
        """Of what was posted `before` that time, by account, gateway account and currency."""
        ...

    async def find(
        self, wanted: EntryFilter, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[LedgerEntry]:
        """Oldest first; `after` are the time and id of the last one already seen."""
        ...

    async def of_objects(self, gateway: str, objects: Collection[str]) -> Sequence[LedgerEntry]:
        """Oldest first."""
        ...

    async def of_sources(self, gateway: str, sources: Collection[str]) -> Sequence[LedgerEntry]: ...

    async def payment_books(self, *, after: str | None, limit: int) -> Sequence[PaymentBooks]:
        """Of every payment that took money, by id; `after` is the id of the last one already seen."""
        ...

    async def unbalanced(self, *, limit: int) -> Sequence[UUID]:
        """Entries whose postings do not sum to zero, or that have none: the database lets nobody write one."""
        ...


class BalanceTransactions(Protocol):
    """The gateway's balance transactions, as far as they were imported."""

    async def created_until(self, gateway: str) -> datetime | None:
        """How far they were imported; None before the first time."""
        ...

    async def move(self, gateway: str, created_until: datetime) -> None:
        """They were imported so far; never goes back."""
        ...

    async def oldest_payment(self, gateway: str) -> datetime | None:
        """When the first payment was made at this account: nothing before it is ours."""
        ...

    async def add(
        self, gateway: str, transactions: Sequence[BalanceTransaction]
    ) -> Sequence[BalanceTransaction]:
        """Keep those that are new; which they were."""
        ...

    async def explained_ids(self, gateway: str, ids: Collection[str]) -> Collection[str]:
        """Those of them that were imported and are explained."""
        ...

    async def take_unexplained(self, gateway: str, *, now: datetime, limit: int) -> Sequence[ObjectBooks]:
        """The objects of transactions that no posting explains yet and that were not looked at since `now`.

        Those come first that were looked at longest ago. They are locked, and what others have locked is left out. Of an object all transactions come, and all entries.
        """
        ...

    async def explained(self, books: Sequence[ObjectBooks]) -> None:
        """Mark the transactions of these objects."""
        ...

    async def unexplained(
        self, gateway: str, *, after: str | None, limit: int
    ) -> Sequence[BalanceTransaction]:
        """By id; `after` is the id of the last one already seen."""
        ...
