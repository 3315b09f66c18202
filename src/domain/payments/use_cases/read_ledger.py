"""Read the ledger: balances, entries, an account's statement."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.payments.ledger import Account, AccountBalance, LedgerEntry, Posting
from domain.payments.ledger_ports import EntryFilter
from domain.payments.ports import UnitOfWorkFactory

PAGE = 500


@dataclass(frozen=True, slots=True)
class StatementLine:
    entry: LedgerEntry
    posting: Posting
    balance: int
    """Of the account at this gateway and in this currency, after the line."""


@dataclass(frozen=True, slots=True)
class ReadLedgerHandler:
    unit_of_work: UnitOfWorkFactory

    async def balances(
        self, *, before: datetime | None = None, account: Account | None = None, currency: str | None = None
    ) -> Sequence[AccountBalance]:
        """Of what was posted `before` that time."""
        async with self.unit_of_work() as uow:
            return await uow.ledger.balances(before=before, account=account, currency=currency)

    async def page(
        self, wanted: EntryFilter, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[LedgerEntry]:
        """Oldest first; `after` are the time and id of the last one already seen."""
        async with self.unit_of_work() as uow:
            return await uow.ledger.find(wanted, after=after, limit=limit)

    async def entries(self, wanted: EntryFilter) -> AsyncIterator[LedgerEntry]:
        """All of them, oldest first, of which few are in memory at a time."""
        after: tuple[datetime, UUID] | None = None
        while True:
            page = await self.page(wanted, after=after, limit=PAGE)
            for entry in page:
                yield entry
            if len(page) < PAGE:
                return
            after = (page[-1].posted_at, page[-1].entry_id)

    async def statement(self, account: Account, wanted: EntryFilter) -> AsyncIterator[StatementLine]:
        """The account's postings with its balance after each; of an order or a payment, of these alone."""
        opening: Mapping[tuple[str, str], int] = {}
        if wanted.since is not None and wanted.order_id is None and wanted.payment_id is None:
            before = await self.balances(before=wanted.since, account=account)
            opening = {(one.gateway, one.currency): one.amount for one in before}
        balances = defaultdict(int, opening)
        async for entry in self.entries(wanted):
            for posting in entry.postings:
                if posting.account is account and wanted.currency in (None, posting.currency):
                    key = (entry.gateway, posting.currency)
                    balances[key] += posting.amount
                    yield StatementLine(entry, posting, balances[key])
